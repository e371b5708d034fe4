"""The handler on a real broker, with a simulated cluster: answers, order, crashes, rebalances, a log that is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import (
    KafkaConnection,
    KafkaMembership,
    KafkaPublisher,
    KafkaReader,
    KafkaWriters,
    create_topics,
)
from consumer.adapters.simulated_cluster import SimulatedCluster, Startup
from consumer.core.outcome import Command
from consumer.core.service import ServiceKey, TargetRef
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import LogError, Output, Placed, Publisher, TargetKey, Transaction
from consumer.wire.messages import command_message
from schemas.partitioning import partition_for
from schemas.scale_result import ScaleResult
from schemas.topics import Topic
from tests.handler.bed import HandPolicies, Told
from tests.handler.samples import HOWEVER_LATE, policy, up, zero

PARTITIONS = 3
QUICK = Startup(timedelta(milliseconds=50))
NAMES = ("web", "cart", "pay", "auth", "mail", "blog")
KEYS = tuple(ServiceKey("shop", name) for name in NAMES)


def target_of(key: ServiceKey) -> TargetKey:
    return TargetKey(key.namespace, TargetRef("apps/v1", "Deployment", key.name))


class Stage:
    """One installation on a real broker: its topics, its cluster, its policies, and the worker's pen."""

    def __init__(self, kafka: EmbeddedKafka, prefix: str) -> None:
        self.settings = HandlerSettings(prefix=prefix, drain=timedelta(milliseconds=500), zero_within=HOWEVER_LATE)
        self.connection = KafkaConnection(kafka.bootstrap)
        self.clock = BrokerClock()
        self.cluster = SimulatedCluster(self.clock)
        self.policies = HandPolicies()
        self.told = Told()
        self.results: list[ScaleResult] = []
        self._publisher = KafkaPublisher(self.connection)
        self._grown = asyncio.Condition()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stage"]:
        """Create the topics, let the cluster run, and follow the results."""
        await create_topics(self.connection, self.settings.prefix, partitions=PARTITIONS, replication=1)
        for key in KEYS:
            self.policies.put(policy(key))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self.cluster.run())]
            running += [tasks.create_task(self._follow(partition)) for partition in range(PARTITIONS)]
            yield self
            for task in running:
                task.cancel()
        await self._publisher.close()

    def ports(self, publisher: Publisher | None = None) -> HandlerPorts:
        return HandlerPorts(
            membership=KafkaMembership(self.connection, self.settings.subscription()),
            publisher=publisher or self._publisher,
            reader=KafkaReader(self.connection),
            targets=self.cluster,
            policies=self.policies,
            clock=self.clock,
            telemetry=self.told,
            chance=lambda: 0.5,
        )

    @asynccontextmanager
    async def running(self, publisher: Publisher | None = None) -> AsyncIterator[ScaleHandler]:
        """A handler that is a member and restored, stopped politely at the end."""
        handler = ScaleHandler(self.ports(publisher), self.settings)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(handler.run())
            await until(lambda: handler.health().ready)
            yield handler
            await handler.stop()

    async def command(self, *commands: Command) -> None:
        """Write commands as the worker does: in a transaction."""
        writer = await KafkaWriters(self.connection, f"{self.settings.prefix}worker").open(0)
        await writer.commit(Transaction(tuple(self.output(command) for command in commands), {}))
        await writer.close()

    def output(self, command: Command) -> Output:
        value = command_message(command, self.settings.cluster).encode()
        partition = partition_for(command.key.namespace, command.key.name, PARTITIONS)
        return Output(self.settings.topic(Topic.SCALE_COMMANDS), partition, bytes(command.key), value)

    async def seen(self, holds: Callable[[Sequence[ScaleResult]], bool]) -> Sequence[ScaleResult]:
        """Wait until the results in the log are so."""
        async with self._grown:
            await self._grown.wait_for(lambda: holds(self.results))
        return tuple(self.results)

    async def answered(self, command: Command) -> Sequence[str]:
        """Wait for the answer to a command; returns all that it got."""
        await self.seen(lambda results: any(result.command_id == command.id for result in results))
        return [result.phase.value for result in self.results if result.command_id == command.id]

    async def _follow(self, partition: int) -> None:
        topic = self.settings.topic(Topic.SCALE_RESULTS)
        async for records in KafkaReader(self.connection).follow(topic, partition, 0):
            async with self._grown:
                self.results += [ScaleResult.model_validate_json(record.value or b"") for record in records]
                self._grown.notify_all()

    async def committed(self) -> int:
        """How far the group's offsets are, over all partitions; control marks count."""
        member = KafkaMembership(self.connection, self.settings.subscription())
        positions: dict[int, int] = {}

        class Asking:
            async def gained(self, partitions: frozenset[int]) -> None:
                for partition in partitions:
                    positions[partition] = sum((await member.seek_to_committed(partition)).values())

            async def lost(self, partitions: frozenset[int]) -> None:
                pass

        await member.start(Asking())
        await until(lambda: len(positions) == PARTITIONS)
        await member.stop()
        return sum(positions.values())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for lies in the broker
        await asyncio.sleep(0.02)


def of(results: Sequence[ScaleResult], key: ServiceKey) -> list[str]:
    return [result.phase.value for result in results if result.service == key.name]


def has(key: ServiceKey, phase: str) -> Callable[[Sequence[ScaleResult]], bool]:
    return lambda results: phase in of(results, key)


@pytest.fixture
async def stage(kafka: EmbeddedKafka, prefix: str) -> AsyncIterator[Stage]:
    async with Stage(kafka, prefix).open() as stage:
        yield stage


WEB = KEYS[0]


async def test_a_wake_is_accepted_and_ready_in_the_log_and_leaves_no_lag(stage: Stage) -> None:
    stage.cluster.create(target_of(WEB), replicas=0, startup=QUICK)
    async with stage.running():
        await stage.seen(has(WEB, "observed"))
        await stage.command(up(1, replicas=2))
        await stage.seen(has(WEB, "ready"))
    assert of(stage.results, WEB) == ["observed", "accepted", "ready"]
    accepted, ready = stage.results[-2:]
    assert accepted.target.generation == ready.target.generation
    assert (accepted.replicas, ready.ready_replicas >= 1) == (2, True)
    assert await stage.committed() >= 1


async def test_commands_that_waited_before_the_first_start_are_carried_out(stage: Stage) -> None:
    stage.cluster.create(target_of(WEB), replicas=0, startup=QUICK)
    await stage.command(up(1))
    async with stage.running():
        assert await stage.answered(up(1)) == ["accepted"]


async def test_a_command_of_an_aborted_transaction_is_never_carried_out(stage: Stage) -> None:
    awake = stage.cluster.create(target_of(WEB), replicas=1, startup=QUICK)
    huge = Output(stage.settings.topic(Topic.STATE), 0, b"k", b"x" * 1_100_000)
    writers = KafkaWriters(stage.connection, f"{stage.settings.prefix}worker")
    writer = await writers.open(0)
    with pytest.raises(LogError):
        await writer.commit(Transaction((stage.output(zero(1, awake)), huge), {}))
    await writer.close()
    async with stage.running():
        await stage.command(up(2))
        await stage.answered(up(2))
    assert not any(result.command_id == zero(1, awake).id for result in stage.results)
    assert (await stage.cluster.look(target_of(WEB))).replicas == 1


class Mute:
    """A publisher that never gets an answer from the log for results: its handler can be killed at that very step."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def publish(self, output: Output) -> Placed:
        if b'"commandId":null' not in (output.value or b""):
            self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(output)


@pytest.mark.parametrize("direction", ["up", "zero"])
async def test_a_handler_that_dies_between_its_call_and_its_answer_does_no_harm(stage: Stage, direction: str) -> None:
    there = stage.cluster.create(target_of(WEB), replicas=1 if direction == "zero" else 0, startup=QUICK)
    # It has told something before, and knows the time by that: one that does not begins no sleep.
    moment = stage.clock.read()
    stage.clock.learn(moment.now, moment, moment)
    mute = Mute()
    first, then = (zero(1, there), up(2)) if direction == "zero" else (up(1), None)
    async with asyncio.TaskGroup() as tasks:
        handler = ScaleHandler(stage.ports(mute), stage.settings)
        running = tasks.create_task(handler.run())
        await until(lambda: handler.health().ready)
        await stage.command(first)
        # The first observation hangs before it, so the call itself tells.
        await until(lambda: "ok" in stage.told.calls)
        if then is not None:
            await stage.command(then)
            await until(lambda: stage.told.calls.count("ok") >= 2)
        running.cancel()
    generation = (await stage.cluster.look(target_of(WEB))).generation
    async with stage.running():
        answers = await stage.answered(then or first)
        again = await stage.answered(first)
    assert answers == ["unchanged"]
    assert again == (["superseded"] if direction == "zero" else ["unchanged"])
    after = await stage.cluster.look(target_of(WEB))
    assert (after.replicas, after.generation) == (1, generation)


async def test_the_newest_of_many_commands_decides_for_every_service(stage: Stage) -> None:
    views = {key: stage.cluster.create(target_of(key), replicas=1, startup=QUICK) for key in KEYS}
    commands = [zero(seq, views[key], key=key) for seq in range(1, 20) for key in KEYS]
    commands += [up(20, replicas=2, key=key) for key in KEYS]
    async with stage.running():
        await stage.command(*commands)
        for key in KEYS:
            await stage.answered(up(20, key=key))
        # Every single one is answered, and in the order of the log the last word is the newest command's.
        await stage.seen(lambda results: len([one for one in results if one.command_id]) >= len(commands))
    for key in KEYS:
        assert (await stage.cluster.look(target_of(key))).replicas == 2
    assert await stage.committed() >= len(commands)


async def test_two_handlers_share_the_services_and_the_one_that_stays_takes_over(stage: Stage) -> None:
    for key in KEYS:
        stage.cluster.create(target_of(key), replicas=0, startup=QUICK)
    async with stage.running() as first:
        async with stage.running() as second:
            await until(lambda: first.health().ready and second.health().ready)
            await until(lambda: len(first.health().partitions | second.health().partitions) == PARTITIONS)
            assert not first.health().partitions & second.health().partitions
            await stage.command(*(up(1, key=key) for key in KEYS))
            for key in KEYS:
                await stage.answered(up(1, key=key))
        await until(lambda: len(first.health().partitions) == PARTITIONS)
        await stage.command(*(up(2, replicas=2, key=key) for key in KEYS))
        for key in KEYS:
            assert await stage.answered(up(2, key=key)) == ["accepted"]


async def test_what_happens_while_the_log_is_away_is_published_when_it_is_back(
    own_kafka: EmbeddedKafka, prefix: str
) -> None:
    async with Stage(own_kafka, prefix).open() as stage:
        stage.settings = replace(stage.settings, drain=timedelta(seconds=8))
        stage.cluster.create(target_of(WEB), replicas=0, startup=Startup(timedelta(milliseconds=300)))
        async with stage.running():
            await stage.seen(has(WEB, "observed"))
            await stage.command(up(1))
            await stage.answered(up(1))
            own_kafka.pause()
            await until(lambda: stage.cluster.usage().used > timedelta(seconds=1))
            stage.cluster.scale_by_hand(target_of(WEB), 3, "maria")
            own_kafka.resume()
            await stage.seen(lambda results: any(result.manager == "maria" for result in results))
        assert of(stage.results, WEB)[:2] == ["observed", "accepted"]
        assert "ready" in of(stage.results, WEB)
