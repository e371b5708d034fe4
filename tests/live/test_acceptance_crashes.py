"""Acceptance, on a real broker with real processes: workers that share, stop, are killed, and come back as zombies."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.settings import Role
from schemas.codec import Undecodable, decode
from schemas.parts import RecordCause
from schemas.scale_command import ScaleCommand
from schemas.topics import Topic
from tests.live.mortal_program import Step
from tests.live.seen import Service
from tests.live.system import System, installed

HANDLER = frozenset({Role.HANDLER, Role.GATEWAY})
WORKER = frozenset({Role.WORKER})
MORTAL = "tests.live.mortal_program"
# Nothing falls asleep while these tests last.
COOLDOWN = timedelta(minutes=15)


@pytest.fixture(scope="module")
async def system(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One installation whose handler runs here; each test brings its workers and its services."""
    system = System(kafka.bootstrap, f"t{uuid.uuid4().hex[:10]}.", tmp_path_factory.mktemp("policies"))
    async with installed(system):
        await system.run(HANDLER)
        yield system


async def heard(process: asyncio.subprocess.Process, word: str) -> None:
    """Wait until the process says a word; what else it says is passed over."""
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().strip() == word:
            return
    raise AssertionError(f"the process ended without saying {word}")


async def asleep(system: System, name: str) -> Service:
    """A sleeping service, once a worker said so."""
    service = system.service(name, cooldown=COOLDOWN)
    await system.until(lambda: system.replicas(service) == 0)
    return service


@pytest.mark.parametrize("step", list(Step))
async def test_a_worker_killed_at_any_step_of_a_transaction_loses_no_wake_and_doubles_none(
    system: System, step: Step
) -> None:
    async with system.process(MORTAL, step, "SIGKILL") as victim:
        service = await asleep(system, f"killed-{step}")
        asked = await system.request(service)
        await heard(victim, "trapped")
        assert await victim.wait() == -signal.SIGKILL
    heir = await system.run(WORKER)
    # Without a second request.
    await system.until(lambda: system.ready(service))
    again = await system.request(service)
    await system.until_dealt_with(asked, again)
    (command,) = await system.durable_commands(service)
    assert command.cause == RecordCause(topic=asked.topic, partition=asked.partition, offset=asked.offset)
    ids = [decision.id for decision in system.decisions(service)]
    assert len(ids) == len(set(ids))
    assert len(system.decisions(service, "request")) == 1
    await heir.stop()


async def test_a_zombie_in_the_midst_of_a_transaction_can_write_nothing(system: System) -> None:
    async with system.process(MORTAL, Step.OFFSETS, "SIGSTOP") as zombie:
        service = await asleep(system, "haunted")
        asked = await system.request(service)
        await heard(zombie, "trapped")
        # It is silent for longer than its session lasts: others are given its partitions.
        heir = await system.run(WORKER)
        await system.until_owns(heir, lambda number: number == system.settings.partitions)
        await system.until(lambda: system.ready(service))
        zombie.send_signal(signal.SIGCONT)
        # Its commit is refused; it drops everything and joins anew, as one of two.
        await system.until_owns(heir, lambda number: 0 < number < system.settings.partitions)
        again = await system.request(service)
        await system.until_dealt_with(asked, again)
        zombie.send_signal(signal.SIGTERM)
        await zombie.communicate()
        assert zombie.returncode == 0
    await heir.stop()
    (command,) = await system.durable_commands(service)
    # The zombie had written its command, the very same: it never became durable.
    written = await written_commands(system, service)
    assert [each.id for each in written] == [command.id, command.id]
    assert len(system.decisions(service, "request")) == 1


async def written_commands(system: System, service: Service) -> list[ScaleCommand]:
    """The commands of a service in the log, those of aborted transactions too."""
    place = TopicPartition(Topic.SCALE_COMMANDS.under(system.settings.topic_prefix), system.partition(service))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.settings.kafka_bootstrap[0], isolation_level="read_uncommitted"
    )
    consumer.assign([place])
    await consumer.start()
    try:
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
        found = []
        while await consumer.position(place) < end:
            found += [record.value for record in (await consumer.getmany(place, timeout_ms=200)).get(place, [])]
    finally:
        await consumer.stop()
    commands = [decode(ScaleCommand, value) for value in found]
    return [each for each in commands if not isinstance(each, Undecodable) and service.is_meant(each)]


async def test_two_workers_share_and_the_one_that_stays_goes_on_with_the_state(system: System) -> None:
    partitions = system.settings.partitions
    stays = await system.run(WORKER)
    services = [await asleep(system, f"shared-{number}") for number in range(6)]
    assert {system.partition(service) for service in services} == set(range(partitions))
    async with system.process() as leaves:
        await system.until_owns(stays, lambda number: 0 < number < partitions)
        first = {service: await system.request(service) for service in services}
        await system.until(lambda: all(system.ready(service) for service in services))
        leaves.send_signal(signal.SIGTERM)
        await leaves.communicate()
        assert leaves.returncode == 0
    await system.until_owns(stays, lambda number: number == partitions)
    again = [await system.request(service) for service in services]
    await system.until_dealt_with(*first.values(), *again)
    for service, asked in first.items():
        # Who had lost the state would ask for these wakes once more.
        (command,) = await system.durable_commands(service)
        assert command.cause == RecordCause(topic=asked.topic, partition=asked.partition, offset=asked.offset)
    late = await asleep(system, "late")
    await system.request(late)
    await system.until(lambda: system.ready(late))
    await stays.stop()
