"""Acceptance: Kafka is gone while two hundred sleeping services are asked for; all wake, and the log is whole."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.core.asks import FIRST_WAKE_RETRY
from consumer.core.service import ServiceKey
from consumer.ports import TargetKey, TargetView
from consumer.settings import ALL_ROLES, Role
from schemas.decision import Action
from schemas.scale_command import Direction
from schemas.scale_result import Phase, ResultCause
from tests.bed.kube import Kube
from tests.bed.manifests import deployment
from tests.live.real_targets import installed_on
from tests.live.seen import Service
from tests.live.system import Program, System, installed

SERVICES = 200
SHORT = timedelta(seconds=6)
# Long enough that a sleep within it would be one before its time, short enough that one after it is waited for.
COOLDOWN = timedelta(seconds=15)


@pytest.fixture
async def system(own_kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation on a Kafka of its own."""
    async with installed(System(own_kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


@pytest.fixture
async def real(own_kafka: EmbeddedKafka, prefix: str, tmp_path: Path, cluster: ControlPlane) -> AsyncIterator[System]:
    """The same on a real API server."""
    async with installed_on(cluster, System(own_kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


def fleet(system: System) -> list[Service]:
    """Services that are at zero."""
    return [system.service(f"web-{number}", cooldown=COOLDOWN) for number in range(SERVICES)]


async def asleep(system: System, services: Sequence[Service]) -> None:
    """Wait until everybody knows that they are."""
    await system.until(lambda: all(system.replicas(service) == 0 for service in services))


async def requested(program: Program, services: Sequence[Service]) -> Counter[int]:
    """Ask for each of them at once, and again where that is asked for; returns how often which status came last."""
    address = f"http://127.0.0.1:{program.port}/informer/incoming-request"
    async with asyncio.timeout(60), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(service: Service) -> int:
            body = {"count": 1, "svc": service.key.name, "namespace": service.key.namespace}
            while True:
                async with session.post(address, json=body) as answer:
                    # Two hundred calls at once may take a small machine longer than a gateway waits for one.
                    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        return answer.status

        return Counter(await asyncio.gather(*(ask(service) for service in services)))


async def woken(program: Program, service: Service) -> int:
    """Ask the handler as a gateway does that Kafka did not answer, and that ends before Kafka is back."""
    body = {"namespace": service.key.namespace, "svc": service.key.name}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{program.port}/internal/wake", json=body) as answer,
    ):
        return answer.status


async def page(program: Program, path: str) -> int:
    """The status of one of its pages."""
    address = f"http://127.0.0.1:{program.port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        return answer.status


class Changes:
    """Every change of the replicas in the cluster, as its watch shows it."""

    def __init__(self, system: System) -> None:
        self.sleeps: list[TargetKey] = []
        self._before: dict[TargetKey, int] = {}
        self._watching = asyncio.create_task(self._watch(system))

    async def _watch(self, system: System) -> None:
        async for seen in system.targets.watch():
            if isinstance(seen, TargetView):
                if self._before.get(seen.key) and not seen.replicas:
                    self.sleeps.append(seen.key)
                self._before[seen.key] = seen.replicas

    async def end(self) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)


async def awake(system: System, services: Sequence[Service]) -> int:
    """How many of them have replicas, asked of the cluster itself."""
    views = [await system.targets.look(service.target) for service in services]
    return sum(view.replicas == 1 for view in views)


async def told(system: System, services: Sequence[Service]) -> None:
    """Wait until the log says of each that it was woken directly, adopted, and ready."""
    await system.until(
        lambda: all(
            system.decisions(service, "adopted") and system.results(service, Phase.READY) for service in services
        )
    )


def is_consistent(system: System, service: Service) -> None:
    """Each direct wake has one result and one adoption, and nothing was asked of the handler twice."""
    (direct,) = [each for each in system.results(service, Phase.ACCEPTED) if each.cause is ResultCause.DIRECT]
    (adopted,) = system.decisions(service, "adopted")
    assert adopted.action is Action.UP
    assert adopted.command_id is None
    # A request that waited for Kafka may be read before the result is; then a command finds its work done. It is
    # repeated only as every wake is that nobody answers: while the handlers join anew, five seconds may pass.
    ups = system.commands(service, Direction.UP)
    assert all(later.decided_at >= earlier.decided_at + FIRST_WAKE_RETRY for earlier, later in pairwise(ups))
    answered = [each.phase for each in system.results(service) if each.command_id in _ids(ups)]
    assert set(answered) <= {Phase.UNCHANGED, Phase.SUPERSEDED}
    # One that is repeated before its handler came to it is overtaken by its own repetition.
    assert answered.count(Phase.SUPERSEDED) < max(len(ups), 1)
    ids = [decision.id for decision in system.decisions(service)]
    assert len(set(ids)) == len(ids)
    for zero in system.commands(service, Direction.ZERO):
        assert zero.decided_at >= direct.at + COOLDOWN


def _ids(commands: Sequence[object]) -> set[object]:
    return {getattr(command, "id", None) for command in commands}


async def outage(system: System, own_kafka: EmbeddedKafka, services: Sequence[Service], way: str) -> None:
    """Take Kafka away, ask for all services at once, and look at the log when it is back."""
    program = await system.run(ALL_ROLES)
    await asleep(system, services)
    changes = Changes(system)
    if way == "paused":
        own_kafka.pause()
    else:
        await own_kafka.kill()
    assert await requested(program, services) == {200: SERVICES}
    assert await awake(system, services) == SERVICES
    assert changes.sleeps == []
    # Whoever is taken for dead is restarted, and whoever is not ready is sent no requests.
    assert [await page(program, path) for path in ("healthz", "readyz")] == [200, 200]
    if way == "paused":
        own_kafka.resume()
    else:
        await own_kafka.restart()
    await told(system, services)
    for service in services:
        is_consistent(system, service)
    # With the system whole again they go back to sleep, each not before its new cooldown is over.
    await system.until(lambda: any(system.commands(service, Direction.ZERO) for service in services))
    for service in services:
        is_consistent(system, service)
    await changes.end()


@pytest.mark.parametrize("way", ["paused", "killed"])
async def test_two_hundred_requests_wake_two_hundred_services_without_kafka(
    system: System, own_kafka: EmbeddedKafka, way: str
) -> None:
    await outage(system, own_kafka, fleet(system), way)


async def test_on_a_real_cluster_too(real: System, own_kafka: EmbeddedKafka, kube: Kube, namespace: str) -> None:
    services = [Service(ServiceKey(namespace, f"web-{number}")) for number in range(SERVICES)]
    await asyncio.gather(*(kube.apply(deployment(each.key.name), namespace) for each in services))
    for service in services:
        real.policy(service, cooldown=COOLDOWN)
    await outage(real, own_kafka, services, "killed")


async def test_what_starts_while_kafka_is_away_wakes_at_once_and_joins_when_it_is_back(
    system: System, own_kafka: EmbeddedKafka
) -> None:
    services = [system.service(f"web-{number}", cooldown=COOLDOWN) for number in range(5)]
    before = await system.run(ALL_ROLES)
    await asleep(system, services)
    await before.stop()
    await own_kafka.kill()
    handler = await system.run(frozenset({Role.HANDLER}))
    gateway = await system.run(frozenset({Role.GATEWAY}), handler_url=f"http://127.0.0.1:{handler.port}")
    worker = await system.run(frozenset({Role.WORKER}))
    assert await requested(gateway, services) == {200: len(services)}
    assert await awake(system, services) == len(services)
    await own_kafka.restart()
    await told(system, services)
    await system.until_owns(worker, lambda owned: owned == system.settings.partitions)
    for service in services:
        is_consistent(system, service)
    assert await requested(gateway, services[:1]) == {200: 1}


async def test_a_service_in_use_without_kafka_is_not_put_to_sleep_when_kafka_is_back(
    system: System, own_kafka: EmbeddedKafka
) -> None:
    service = system.service("web", replicas=1, cooldown=SHORT)
    program = await system.run(ALL_ROLES)
    await system.until(lambda: bool(system.decisions(service, "cooling-down")))
    changes = Changes(system)
    await own_kafka.kill()
    # For more than a cooldown it is up, asked for all the time, and the log gets none of these requests.
    asked, over = 0, system.now() + SHORT + timedelta(seconds=1)
    back: asyncio.Task[None] | None = None
    async with asyncio.timeout(60):
        while not (told := [each for each in system.results(service) if each.cause is ResultCause.DIRECT]):
            assert await woken(program, service) == 200
            asked += 1
            if back is None and system.now() > over:
                back = asyncio.create_task(own_kafka.restart())
            await asyncio.sleep(0.05)
    assert back is not None
    await back
    assert (changes.sleeps, {each.phase for each in told}) == ([], {Phase.UNCHANGED})
    await system.until(lambda: bool(changes.sleeps))
    told = [each for each in system.results(service) if each.cause is ResultCause.DIRECT]
    assert asked > 50
    assert len(told) < 5
    last = max(each.triggered_at or each.at for each in told)
    done = {each.command_id for each in system.results(service, Phase.ACCEPTED)}
    zeros = [each for each in system.commands(service, Direction.ZERO) if each.id in done]
    assert [each.decided_at >= last + SHORT for each in zeros] == [True]
    await changes.end()
