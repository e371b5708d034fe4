"""Acceptance, on a real broker with the program itself: requests wake, once, whoever sends them and whatever fails."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.simulated_cluster import Trouble
from consumer.ports import Record
from consumer.settings import ALL_ROLES
from schemas.control import Control, Freeze, ModeSetting
from schemas.dead_letter import said_of
from schemas.parts import Mode, RecordCause
from schemas.request_count import RequestCount
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from schemas.topics import MAX_VALUE_BYTES, Topic
from tests.live.seen import Service
from tests.live.system import COOLDOWN, Program, System, installed


@pytest.fixture(scope="module")
async def system(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One installation for all tests of this file; each has services of its own."""
    system = System(kafka.bootstrap, f"t{uuid.uuid4().hex[:10]}.", tmp_path_factory.mktemp("policies"))
    async with installed(system):
        yield system


@pytest.fixture(scope="module")
async def program(system: System) -> Program:
    return await system.run(ALL_ROLES)


async def post(program: Program, service: Service) -> int:
    """A request as KubeElasti's resolvers announce it."""
    body = RequestCount(count=1, svc=service.key.name, namespace=service.key.namespace).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{program.port}/informer/incoming-request", data=body) as answer,
    ):
        return answer.status


async def test_a_request_wakes_a_sleeping_service_and_ready_arrives(system: System, program: Program) -> None:
    service = await system.sleeping("web")
    assert await post(program, service) == 200
    await system.until(lambda: system.ready(service))
    (command,) = system.commands(service)
    assert command.direction is Direction.UP
    assert command.reason.code == "request"
    assert isinstance(command.cause, RecordCause)
    assert command.cause.topic == Topic.REQUEST_COUNTS.under(system.settings.topic_prefix)
    (accepted,) = system.results(service, Phase.ACCEPTED)
    assert accepted.command_id == command.id
    ready = system.results(service, Phase.READY)[0]
    assert ready.ready_replicas == ready.replicas == 1
    assert ready.target.generation == accepted.target.generation
    assert (await system.cluster.look(service.target)).ready == 1


async def test_a_hundred_requests_for_a_sleeping_service_give_one_command(system: System, program: Program) -> None:
    service = await system.sleeping("crowd")
    async with asyncio.TaskGroup() as tasks:
        placed = [tasks.create_task(system.request(service)) for _ in range(20)]
        posted = [tasks.create_task(post(program, service)) for _ in range(80)]
    assert {answer.result() for answer in posted} == {200}
    last = await system.request(service)
    await system.until_dealt_with(last, *(each.result() for each in placed))
    ups = [command for command in await system.durable_commands(service) if command.direction is Direction.UP]
    assert len(ups) == 1


async def test_a_wake_that_failed_is_repeated_without_a_second_request(system: System, program: Program) -> None:
    service = await system.sleeping("refused")
    system.cluster.trouble(Trouble.FORBIDDEN, target=service.target)
    asked = await system.request(service)
    await system.until(lambda: system.ready(service))
    failed, accepted = (system.results(service, phase)[0] for phase in (Phase.FAILED, Phase.ACCEPTED))
    assert failed.error is not None
    assert failed.error.code == "forbidden"
    first, again = system.commands(service, Direction.UP)
    assert (failed.command_id, accepted.command_id) == (first.id, again.id)
    assert (first.reason.code, again.reason.code) == ("request", "unfinished")
    assert first.triggered_at == again.triggered_at == asked.at


async def test_a_cluster_that_is_overloaded_is_asked_again_by_the_same_command(
    system: System, program: Program
) -> None:
    service = await system.sleeping("throttled")
    system.cluster.trouble(Trouble.BROKEN, times=2, target=service.target)
    await system.request(service)
    await system.until(lambda: system.ready(service))
    (accepted,) = system.results(service, Phase.ACCEPTED)
    assert accepted.attempts > 1
    assert [command.id for command in system.commands(service, Direction.UP)] == [accepted.command_id]


async def test_records_without_keys_in_any_partition_wake_their_services(system: System, program: Program) -> None:
    services = [await system.sleeping(name) for name in ("keyless-a", "keyless-b", "keyless-c")]
    strays = {}
    for service in services:
        wrong = (system.partition(service) + 1) % system.settings.partitions
        value = f'{{"namespace": "shop", "svc": "{service.key.name}"}}'.encode()
        strays[service] = await system.send(Topic.REQUEST_COUNTS, value, partition=wrong)
    for service, stray in strays.items():
        await system.until(lambda service=service: system.ready(service))  # type: ignore[misc]
        (command,) = system.commands(service, Direction.UP)
        # The cause is the record as it was sent, not the one that was forwarded.
        assert command.cause == RecordCause(topic=stray.topic, partition=stray.partition, offset=stray.offset)
        assert command.triggered_at == stray.at


async def test_an_idle_service_sleeps_and_is_woken_again(system: System, program: Program) -> None:
    service = system.service("naps", replicas=2)
    await system.until(lambda: bool(system.results(service, Phase.ACCEPTED)))
    (zero,) = system.commands(service)
    assert (zero.direction, zero.reason.code) == (Direction.ZERO, "idle")
    (decision,) = system.decisions(service, "idle")
    assert decision.command_id == zero.id
    assert decision.before is not None
    assert decision.now >= decision.before.first_seen_at + COOLDOWN
    assert (await system.cluster.look(service.target)).replicas == 0
    await system.until(lambda: system.replicas(service) == 0)
    await system.request(service)
    await system.until(lambda: system.ready(service))
    assert system.commands(service)[1].seq > zero.seq


async def test_a_service_that_somebody_froze_stays_up_and_is_still_woken(system: System, program: Program) -> None:
    up, asleep = system.service("frozen-up", replicas=1), await system.sleeping("frozen-asleep")
    for service in (up, asleep):
        await switch(system, service, freeze=True)
    await system.until(lambda: bool(system.decisions(up, "frozen")))
    await system.request(asleep)
    await system.until(lambda: system.ready(asleep))
    await system.until_evaluated(program)
    assert await system.durable_commands(up) == []
    (frozen, *_) = system.decisions(up, "frozen")
    assert frozen.reason.facts["by"]
    await switch(system, up)
    await system.until(lambda: bool(system.commands(up, Direction.ZERO)))


async def test_who_only_observes_says_what_it_would_do_and_does_nothing(system: System, program: Program) -> None:
    asleep, up = await system.sleeping("watched-asleep"), system.service("watched-up", replicas=1)
    for service in (asleep, up):
        await switch(system, service, mode=Mode.OBSERVE)
    await system.until(lambda: all(status_mode(system, service) is Mode.OBSERVE for service in (asleep, up)))
    asked = await system.request(asleep)
    await system.until(lambda: bool(system.decisions(asleep, "request") and system.decisions(up, "idle")))
    await system.until_dealt_with(asked)
    for service, code in ((asleep, "request"), (up, "idle")):
        decision = system.decisions(service, code)[0]
        assert decision.withheld
        assert decision.command_id is None
        assert await system.durable_commands(service) == []
    # It leaves no debt: only the next request wakes.
    await switch(system, asleep)
    await system.until(lambda: status_mode(system, asleep) is Mode.FULL)
    again = await system.request(asleep)
    await system.until(lambda: system.ready(asleep))
    (command, *_) = system.commands(asleep)
    assert command.cause == RecordCause(topic=again.topic, partition=again.partition, offset=again.offset)


async def test_who_may_only_wake_puts_nothing_to_sleep(system: System, program: Program) -> None:
    asleep, up = await system.sleeping("wake-only-asleep"), system.service("wake-only-up", replicas=1)
    for service in (asleep, up):
        await switch(system, service, mode=Mode.WAKE_ONLY)
    await system.request(asleep)
    await system.until(lambda: system.ready(asleep) and bool(system.decisions(up, "idle")))
    assert system.decisions(up, "idle")[0].withheld
    await system.until_evaluated(program)
    assert await system.durable_commands(up) == []


async def switch(system: System, service: Service, *, freeze: bool = False, mode: Mode | None = None) -> None:
    """Switch this for one service, or everything back."""
    now = system.now()
    said = {"by": "acceptance", "at": now, "why": "a test"}
    control = Control(
        cluster=system.settings.cluster,
        scope=str(service.key),
        freeze=Freeze(**said) if freeze else None,
        mode=ModeSetting(mode=mode, **said) if mode else None,
        **said,
    )
    await system.send(Topic.CONTROL, control.encode(), partition=0, key=bytes(service.key))


def status_mode(system: System, service: Service) -> Mode | None:
    statuses = [status for status in system.seen.statuses if service.is_meant(status)]
    return statuses[-1].mode if statuses else None


POISON: Mapping[str, tuple[bytes | None, str]] = {
    "bad JSON": (b'{"svc": "web", ', "not JSON"),
    "a wrong type": (b'{"svc": "web", "namespace": "shop", "count": "1"}', "count"),
    "a negative count": (b'{"svc": "web", "namespace": "shop", "count": -1}', "count"),
    "a missing name": (b'{"count": 1, "namespace": "shop"}', "svc"),
    "a name that is none": (b'{"svc": "Web!", "namespace": "shop"}', "svc"),
    "no object": (b"[]", "not a JSON object"),
    "nothing": (b"", "not JSON"),
    "a tombstone": (None, "tombstone"),
    "binary": (bytes(range(256)), "not JSON"),
    "huge": (b'{"svc": "' + b"x" * 1_040_000 + b'"}', "svc"),
}


@pytest.mark.parametrize("topic", [Topic.REQUEST_COUNTS, Topic.HOSTS, Topic.SCALE_RESULTS, Topic.SCALE_COMMANDS])
async def test_what_can_not_be_read_is_a_dead_letter_and_the_offset_moves_on(
    system: System, program: Program, topic: Topic
) -> None:
    placed = {kind: await system.send(topic, value, partition=1, key=b"k") for kind, (value, _) in POISON.items()}
    group = system.handler_group if topic is Topic.SCALE_COMMANDS else system.worker_group
    await system.until_dealt_with(*placed.values(), group=group)
    name = topic.under(system.settings.topic_prefix)
    await system.until(lambda: len(letters(system, name)) == len(POISON))
    for kind, (value, cause) in POISON.items():
        letter = letters(system, name)[placed[kind].offset]
        said = said_of(letter.headers)
        assert said["cause"]
        assert (said["topic"], said["partition"]) == (name, "1")
        kept = letter.value or b""
        assert kept == (value or b"")[: len(kept)]
        assert ("cut" in said) == (len(value or b"") > MAX_VALUE_BYTES)
        if topic is Topic.REQUEST_COUNTS:
            assert cause in said["cause"]


def letters(system: System, topic: str) -> dict[int, Record]:
    """The dead letters of one topic by the offset of what is dead, each once."""
    found = [(int(said_of(letter.headers)["offset"]), letter) for letter in system.seen.letters]
    ours = [(offset, letter) for offset, letter in found if said_of(letter.headers)["topic"] == topic]
    assert len(dict(ours)) == len(ours)
    return dict(ours)


async def test_requests_that_wait_before_the_first_start_are_read(
    kafka: EmbeddedKafka, prefix: str, tmp_path: Path
) -> None:
    async with installed(System(kafka.bootstrap, prefix, tmp_path)) as system:
        services = [system.service(name) for name in ("early-a", "early-b", "early-c", "early-d")]
        placed = {service: await system.request(service) for service in services}
        await system.run(ALL_ROLES)
        for service, asked in placed.items():
            await system.until(lambda service=service: system.ready(service))  # type: ignore[misc]
            (command,) = system.commands(service, Direction.UP)
            assert command.cause == RecordCause(topic=asked.topic, partition=asked.partition, offset=asked.offset)
