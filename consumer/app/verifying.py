"""Reads a run out of Kafka, whole, for the checker: what our topics still have, and how far our groups had come."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime

from consumer.adapters.kafka.recorder import KafkaRecorder
from consumer.app.judging import local_clock
from consumer.app.log import connection_of, partitions_of
from consumer.checker import GROUP, OFFSETS, Record, Recording
from consumer.settings import Settings
from consumer.worker.settings import INPUTS, WorkerSettings
from schemas.topics import installation

Progress = Callable[[int, int], None]
"""Told how many records were read, and how many offsets are left."""


async def records(settings: Settings, progress: Progress | None = None) -> AsyncGenerator[Record, None]:
    """Yield every record up to where the topics ended at the call, and first how far the groups had come.

    Inputs are read as the worker reads them, uncommitted; what we write, committed. Raises LogError.
    """
    recorder, now = KafkaRecorder(connection_of(settings, "cli")), local_clock().read().now
    specs = installation(settings.topic_prefix, settings.tenants)
    kinds = {name: name.removeprefix(settings.topic_prefix) for name in specs}
    # Before the ends: whatever the groups had done by then is in what is read.
    for group in _groups(settings):
        for record in _offsets(group, await recorder.offsets(group), kinds, now):
            yield record
    keyed = await partitions_of(settings)
    inputs = {name: spec.partitions(keyed) for name, spec in specs.items() if spec.topic in INPUTS}
    ours = {name: spec.partitions(keyed) for name, spec in specs.items() if spec.topic not in INPUTS}
    read = 0
    async with aclosing(recorder.read(ours, inputs)) as reading:
        async for batch, left in reading:
            read += len(batch)
            if progress is not None:
                progress(read, left)
            for one in batch:
                yield Record(
                    kinds[one.topic], one.partition, one.offset, one.at, one.key, one.value, tuple(one.headers)
                )


async def recorded(settings: Settings, progress: Progress | None = None) -> Recording:
    """Return all of that, in memory; raises LogError."""
    partitions = await partitions_of(settings)
    async with aclosing(records(settings, progress)) as reading:
        return Recording(tuple([record async for record in reading]), partitions)


def _groups(settings: Settings) -> tuple[str, str]:
    ours = WorkerSettings(prefix=settings.topic_prefix, group=settings.worker_group, tenants=settings.tenants)
    worker = ours.subscription().group
    return worker, f"{settings.topic_prefix}{settings.handler_group}"


def _offsets(
    group: str, offsets: Mapping[tuple[str, int], int], kinds: Mapping[str, str], now: datetime
) -> list[Record]:
    """Return the offsets of a group as records of their own kind."""
    return [
        Record(OFFSETS, partition, 0, now, kinds[topic].encode(), str(offset).encode(), ((GROUP, group.encode()),))
        for (topic, partition), offset in sorted(offsets.items())
        if topic in kinds
    ]
