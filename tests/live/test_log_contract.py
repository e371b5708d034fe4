"""A real Kafka keeps the promises of the log's ports, the very ones that the memory twin is tested by."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import (
    KafkaConnection,
    KafkaMembership,
    KafkaPublisher,
    KafkaReader,
    KafkaWriters,
    create_topics,
    verify_topics,
)
from consumer.adapters.kafka.connection import admin
from consumer.adapters.kafka.topics import shown
from consumer.ports import LogError, LogReader, Membership, Publisher, Subscription, Writers
from schemas.topics import TOPICS, Topic
from tests.contracts.log import LogReaderContract, PublisherContract, WritersContract
from tests.contracts.log_bed import Bed, Owner, joined, line, names
from tests.contracts.log_membership import MembershipContract


class KafkaBed:
    """Clients of a real broker; the publishers are closed at the end of the test."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self.connection = KafkaConnection(kafka.bootstrap)
        self._publishers: list[KafkaPublisher] = []

    async def create(self, topic: str, partitions: int) -> None:
        async with admin(self.connection) as client:
            await client.create_topics(
                [NewTopic(topic, partitions, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})]
            )
        await shown(self.connection, [topic])

    def membership(self, subscription: Subscription) -> Membership:
        return KafkaMembership(self.connection, subscription)

    def writers(self, group: str) -> Writers:
        return KafkaWriters(self.connection, group)

    def publisher(self) -> Publisher:
        publisher = KafkaPublisher(self.connection)
        self._publishers.append(publisher)
        return publisher

    def reader(self) -> LogReader:
        return KafkaReader(self.connection)

    async def close(self) -> None:
        for publisher in self._publishers:
            await publisher.close()


@pytest.fixture
async def bed(kafka: EmbeddedKafka) -> AsyncIterator[Bed]:
    bed = KafkaBed(kafka)
    yield bed
    await bed.close()


class TestKafkaMembership(MembershipContract):
    @pytest.fixture
    async def bed(self, kafka: EmbeddedKafka) -> AsyncIterator[Bed]:
        bed = KafkaBed(kafka)
        yield bed
        await bed.close()


class TestKafkaWriters(WritersContract):
    @pytest.fixture
    async def bed(self, kafka: EmbeddedKafka) -> AsyncIterator[Bed]:
        bed = KafkaBed(kafka)
        yield bed
        await bed.close()


class TestKafkaPublisher(PublisherContract):
    @pytest.fixture
    async def bed(self, kafka: EmbeddedKafka) -> AsyncIterator[Bed]:
        bed = KafkaBed(kafka)
        yield bed
        await bed.close()


class TestKafkaReader(LogReaderContract):
    @pytest.fixture
    async def bed(self, kafka: EmbeddedKafka) -> AsyncIterator[Bed]:
        bed = KafkaBed(kafka)
        yield bed
        await bed.close()


async def test_topics_are_created_once_and_found_as_they_should_be(kafka: EmbeddedKafka, prefix: str) -> None:
    connection = KafkaConnection(kafka.bootstrap)
    missing = await verify_topics(connection, prefix)
    assert len(missing) == len(TOPICS)
    created = await create_topics(connection, prefix, partitions=3, replication=1)
    assert set(created) == {spec.topic.under(prefix) for spec in TOPICS}
    assert await create_topics(connection, prefix, partitions=3, replication=1) == []
    assert await verify_topics(connection, prefix) == []


async def test_a_topic_that_is_not_as_it_should_be_is_named(kafka: EmbeddedKafka, prefix: str) -> None:
    connection = KafkaConnection(kafka.bootstrap)
    hosts, control = Topic.HOSTS.under(prefix), Topic.CONTROL.under(prefix)
    async with admin(connection) as client:
        await client.create_topics([NewTopic(hosts, 2, 1), NewTopic(control, 2, 1)])
    await shown(connection, [hosts, control])
    await create_topics(connection, prefix, partitions=3, replication=1)
    problems = await verify_topics(connection, prefix)
    assert any(f"{hosts} has 2" in problem for problem in problems)
    assert f"topic {control} has 2 partitions; it must have one" in problems
    assert any(f"topic {hosts}: message.timestamp.type is CreateTime" in problem for problem in problems)


async def test_a_broker_that_refuses_topics_says_why(kafka: EmbeddedKafka, prefix: str) -> None:
    with pytest.raises(LogError, match="replication"):
        await create_topics(KafkaConnection(kafka.bootstrap), prefix, partitions=1, replication=3)


async def test_who_can_not_be_reached_is_named() -> None:
    nowhere = KafkaConnection("127.0.0.1:1")
    with pytest.raises(LogError, match=re.escape("127.0.0.1:1")):
        await KafkaMembership(nowhere, Subscription("g", ("t",))).start(Owner())
    with pytest.raises(LogError, match=re.escape("127.0.0.1:1")):
        await KafkaWriters(nowhere, "g").open(0)
    with pytest.raises(LogError, match=re.escape("127.0.0.1:1")):
        await KafkaPublisher(nowhere).publish(line("t", "x"))
    with pytest.raises(LogError, match=re.escape("127.0.0.1:1")):
        async for _ in KafkaReader(nowhere).read_to_end("t", 0):
            pass


async def test_a_reading_whose_broker_hangs_ends_with_what_to_do(own_kafka: EmbeddedKafka, prefix: str) -> None:
    topic = f"{prefix}long"
    async with admin(KafkaConnection(own_kafka.bootstrap)) as client:
        await client.create_topics([NewTopic(topic, 1, 1)])
    publisher = KafkaPublisher(KafkaConnection(own_kafka.bootstrap))
    # Several times what one fetch brings, so that more has to be asked for.
    for _ in range(40):
        await publisher.publish(line(topic, "x" * 500_000))
    await publisher.close()
    hasty = KafkaConnection(own_kafka.bootstrap, request_timeout=timedelta(seconds=1))
    reading = aiter(KafkaReader(hasty).read_to_end(topic, 0))
    seen = len(await anext(reading))
    own_kafka.pause()
    with pytest.raises(LogError, match=rf"{re.escape(topic)}/0 has stood still at offset {seen} for 3 s; see that"):
        await anext(reading)
    own_kafka.resume()
    assert seen < sum([len(records) async for records in KafkaReader(hasty).read_to_end(topic, 0)]) == 40


async def test_tls_files_that_can_not_be_read_are_named(prefix: str) -> None:
    connection = KafkaConnection("127.0.0.1:1", "SSL", ca_file=Path(f"/nowhere/{prefix}ca.pem"))
    with pytest.raises(LogError, match=r"ca\.pem"):
        connection.options()


class Lingering(Owner):
    """Is asked to finish, and takes as long as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def lost(self, partitions: frozenset[int]) -> None:
        self.asked.set()
        await self.let.wait()
        await super().lost(partitions)


async def test_what_a_member_is_given_while_it_finishes_is_nobodys(bed: Bed) -> None:
    topic, _ = names()
    await bed.create(topic, 2)
    subscription = Subscription(topic, (topic,))
    member, leaving = bed.membership(subscription), Lingering()
    await member.start(leaving)
    await leaving.holds({0, 1})
    stopping = asyncio.create_task(member.stop())
    await leaving.asked.wait()
    async with joined(bed, subscription) as (_, other):
        # The one that leaves is still a member, and is given the other half.
        await other.holds_some()
        leaving.let.set()
        await stopping
        await other.holds({0, 1})
    assert [what for what, _ in leaving.told] == ["gained", "lost"]
