"""The log in memory keeps the promises of the log's ports."""

from datetime import timedelta

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader, MemoryWriters
from consumer.ports import LogReader, Membership, Publisher, Subscription, Transaction, Writers
from tests.contracts.log import LogReaderContract, PublisherContract, WritersContract
from tests.contracts.log_bed import Bed, Owner, fetched, line, names, ready, texts
from tests.contracts.log_membership import MembershipContract


class MemoryBed:
    """A log in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog(BrokerClock())

    async def create(self, topic: str, partitions: int) -> None:
        self.log.create(topic, partitions)

    def membership(self, subscription: Subscription) -> Membership:
        return MemoryMembership(self.log, subscription)

    def writers(self, group: str) -> Writers:
        return MemoryWriters(self.log, group)

    def publisher(self) -> Publisher:
        return MemoryPublisher(self.log)

    def reader(self) -> LogReader:
        return MemoryReader(self.log)


class TestMemoryMembership(MembershipContract):
    @pytest.fixture
    def bed(self) -> Bed:
        return MemoryBed()


class TestMemoryWriters(WritersContract):
    @pytest.fixture
    def bed(self) -> Bed:
        return MemoryBed()


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def bed(self) -> Bed:
        return MemoryBed()


class TestMemoryReader(LogReaderContract):
    @pytest.fixture
    def bed(self) -> Bed:
        return MemoryBed()


async def test_an_expired_member_is_not_told_and_the_other_takes_over() -> None:
    bed = MemoryBed()
    topic, _ = names()
    await bed.create(topic, 2)
    subscription = Subscription(topic, (topic,))
    zombie, other = MemoryMembership(bed.log, subscription), MemoryMembership(bed.log, subscription)
    sleeper, owner = Owner(), Owner()
    await zombie.start(sleeper)
    await other.start(owner)
    await ready(zombie, sleeper, {0})
    await zombie.expire()
    await owner.holds({0, 1})
    assert sleeper.held == {0}
    await bed.publisher().publish(line(topic, "for whoever looks"))
    assert texts(await fetched(zombie, 1)) == ["for whoever looks"]
    await zombie.stop()
    assert sleeper.held == frozenset()


async def test_committed_reads_stop_before_an_open_transaction() -> None:
    bed = MemoryBed()
    topic, _ = names()
    await bed.create(topic, 1)
    writer = await bed.writers(topic).open(0)
    commit = writer.commit(Transaction((line(topic, "open"),), {}))
    commit.send(None)
    await bed.publisher().publish(line(topic, "behind"))
    assert bed.log.end((topic, 0), committed_only=True) == 0
    assert bed.log.end((topic, 0), committed_only=False) == 2
    assert bed.log.records(topic) == []
    with pytest.raises(StopIteration):
        commit.send(None)
    assert texts(bed.log.records(topic)) == ["open", "behind"]


async def test_the_wait_of_a_fetch_is_the_clocks() -> None:
    bed = MemoryBed()
    topic, _ = names()
    await bed.create(topic, 1)
    member, owner = bed.membership(Subscription(topic, (topic,))), Owner()
    await member.start(owner)
    assert list(await member.fetch(1, timedelta())) == []
    await member.stop()
