"""What a member of a group does when the fetch fails, or when its leaving is cut off."""

import asyncio
from datetime import timedelta

import pytest
from aiokafka.errors import KafkaError

from consumer.adapters.kafka.connection import KafkaConnection
from consumer.adapters.kafka.membership import KafkaMembership
from consumer.ports import LogError, Subscription


class FailingConsumer:
    """Stands for aiokafka: nothing at first, then an error while it is waited for."""

    def __init__(self) -> None:
        self.asked = 0
        self.stopped = False

    async def getmany(self, *_tps: object, timeout_ms: int, max_records: int) -> dict[object, object]:
        self.asked += 1
        if self.asked == 1:
            return {}
        raise KafkaError(f"no answer within {timeout_ms} ms for {max_records} records")

    async def stop(self) -> None:
        self.stopped = True


class Slow:
    """An owner that does not come to an end with what it was given."""

    async def gained(self, partitions: frozenset[int]) -> None:
        raise AssertionError(partitions)

    async def lost(self, partitions: frozenset[int]) -> None:
        assert partitions
        await asyncio.Event().wait()


def member(consumer: FailingConsumer) -> KafkaMembership:
    """A member of a group that owns one partition, without a broker behind it."""
    membership = KafkaMembership(KafkaConnection("localhost:9092"), Subscription("group", ("topic",)))
    membership._consumer = consumer  # noqa: SLF001 - only a broker could put a consumer there
    membership._owned = frozenset({0})  # noqa: SLF001 - likewise
    return membership


async def test_a_fetch_that_fails_while_it_waits_says_so_as_a_log_error() -> None:
    membership = member(FailingConsumer())
    membership.resume(0)
    with pytest.raises(LogError, match="fetching failed"):
        await membership.fetch(10, timedelta(seconds=1))


async def test_a_leaving_that_is_cut_off_leaves_no_member_behind() -> None:
    consumer = FailingConsumer()
    membership = member(consumer)
    membership._ownership = Slow()  # noqa: SLF001 - it is handed over at the start, which needs a broker
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await membership.stop()
    assert consumer.stopped
    with pytest.raises(LogError, match="start first"):
        await membership.commit({})
