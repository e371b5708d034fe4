"""Reads whole topics up to where they all ended at one moment, for whoever judges a run afterwards."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from consumer.adapters.kafka.assigned import assigned
from consumer.adapters.kafka.connection import KafkaConnection, admin, records_of
from consumer.ports import Guarded, LogError, Operation, Permit, Record

_BATCH = 2_000
_WAIT_MS = 1_000
_REQUESTS_WITHOUT_ANSWER = 3
# What is fetched ahead is kept for each partition; a run of thousands of partitions must fit into memory.
_AHEAD = 1_048_576

Places = dict[TopicPartition, int]


class KafkaRecorder:
    """Reads topics outside of any group."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def offsets(self, group: str) -> Mapping[tuple[str, int], int]:
        """Return the next offset of a group in each partition that it committed one for; raises LogError."""
        async with admin(self._connection) as client:
            try:
                found = await client.list_consumer_group_offsets(group)
            except GroupAuthorizationFailedError as error:
                needed = Permit(Guarded.GROUP, group, Operation.DESCRIBE)
                raise self._connection.failed(f"asking how far {group} is", error, needed) from error
        return {(place.topic, place.partition): meta.offset for place, meta in found.items() if meta.offset >= 0}

    async def read(
        self, committed: Mapping[str, int], uncommitted: Mapping[str, int]
    ) -> AsyncGenerator[tuple[Sequence[Record], int], None]:
        """Yield records with how many offsets are left, from the beginning to the ends that all had at the call.

        Topics are given with the number of their partitions; of those `committed` only what is committed is read, of
        the others everything that was appended. Raises LogError when nothing comes although the end is not reached.
        """
        async with (
            assigned(self._connection, _places(committed), level="read_committed", per_partition=_AHEAD) as ours,
            assigned(self._connection, _places(uncommitted), level="read_uncommitted", per_partition=_AHEAD) as inputs,
        ):
            # All ends before any record: what is written meanwhile is of another run.
            parts = [(consumer, await _ends(consumer)) for consumer in (inputs, ours)]
            left = [await _left(consumer, ends) for consumer, ends in parts]
            for index, (consumer, ends) in enumerate(parts):
                reading = self._to_ends(consumer, ends)
                async with aclosing(reading):
                    async for records in reading:
                        left[index] = await _left(consumer, ends)
                        yield records, sum(left)

    async def _to_ends(self, consumer: AIOKafkaConsumer, ends: Places) -> AsyncGenerator[Sequence[Record], None]:
        while await _left(consumer, ends):
            for place, records in (await self._next(consumer, ends)).items():
                yield [record for record in records if record.offset < ends[place]]

    async def _next(self, consumer: AIOKafkaConsumer, ends: Places) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what comes next, nothing when that was only control records; raises LogError when all stands still."""
        before = await _left(consumer, ends)
        patience = _REQUESTS_WITHOUT_ANSWER * self._connection.request_timeout.total_seconds()
        try:
            async with asyncio.timeout(patience):
                while True:
                    found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_BATCH)
                    left = await _left(consumer, ends)
                    if found or left < before:
                        return {place: records_of(records) for place, records in found.items()}
        except TimeoutError as error:
            raise LogError(
                f"Kafka at {self._connection.bootstrap}: reading has stood still {before} offsets before the end for "
                f"{patience:.0f} s; see that its brokers run, can be reached, and lead all partitions"
            ) from error


def _places(topics: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, count in topics.items() for partition in range(count)]


async def _ends(consumer: AIOKafkaConsumer) -> Places:
    """Go to the beginnings and return the ends."""
    places = list(consumer.assignment())
    for place, first in (await consumer.beginning_offsets(places)).items():
        consumer.seek(place, first)
    ends: Places = await consumer.end_offsets(places)
    return ends


async def _left(consumer: AIOKafkaConsumer, ends: Places) -> int:
    return sum([max(0, end - await consumer.position(place)) for place, end in ends.items()])
