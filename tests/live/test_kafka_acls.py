"""The ACLs of the docs, one by one: with all of them each part works, without any of them it says which is missing."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import (
    KafkaConnection,
    KafkaMembership,
    KafkaPermits,
    KafkaPublisher,
    KafkaReader,
    KafkaWriters,
    create_topics,
    verify_topics,
)
from consumer.app import log
from consumer.app.reaching import KafkaReach
from consumer.app.verifying import recorded
from consumer.handler.wiring import HandlerSettings
from consumer.insight.acls import Names, Part, permits
from consumer.ports import Guarded, LogError, Operation, Output, Permit, Subscription, Transaction, grant
from consumer.settings import Role, Settings
from consumer.worker.settings import INPUTS, OUTPUTS, WorkerSettings
from schemas.topics import TOPICS, Topic
from tests.bed.secure_kafka import SecureKafka, secure
from tests.live.kafka_acls import kafka_acls

__all__ = ["secure"]

PREFIX = "acl."
NAMES = Names(PREFIX, "worker", "handler")
_PATIENCE = 30
_LOOK_AGAIN = 0.05


@pytest.fixture(scope="session")
async def topics(secure: SecureKafka) -> SecureKafka:
    """The broker with the topics of one installation; a record in each, so that there is something to read."""
    await create_topics(secure.admin, PREFIX, partitions=1, replication=1)
    publisher = KafkaPublisher(secure.admin)
    for spec in TOPICS:
        await publisher.publish(_record(spec.topic))
    await publisher.close()
    return secure


def _record(topic: Topic) -> Output:
    return Output(topic.under(PREFIX), 0, b"acl/test", b"{}")


@dataclass
class Using:
    """What a part does with Kafka, step by step, in the name of one user; and what was refused."""

    connection: KafkaConnection
    settings: Settings
    about: str | None = None
    """Leave out what is done with topics of other names (None: leave nothing out)."""
    refusal: str = ""

    async def step(self, what: Callable[[], Awaitable[object]]) -> None:
        """Go on, unless something was refused before: parts do so, too."""
        if self.refusal:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await what()
        except LogError as error:
            self.refusal = str(error)

    def chosen(self, topics: Sequence[Topic]) -> Sequence[Topic]:
        return [topic for topic in topics if self.about in (None, topic.under(self.settings.topic_prefix))]

    async def starts(self, role: Role) -> None:
        """The first look of `elasti run`."""
        publisher = KafkaPublisher(self.connection)
        reach = KafkaReach(self.settings, publisher, BrokerClock(), {role})

        async def look() -> None:
            finding = asyncio.create_task(reach.find())
            await asyncio.wait((finding, asyncio.create_task(reach.looked.wait())), return_when=asyncio.FIRST_COMPLETED)
            finding.cancel()
            with suppress(asyncio.CancelledError):
                await finding
            if reach.trouble:
                raise LogError(reach.trouble)

        await self.step(look)
        await publisher.close()

    async def publishes(self, *topics: Topic) -> None:
        publisher = KafkaPublisher(self.connection)
        for topic in self.chosen(topics):
            await self.step(lambda topic=topic: publisher.publish(_record(topic)))  # type: ignore[misc]
        await publisher.close()

    async def reads(self, *topics: Topic) -> None:
        async def read(topic: Topic) -> None:
            async for _ in KafkaReader(self.connection).read_to_end(topic.under(PREFIX), 0):
                pass

        for topic in self.chosen(topics):
            await self.step(lambda topic=topic: read(topic))  # type: ignore[misc]

    async def is_member(self, subscription: Subscription) -> KafkaMembership:
        """Join, take the partition over, and read each of its topics."""
        membership, owner = KafkaMembership(self.connection, subscription), Owner()

        async def consume() -> None:
            await membership.start(owner)
            await owner.owns.wait()
            await membership.seek_to_committed(0)
            membership.resume(0)
            seen: set[str] = set()
            while seen != set(subscription.inputs):
                seen |= {record.topic for record in await membership.fetch(100, timedelta(seconds=1))}

        await self.step(consume)
        return membership


@dataclass
class Owner:
    owns: asyncio.Event = field(default_factory=asyncio.Event)

    async def gained(self, partitions: frozenset[int]) -> None:
        if partitions:
            self.owns.set()

    async def lost(self, partitions: frozenset[int]) -> None:
        """Nothing is held."""


async def _worker(using: Using) -> None:
    subscription = WorkerSettings(prefix=PREFIX).subscription()
    await using.starts(Role.WORKER)
    membership = await using.is_member(subscription)
    writers = KafkaWriters(using.connection, subscription.group)

    async def decide() -> None:
        writer = await writers.open(0)
        try:
            for topic in (*OUTPUTS, Topic.DEAD_LETTER):
                offsets = {(Topic.HOSTS.under(PREFIX), 0): 1}
                await writer.commit(Transaction((_record(topic),), offsets))
        finally:
            await writer.close()

    await using.step(decide)
    await membership.stop()
    await using.publishes(*INPUTS)
    await using.reads(Topic.STATE, Topic.CONTROL)


async def _handler(using: Using) -> None:
    await using.starts(Role.HANDLER)
    membership = await using.is_member(HandlerSettings(prefix=PREFIX).subscription())
    await using.step(lambda: membership.commit({(Topic.SCALE_COMMANDS.under(PREFIX), 0): 0}))
    await membership.stop()
    await using.reads(Topic.SERVICE_STATUS, Topic.CONTROL)
    await using.publishes(Topic.SCALE_RESULTS, Topic.DEAD_LETTER)


async def _gateway(using: Using) -> None:
    await using.starts(Role.GATEWAY)
    await using.publishes(Topic.REQUEST_COUNTS)


async def _operator(using: Using) -> None:
    await using.step(lambda: log.partitions_of(using.settings))
    await using.step(lambda: verify_topics(using.connection, PREFIX))
    await using.publishes(Topic.CONTROL, Topic.REQUEST_COUNTS)
    await using.reads(Topic.CONTROL, Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.SERVICE_STATUS)
    await using.reads(Topic.DECISIONS, Topic.STATE)
    await using.step(lambda: log.beside(using.settings))


async def _auditor(using: Using) -> None:
    await using.step(lambda: recorded(using.settings))


async def _resolver(using: Using) -> None:
    await using.publishes(Topic.REQUEST_COUNTS, Topic.HOSTS)
    await using.reads(Topic.SCALE_RESULTS, Topic.SERVICE_STATUS)


async def _setup(using: Using) -> None:
    prefix = using.settings.topic_prefix
    await using.step(lambda: create_topics(using.connection, prefix, partitions=1, replication=1))
    await using.step(lambda: verify_topics(using.connection, prefix))


PARTS: Mapping[Part, Callable[[Using], Awaitable[None]]] = {
    Part.WORKER: _worker,
    Part.HANDLER: _handler,
    Part.GATEWAY: _gateway,
    Part.OPERATOR: _operator,
    Part.AUDITOR: _auditor,
    Part.RESOLVER: _resolver,
    Part.SETUP: _setup,
}


def _names(part: Part) -> Names:
    """The names that a part is tested with: whoever creates topics needs some that are not there."""
    return NAMES if part is not Part.SETUP else Names(f"{uuid.uuid4().hex[:8]}.", "worker", "handler")


async def _used(kafka: SecureKafka, part: Part, names: Names, without: Permit | None = None) -> str:
    """Do what the part does in the name of a new user, without one of its ACLs; returns the refusal."""
    user = f"user-{uuid.uuid4().hex[:8]}"
    settings = Settings.model_validate(
        {**kafka.settings_of(user, await kafka.user(user)), "topic_prefix": names.prefix}
    )
    await kafka.allow(user, [permit for permit in permits(part, names) if permit != without])
    about = without.name if without and without.guarded is Guarded.TOPIC else None
    using = Using(log.connection_of(settings, "test"), settings, about)
    await PARTS[part](using)
    return using.refusal


@pytest.mark.parametrize("part", Part)
async def test_with_its_acls_a_part_does_all_that_it_does(topics: SecureKafka, part: Part) -> None:
    assert await _used(topics, part, _names(part)) == ""


@pytest.mark.parametrize(
    ("part", "index"),
    [
        pytest.param(part, index, id=f"{part} {permit}")
        for part in Part
        for index, permit in enumerate(permits(part, NAMES))
    ],
)
async def test_without_one_of_them_it_says_which(topics: SecureKafka, part: Part, index: int) -> None:
    names = _names(part)
    without = permits(part, names)[index]
    refusal = await _used(topics, part, names, without)
    problem, _, cure = refusal.partition("; allow it: ")
    shown = without.operation if without.operation in problem else Operation.DESCRIBE
    assert f"may not {shown} {without.guarded.replace('-', ' ')} {without.name}" in problem
    assert f"--operation {shown} --{without.guarded} {without.name}" in cure


async def test_the_log_says_beforehand_which_are_missing(topics: SecureKafka) -> None:
    """What `elasti doctor` asks is what the parts come up against."""
    user = f"user-{uuid.uuid4().hex[:8]}"
    ours = KafkaPermits(topics.as_user(user, await topics.user(user)))
    every = [permit for part in Part for permit in permits(part, NAMES)]
    assert await ours.missing(every) == every
    for part in Part:
        await topics.allow(user, permits(part, NAMES))
        assert not set(permits(part, NAMES)) & set(await ours.missing(every))
    assert await ours.missing(every) == []


async def test_the_commands_are_those_of_kafkas_own_tool(topics: SecureKafka, tmp_path: Path) -> None:
    """What the docs and the doctor tell people to run, run by the tool that they have."""
    user = f"user-{uuid.uuid4().hex[:8]}"
    ours = KafkaPermits(topics.as_user(user, await topics.user(user)))
    hosts = Topic.HOSTS.under(PREFIX)
    # One of each kind of thing: the tool takes seconds for each.
    needed = [one for one in permits(Part.WORKER, NAMES) if one.guarded is not Guarded.TOPIC or one.name == hosts]
    await kafka_acls(topics, tmp_path, grant(needed, f"User:{user}", topics.bootstrap))
    async with asyncio.timeout(_PATIENCE):
        while True:
            if not await ours.missing(needed):
                break
            await asyncio.sleep(_LOOK_AGAIN)
