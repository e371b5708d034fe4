"""What waits and what is written is bounded, and the worker says how it does."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from consumer.adapters.memory import MemoryMembership
from consumer.core.service import ServiceKey
from consumer.ports import (
    Ownership,
)
from consumer.worker.settings import WorkerSettings
from consumer.worker.worker import Worker
from schemas.topics import Topic
from tests.worker.bed import Bed, policy
from tests.worker.flaws import OneByOne


async def test_a_backlog_is_read_in_bounded_memory() -> None:
    settings = WorkerSettings(fetch_limit=10, backlog=20)
    bed = Bed(policy(), settings=settings)
    for _ in range(500):
        bed.request(count=0)
    asked = bed.request()
    most = 0
    async with bed.running() as worker:
        for _ in range(2_000):
            await asyncio.sleep(0)
            most = max(most, worker.waiting())
        await bed.flush()
        assert bed.committed(Topic.REQUEST_COUNTS) == asked.offset + 1
        assert len(bed.commands()) == 1
        assert 0 < most <= settings.backlog + settings.fetch_limit


async def test_heavy_records_are_read_in_bounded_memory_and_written_in_parts() -> None:
    bed = Bed(policy())
    for _ in range(30):
        bed.raw(Topic.REQUEST_COUNTS, b"x" * 1_000_000)
    async with bed.running(replace(bed.ports(), membership=OneByOne(bed.log, bed.settings.subscription()))):
        await bed.flush()
        await bed.flush()
        assert len(bed.records(Topic.DEAD_LETTER)) == 30
        assert bed.committed(Topic.REQUEST_COUNTS) == 30
        positions = [record.offset for record in bed.records(Topic.DEAD_LETTER)]
        # Each transaction ends with a marker that takes an offset.
        assert positions[-1] - 29 >= 30 // 5


async def test_a_large_journal_is_written_in_parts() -> None:
    keys = [ServiceKey("shop", f"s{number}") for number in range(900)]
    bed = Bed(*(policy(key) for key in keys))
    async with bed.running() as worker:
        assert len(worker.states()) == 900
        assert len(bed.records(Topic.STATE)) == 900


async def test_health_tells_what_is_restored_how_far_it_is_and_when_it_last_moved() -> None:
    bed = Bed(policy(), partitions=2)
    async with bed.running() as worker:
        for _ in range(3):
            bed.request(count=0)
        await bed.pass_time(timedelta(seconds=31))
        health = worker.health()
        assert [partition.partition for partition in health.partitions] == [0, 1]
        assert all(partition.moved_at >= bed.clock.now - timedelta(seconds=2) for partition in health.partitions)
        assert sum(partition.services for partition in health.partitions) == 1
        assert all(lag == 0 for partition in health.partitions for lag in partition.lag.values())
        text = bed.telemetry.render()[0].decode()
        assert "elasti_consumer_lag" in text
        assert 'elasti_services{cluster="default",status="unknown"} 1' in text
    assert not worker.health().joined
    assert "elasti_consumer_lag{" not in bed.telemetry.render()[0].decode()


async def test_a_worker_that_waits_for_its_first_partitions_can_be_stopped() -> None:
    bed = Bed()
    joining = asyncio.Event()

    class Waiting(MemoryMembership):
        async def start(self, ownership: Ownership) -> None:  # noqa: ARG002 - nobody is ever told
            joining.set()
            await asyncio.Event().wait()

    membership = Waiting(bed.log, bed.settings.subscription())
    worker = Worker(replace(bed.ports(), membership=membership), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await joining.wait()
        await worker.stop()


async def test_a_leaving_that_takes_too_long_is_cut_off() -> None:
    bed = Bed(policy(), settings=WorkerSettings(drain=timedelta(milliseconds=10)))

    class Sticky(MemoryMembership):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    async with bed.running(replace(bed.ports(), membership=Sticky(bed.log, bed.settings.subscription()))) as worker:
        assert worker.health().ready
    assert not worker.health().joined
