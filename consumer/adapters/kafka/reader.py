"""Committed reads of one partition outside of any group: restores, dashboards, whoever follows a topic."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.adapters.kafka.assigned import assigned
from consumer.adapters.kafka.connection import KafkaConnection, admin, records_of
from consumer.adapters.kafka.topics import partition_counts
from consumer.ports import LogError, Record

_BATCH = 2_000
_WAIT_MS = 1_000
# A restore reads whole partitions: larger chunks mean fewer round trips.
_PER_PARTITION = 8 * 1_048_576
# aiokafka asks again for ever and never says so; who waits for an end must learn that there is none to be had.
_REQUESTS_WITHOUT_ANSWER = 3


class KafkaReader:
    """Opens a consumer of its own for each reading; committed records only."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        """Yield everything up to the end as it was at the call.

        The end of committed reads lies before the first open transaction: who fences first reads all there is.
        Raises LogError when nothing comes although the end is not reached.
        """
        tp = TopicPartition(topic, partition)
        async with self._consumer(tp) as consumer:
            end = (await consumer.end_offsets([tp]))[tp]
            first = (await consumer.beginning_offsets([tp]))[tp]
            consumer.seek(tp, first)
            # Positions count control records too, so that an aborted transaction at the end is not waited for.
            while await consumer.position(tp) < end:
                if records := [record for record in await self._next(consumer, tp) if record.offset < end]:
                    yield records

    async def _next(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> list[Record]:
        """Return what comes next, nothing when that was only control records; raises LogError when all stands still."""
        before = await consumer.position(tp)
        found: list[Record] = []
        patience = _REQUESTS_WITHOUT_ANSWER * self._connection.request_timeout.total_seconds()
        try:
            async with asyncio.timeout(patience):
                while await consumer.position(tp) == before:
                    taken = await consumer.getmany(tp, timeout_ms=_WAIT_MS, max_records=_BATCH)
                    found = records_of(taken.get(tp, ()))
        except TimeoutError as error:
            raise LogError(
                f"Kafka at {self._connection.bootstrap}: reading {tp.topic}/{tp.partition} has stood still at offset "
                f"{before} for {patience:.0f} s; see that its brokers run, can be reached, and lead this partition"
            ) from error
        return found

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        """Yield from `offset` (None: the end) on, for ever."""
        tp = TopicPartition(topic, partition)
        async with self._consumer(tp) as consumer:
            consumer.seek(tp, (await consumer.end_offsets([tp]))[tp] if offset is None else offset)
            while True:
                found = await consumer.getmany(tp, timeout_ms=_WAIT_MS, max_records=_BATCH)
                if records := records_of(found.get(tp, ())):
                    yield records

    async def follow_topics(
        self, topics: Sequence[str], *, from_beginning: bool
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Yield the records of every partition of these topics, for ever; one consumer, in order per partition."""
        async with admin(self._connection) as client:
            counts = await partition_counts(self._connection, client, topics)
        tps = [TopicPartition(topic, partition) for topic, count in counts.items() for partition in range(count)]
        async with self._consumer(*tps) as consumer:
            await (consumer.seek_to_beginning(*tps) if from_beginning else consumer.seek_to_end(*tps))
            while True:
                found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_BATCH)
                for records in found.values():
                    yield records_of(records)

    def _consumer(self, *tps: TopicPartition) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
        return assigned(self._connection, tps, level="read_committed", per_partition=_PER_PARTITION)
