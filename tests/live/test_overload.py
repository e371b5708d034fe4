"""Behind on a real broker, and a Prometheus that takes longer than a cycle: bounded, awake, and no rebalance."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer

from bench._loads import CountedJudges, SlowServer, asking, seen_up
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaReader, create_topics
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.service import ServiceKey
from consumer.ports import Writer, Writers
from consumer.scalers.batcher import Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from schemas.codec import Undecodable, decode
from schemas.partitioning import partition_for, record_key
from schemas.scale_command import ScaleCommand
from schemas.topics import Topic
from tests.live.worker_process import ports_on, settings_of
from tests.live.working import working
from tests.worker.bed import Listed

pytestmark = pytest.mark.live

PARTITIONS = 2
BACKLOG = 30_000
BUSY = [f"busy-{number}" for number in range(20)]


class Counted:
    """Writers that count how often a partition was taken over."""

    def __init__(self, real: Writers) -> None:
        self._real = real
        self.opened = 0

    async def open(self, partition: int) -> Writer:
        self.opened += 1
        return await self._real.open(partition)


async def commands(kafka: EmbeddedKafka, prefix: str) -> list[ScaleCommand]:
    reader = KafkaReader(KafkaConnection(kafka.bootstrap))
    found = [
        decode(ScaleCommand, record.value)
        for partition in range(PARTITIONS)
        async for records in reader.read_to_end(prefix + Topic.SCALE_COMMANDS, partition)
        for record in records
    ]
    return [command for command in found if not isinstance(command, Undecodable)]


async def commanded(kafka: EmbeddedKafka, prefix: str, such: Callable[[ScaleCommand], bool]) -> list[ScaleCommand]:
    """Wait for a command of that kind; returns all there are then."""
    while True:
        found = await commands(kafka, prefix)
        if any(such(command) for command in found):
            return found
        await asyncio.sleep(0.1)


async def ask(producer: AIOKafkaProducer, prefix: str, name: str) -> None:
    place = partition_for("shop", name, PARTITIONS)
    value = json.dumps({"svc": name, "namespace": "shop"}).encode()
    await producer.send(prefix + Topic.REQUEST_COUNTS, value, record_key("shop", name), place)


async def test_a_worker_that_is_behind_keeps_its_place_its_bounds_and_everybody_awake(
    kafka: EmbeddedKafka, prefix: str
) -> None:
    await create_topics(KafkaConnection(kafka.bootstrap), prefix, partitions=PARTITIONS, replication=1)
    settings = replace(settings_of(prefix), interval=timedelta(seconds=1))
    plain = ports_on(kafka.bootstrap, settings, [*BUSY, "web"])
    writers = Counted(plain.writers)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5) as producer:
        for number in range(BACKLOG):
            await ask(producer, prefix, BUSY[number % len(BUSY)])
        await producer.flush()
        async with working(replace(plain, writers=writers), settings) as worker:
            await ask(producer, prefix, "web")
            most = 0
            async with asyncio.TaskGroup() as tasks:
                asked = tasks.create_task(commanded(kafka, prefix, lambda command: command.service == "web"))
                while not asked.done():
                    most = max(most, worker.waiting())
                    await asyncio.wait((asked,), timeout=0.05)
            # Fetched at once are as many as fit between a pause and its taking effect, whatever lies behind them.
            assert most <= PARTITIONS * (settings.backlog + settings.fetch_limit)
            assert writers.opened == PARTITIONS
            assert {command.direction.value for command in await commands(kafka, prefix)} == {"up"}


async def test_sweeps_of_a_server_that_is_slower_than_the_cycle_do_not_pile_up(
    kafka: EmbeddedKafka, prefix: str
) -> None:
    await create_topics(KafkaConnection(kafka.bootstrap), prefix, partitions=PARTITIONS, replication=1)
    settings = replace(settings_of(prefix), interval=timedelta(seconds=1))
    keys = [ServiceKey("shop", f"web-{number}") for number in range(10)]
    measurements, server = PrometheusMeasurements(), SlowServer(timedelta(seconds=5))
    batcher = Batcher(measurements, concurrent=4)
    judges = CountedJudges(SweepJudges(Registry(), batcher, limit=settings.interval * 2 / 3))
    async with server.serving() as url:
        plain = ports_on(kafka.bootstrap, settings, [])
        policies = Listed(*(asking(key, url) for key in keys))
        for key in keys:
            now = plain.clock.read().now
            await plain.publisher.publish(seen_up(key, settings, partitions=PARTITIONS, now=now))
        async with working(replace(plain, policies=policies, judges=judges), settings):
            await judges.until(4 * PARTITIONS)
            # Each partition sweeps for itself, and the server is asked no more at once than it was to be.
            assert judges.most <= PARTITIONS
            assert 0 < server.most <= 4
            assert await commands(kafka, prefix) == []
            # It was the server that kept them awake.
            server.delay = timedelta()
            await commanded(kafka, prefix, lambda command: command.direction.value == "zero")
        await measurements.close()
