"""What reading RequestCounts costs a whole worker beside bare loops on the same topics: `python -m bench.ingest`.

The services are awake and known, as in a steady state: the worker decodes, routes, folds, judges each request, counts
it in its service's window, and writes every state that changed in its transactions. The bare loops only fetch, one of
them parses too. All read the same backlog from its beginning, in turns; wall time runs from the beginning of reading to
the last record that is applied, processor time (this process alone) to the end of the last transaction.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median
from time import perf_counter, process_time
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench._bed import broker, quick, topics
from bench.decide import AROUND, AWAKE, NOW, POLICY, REQUEST
from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaConnection, KafkaMembership, KafkaPublisher, KafkaReader, KafkaWriters
from consumer.app.parts import collect_rarely
from consumer.core.decide import respond
from consumer.core.inputs import RecordCause, ResultSeen
from consumer.core.observe import observe
from consumer.core.policy import Policy
from consumer.core.service import Phase, ServiceKey
from consumer.core.state import ServiceState
from consumer.core.window import Window
from consumer.ports import Transaction, Writer
from consumer.telemetry import Telemetry, configure_logging
from consumer.wire.state import state_to_bytes
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount
from schemas.topics import Topic
from tests.worker.bed import Listed, Says

SERVICES: Final = 10_000
WINDOW: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Meter:
    """Counts what one way has done, and stops its watches."""

    records: int
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)
    begun: float = 0.0
    cpu_begun: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0
    _durable: dict[tuple[str, int], int] = field(default_factory=dict)

    def begin(self) -> None:
        """Reading begins, if it did not before."""
        if not self.begun:
            self.begun, self.cpu_begun = perf_counter(), process_time()

    def applied(self, count: int) -> None:
        """So many more are dealt with."""
        self._seen += count
        if self._seen == self.records:
            self.wall = perf_counter() - self.begun
            self.cpu = process_time() - self.cpu_begun

    def committed(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """These offsets are durable."""
        self._durable.update(offsets)
        if all(self._durable.get(place) == end for place, end in self.ends.items()):
            self.cpu = process_time() - self.cpu_begun
            self.done.set()


@dataclass(frozen=True, slots=True)
class Backlog:
    """A topic full of requests, and the states of their services."""

    bootstrap: str
    prefix: str
    partitions: int
    records: int

    @property
    def topic(self) -> str:
        """Where the requests are."""
        return Topic.REQUEST_COUNTS.under(self.prefix)

    async def fill(self, names: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Write states and requests; returns the ends of the requests."""
        await topics(self.bootstrap, self.prefix, self.partitions)
        states = Topic.STATE.under(self.prefix)
        ends = {(self.topic, partition): 0 for partition in range(self.partitions)}
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, max_batch_size=262_144) as producer:
            for name in service_names():
                partition = partition_for("shop", name, self.partitions)
                value = state_to_bytes(state_of(name), "default")
                await producer.send(states, value, record_key("shop", name), partition)
            for name in names:
                partition = partition_for("shop", name, self.partitions)
                value = RequestCount(1, name, "shop").encode()
                await producer.send(self.topic, value, record_key("shop", name), partition)
                ends[self.topic, partition] += 1
        return ends


class StampedMembership(KafkaMembership):
    """Tells when the first partition is read."""

    meter: Meter

    def resume(self, partition: int) -> None:
        """Resume as ever."""
        self.meter.begin()
        super().resume(partition)


class StampedTelemetry(Telemetry):
    """Tells how many requests are applied."""

    meter: Meter

    def requests(self, count: int) -> None:
        """Count as ever."""
        super().requests(count)
        self.meter.applied(count)


@dataclass(slots=True)
class StampedWriter:
    """Tells which offsets are durable."""

    inner: Writer
    meter: Meter

    @property
    def identity(self) -> str:
        """As ever."""
        return self.inner.identity

    async def commit(self, transaction: Transaction) -> tuple[object, ...]:
        """Commit as ever."""
        placed = await self.inner.commit(transaction)
        self.meter.committed(transaction.offsets)
        return placed

    async def close(self) -> None:
        """Close as ever."""
        await self.inner.close()


class StampedWriters(KafkaWriters):
    """Opens writers that tell what they made durable."""

    meter: Meter

    async def open(self, partition: int) -> StampedWriter:  # type: ignore[override]  # a writer as the port has it
        """Open as ever."""
        return StampedWriter(await super().open(partition), self.meter)


def service_names() -> list[str]:
    """All of them."""
    return [f"service-{number}" for number in range(SERVICES)]


def _settled() -> ServiceState:
    """A service that was asked up by a request, and is."""
    asked = respond(POLICY, observe(AWAKE, REQUEST, NOW), REQUEST, AROUND, NOW)
    if asked.command is None or asked.state.target is None or asked.state.target_ref is None:
        msg = "a first request asks for replicas; see what changed in the core"
        raise RuntimeError(msg)
    up = asked.state.target
    answer = ResultSeen(
        Phase.UNCHANGED,
        asked.command.id,
        asked.state.target_ref,
        uid=up.uid,
        generation=up.generation,
        replicas=up.replicas,
        ready=up.ready,
        at=NOW,
        origin=RecordCause("elasti.scale-results", 0, 0),
    )
    return replace(observe(asked.state, answer, NOW), marks=(), window=Window(WINDOW, since=NOW))


SETTLED: Final = _settled()


def state_of(name: str) -> ServiceState:
    """What the worker knows of a service."""
    return replace(SETTLED, key=ServiceKey("shop", name))


def policy_of(name: str) -> Policy:
    """A policy that counts requests."""
    return replace(POLICY, key=ServiceKey("shop", name), name=name)


async def bare(backlog: Backlog, take: Callable[[bytes], object] | None = None) -> Meter:
    """Fetch in a loop, and do this with every value."""
    meter = Meter(backlog.records)
    consumer = AIOKafkaConsumer(bootstrap_servers=backlog.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(backlog.topic, partition) for partition in range(backlog.partitions)])
    async with consumer:
        meter.begin()
        while not meter.wall:
            found = await consumer.getmany(timeout_ms=1_000)
            for records in found.values():
                if take is not None:
                    for record in records:
                        take(record.value)
                meter.applied(len(records))
    return meter


async def ours(backlog: Backlog, ends: Mapping[tuple[str, int], int]) -> Meter:
    """Let a whole worker work the backlog off."""
    meter = Meter(backlog.records, ends)
    connection = KafkaConnection(backlog.bootstrap)
    settings = WorkerSettings(prefix=backlog.prefix, interval=timedelta(days=1))
    subscription = settings.subscription()
    judges, names = Says(), service_names()
    judges.windows = {ServiceKey("shop", name): WINDOW for name in names}
    membership = StampedMembership(connection, subscription)
    writers = StampedWriters(connection, subscription.group)
    telemetry = StampedTelemetry("default", "bench")
    membership.meter = writers.meter = telemetry.meter = meter
    publisher = KafkaPublisher(connection)
    worker = Worker(
        WorkerPorts(
            membership=membership,
            writers=writers,
            publisher=publisher,
            reader=KafkaReader(connection),
            judges=judges,
            policies=Listed(*(policy_of(name) for name in names)),
            clock=BrokerClock(),
            telemetry=telemetry,
        ),
        settings,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await meter.done.wait()
        await worker.stop()
    await publisher.close()
    return meter


def evenly(records: int) -> list[str]:
    """Every service as often as every other, in no order: hardly two of a batch are of one service."""
    return [f"service-{number}" for number in random.Random(7).choices(range(SERVICES), k=records)]


def unevenly(records: int) -> list[str]:
    """As traffic is: the second busiest service half as often as the busiest, the tenth a tenth."""
    weights = [1 / (rank + 1) for rank in range(SERVICES)]
    return [f"service-{number}" for number in random.Random(7).choices(range(SERVICES), weights, k=records)]


def busily(records: int) -> list[str]:
    """A hundred services have all the traffic."""
    return [f"service-{number}" for number in random.Random(7).choices(range(100), k=records)]


TRAFFIC: Final[Sequence[tuple[str, Callable[[int], list[str]], int]]] = (
    ("100 of 10,000 services are busy", busily, 100_000),
    ("10,000 services, unevenly", unevenly, 50_000),
    ("10,000 services, evenly", evenly, 10_000),
)


async def main(*, brief: bool) -> None:
    """Measure and print."""
    configure_logging("json", "error")
    collect_rarely()
    rounds, share = (1, 10) if brief else (3, 1)
    async with broker() as bootstrap:
        for partitions in (1, 4):
            for kind, (title, traffic, records) in enumerate(TRAFFIC):
                names = traffic(records // share)
                meters: dict[str, list[Meter]] = {}
                for number in range(rounds):
                    backlog = Backlog(bootstrap, f"t{kind}.{partitions}.{number}.", partitions, len(names))
                    for way, meter in (await one_round(backlog, names)).items():
                        meters.setdefault(way, []).append(meter)
                print(f"\n{title}: {len(names)} records, {partitions} partitions, {rounds} rounds")
                report(len(names), meters)


async def one_round(backlog: Backlog, names: Sequence[str]) -> Mapping[str, Meter]:
    """Let each way read the same topic; a new one for every round, since states remember what was applied to them."""
    ends = await backlog.fill(names)
    return {
        "bare getmany loop": await bare(backlog),
        "bare loop, orjson": await bare(backlog, orjson.loads),
        "our worker": await ours(backlog, ends),
    }


def report(records: int, meters: Mapping[str, Sequence[Meter]]) -> None:
    """Print one table; ratios are medians of the rounds' own, against the bare loop of the same round."""
    limits = next(iter(meters.values()))
    for way, of_way in meters.items():
        wall = median(meter.wall for meter in of_way) / records * 1e6
        cpu = median(meter.cpu for meter in of_way) / records * 1e6
        ratio = median(meter.cpu / limit.cpu for meter, limit in zip(of_way, limits, strict=True))
        print(f"  {way:20} {wall:7.1f} µs wall {cpu:7.1f} µs cpu a record {1e6 / wall:9.0f} records/s {ratio:6.1f} x")


if __name__ == "__main__":
    brief = quick(__doc__)
    sys.exit(asyncio.run(main(brief=brief)))
