"""What a wake costs on a real Kafka, stage by stage, beside bare hops: `python -m bench.wake`.

Worker, handler and gateway run in this process on a simulated cluster without latency; a request is published, and each
stage is stamped by the same clock. Two references run in the same process on the same broker: a bare aiokafka relay
(produce, consume, produce, consume), once with idempotent producers and once with a transaction around the second
record and the first one's offset, as a worker must have it. The part of ours that compares with them ends at `called`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench._bed import broker, quick, rank, topics
from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader
from consumer.adapters.simulated_cluster import SimulatedCluster, Startup
from consumer.app.running import Assignment, Started, run
from consumer.core.service import TargetRef
from consumer.core.state import ServiceState
from consumer.ports import Change, Output, Record, TargetKey, TargetView
from consumer.settings import ALL_ROLES, ClusterAccess, Settings, load
from consumer.telemetry import configure_logging
from consumer.wire.state import state_from_bytes
from schemas.codec import Undecodable, decode
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic

PARTITIONS: Final = 4
STAGES: Final = ("acknowledged", "command", "called", "accepted", "ready")
"""The request is in the log; its command can be read; the cluster is called; both results can be read."""

Times = dict[str, float]


class Stamps:
    """When each stage of each wake was reached, by the clock of this process."""

    def __init__(self) -> None:
        self.begun: Times = {}
        self._reached: dict[str, Times] = {stage: {} for stage in STAGES}
        self._moved = asyncio.Condition()

    def reached(self, stage: str, name: str) -> None:
        """Stamp it, the first time."""
        if name in self.begun:
            self._reached[stage].setdefault(name, perf_counter())

    async def look(self) -> None:
        """Let whoever waits look again."""
        async with self._moved:
            self._moved.notify_all()

    async def ready(self, names: Sequence[str]) -> None:
        """Wait until all of these are ready."""
        async with self._moved:
            await self._moved.wait_for(lambda: all(name in self._reached["ready"] for name in names))

    def took(self, stage: str, names: Sequence[str]) -> list[float]:
        """Return the milliseconds from the sending of each request to the stage."""
        return [(self._reached[stage][name] - self.begun[name]) * 1e3 for name in names]


class StampedCluster(SimulatedCluster):
    """Stamps the call that scales."""

    stamps: Stamps

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Note when it was called."""
        self.stamps.reached("called", key.ref.name)
        return await super().scale(key, change)


class Installation:
    """Everything that runs for the measurement, with services that all sleep at the start."""

    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        self.stamps = Stamps()
        self._settings = settings
        self._names = names
        self._asleep: set[str] = set()
        self._publisher = KafkaPublisher(KafkaConnection(settings.kafka_bootstrap[0]))

    async def wake(self, names: Sequence[str]) -> None:
        """Send a request for each at once, and wait until all are ready."""
        await asyncio.gather(*(self._request(name) for name in names))
        await self.stamps.ready(names)

    async def _request(self, name: str) -> None:
        topic = Topic.REQUEST_COUNTS.under(self._settings.topic_prefix)
        partition = partition_for("shop", name, PARTITIONS)
        value = RequestCount(1, name, "shop").encode()
        self.stamps.begun[name] = perf_counter()
        await self._publisher.publish(Output(topic, partition, record_key("shop", name), value))
        self.stamps.reached("acknowledged", name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the worker knows of every service that it sleeps, and to the end of the block."""
        cluster = StampedCluster(BrokerClock())
        cluster.stamps = self.stamps
        for name in self._names:
            key = TargetKey("shop", TargetRef("apps/v1", "Deployment", name))
            cluster.create(key, replicas=0, startup=Startup(takes=Startup().takes * 0))
        stopping = asyncio.Event()
        up: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        assignment = Assignment(self._settings, ALL_ROLES, targets=cluster)
        async with asyncio.TaskGroup() as tasks:
            pods = tasks.create_task(cluster.run())
            following = tasks.create_task(self._follow())
            tasks.create_task(run(assignment, stopping=stopping, started=up.set_result))
            await up
            await self._all_asleep()
            yield
            stopping.set()
            for task in (pods, following):
                task.cancel()
        await self._publisher.close()

    async def _all_asleep(self) -> None:
        async with self.stamps._moved:  # noqa: SLF001 - of this module
            await self.stamps._moved.wait_for(lambda: len(self._asleep) == len(self._names))  # noqa: SLF001 - of this module

    async def _follow(self) -> None:
        seen = (Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.STATE)
        names = [topic.under(self._settings.topic_prefix) for topic in seen]
        reader = KafkaReader(KafkaConnection(self._settings.kafka_bootstrap[0]))
        async for records in reader.follow_topics(names, from_beginning=True):
            for record in records:
                self._note(record)
            await self.stamps.look()

    def _note(self, record: Record) -> None:
        name = (record.key or b"").decode().removeprefix("shop/")
        if record.topic.endswith(Topic.SCALE_COMMANDS):
            self.stamps.reached("command", name)
        elif record.topic.endswith(Topic.STATE):
            state = state_from_bytes(record.value or b"")
            if isinstance(state, ServiceState) and state.target is not None and not state.target.replicas:
                self._asleep.add(name)
        else:
            result = decode(ScaleResult, record.value)
            if not isinstance(result, Undecodable) and result.phase in (Phase.ACCEPTED, Phase.READY):
                self.stamps.reached(result.phase.value, name)


class Relay:
    """The bare way: what arrives in one topic is passed on to another, and read there."""

    def __init__(self, bootstrap: str, prefix: str, *, transactions: bool) -> None:
        self._bootstrap = bootstrap
        self._inbound, self._outbound = Topic.REQUEST_COUNTS.under(prefix), Topic.SCALE_COMMANDS.under(prefix)
        self._group = f"{prefix}relay"
        self._transactions = transactions
        self._begun: Times = {}
        self._arrived: Times = {}
        self._moved = asyncio.Condition()
        self._sender = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
        self._waiting: list[asyncio.Queue[list[bytes]]] = [asyncio.Queue() for _ in range(PARTITIONS)]

    async def wake(self, names: Sequence[str]) -> None:
        """Send one record for each at once, and wait until all have come through."""
        await asyncio.gather(*(self._send(name) for name in names))
        async with self._moved:
            await self._moved.wait_for(lambda: all(name in self._arrived for name in names))

    async def _send(self, name: str) -> None:
        self._begun[name] = perf_counter()
        partition = partition_for("shop", name, PARTITIONS)
        await self._sender.send_and_wait(self._inbound, name.encode(), partition=partition)

    def took(self, names: Sequence[str]) -> list[float]:
        """Return the milliseconds of each."""
        return [(self._arrived[name] - self._begun[name]) * 1e3 for name in names]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay during the block."""
        isolation = "read_committed" if self._transactions else "read_uncommitted"
        inbound, outbound = self._consumer(self._inbound), self._consumer(self._outbound, isolation)
        producers = [self._producer(partition) for partition in range(PARTITIONS)]
        clients = (self._sender, inbound, outbound, *producers)
        for client in clients:
            await client.start()
        for consumer in (inbound, outbound):
            await consumer.seek_to_beginning()
        async with asyncio.TaskGroup() as tasks:
            loops = [self._read(inbound), self._arrive(outbound)]
            loops += [self._pass_on(partition, producer) for partition, producer in enumerate(producers)]
            working = [tasks.create_task(loop) for loop in loops]
            yield
            for task in working:
                task.cancel()
        for client in clients:
            await client.stop()

    def _consumer(self, topic: str, isolation: str = "read_uncommitted") -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, isolation_level=isolation)
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        return consumer

    def _producer(self, partition: int) -> AIOKafkaProducer:
        name = f"{self._group}-{partition}" if self._transactions else None
        return AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True, transactional_id=name)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            found = await consumer.getmany(timeout_ms=1_000)
            for tp, records in found.items():
                self._waiting[tp.partition].put_nowait([record.value for record in records])

    async def _pass_on(self, partition: int, producer: AIOKafkaProducer) -> None:
        offset = 0
        while True:
            values = await self._waiting[partition].get()
            offset += len(values)
            if not self._transactions:
                for value in values:
                    await producer.send(self._outbound, value, partition=partition)
                continue
            async with producer.transaction():
                for value in values:
                    await producer.send(self._outbound, value, partition=partition)
                place = TopicPartition(self._inbound, partition)
                await producer.send_offsets_to_transaction({place: offset}, self._group)

    async def _arrive(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            found = await consumer.getmany(timeout_ms=1_000)
            for records in found.values():
                for record in records:
                    self._arrived[record.value.decode()] = perf_counter()
            async with self._moved:
                self._moved.notify_all()


def settings_of(bootstrap: str, policies: Path, prefix: str) -> Settings:
    """The defaults of production, but for a cluster that is simulated and cycles that do not come in between."""
    return load(
        {
            "kafka_bootstrap": (bootstrap,),
            "topic_prefix": prefix,
            "policies": (policies,),
            "cluster_access": ClusterAccess.SIMULATED,
            "polling_interval": "24h",
            "http_host": "127.0.0.1",
            "http_port": 0,
        }
    )


def policy_of(name: str) -> str:
    """A policy whose service only requests wake."""
    return f"""\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata: {{name: {name}, namespace: shop}}
spec:
  service: {name}
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  triggers: [{{type: request-count, metadata: {{threshold: "1", window: 5m}}}}]
"""


async def rounds(plan: Sequence[int], wakes: Sequence[Callable[[Sequence[str]], Awaitable[None]]]) -> list[list[str]]:
    """Wake the next services by every way in turn, as many at once as the plan says; returns who was in each round."""
    names = iter(f"s{number}" for number in range(sum(plan)))
    done = []
    for size in plan:
        together = list(islice(names, size))
        for wake in wakes:
            await wake(together)
        done.append(together)
    return done


async def main(*, brief: bool) -> None:
    """Measure and print."""
    configure_logging("json", "error")
    warm, serial, repeats = (5, 10, 1) if brief else (20, 200, 5)
    plan = [1] * (warm + serial) + [size for _ in range(repeats) for size in (10, 100)]
    names = [f"s{number}" for number in range(sum(plan))]
    async with broker() as bootstrap:
        for prefix in ("ours.", "bare.", "tx."):
            await topics(bootstrap, prefix, PARTITIONS)
        with TemporaryDirectory(prefix="elasti-bench-") as folder:
            policies = Path(folder) / "policies.yaml"
            policies.write_text("---\n".join(policy_of(name) for name in names))
            ours = Installation(settings_of(bootstrap, policies, "ours."), names)
            bare = Relay(bootstrap, "bare.", transactions=False)
            safe = Relay(bootstrap, "tx.", transactions=True)
            async with bare.running(), safe.running(), ours.running():
                done = await rounds(plan, (bare.wake, safe.wake, ours.wake))
    for size, title in ((1, "one at a time"), (10, "10 at once"), (100, "100 at once")):
        measured = [name for group in done[warm:] if len(group) == size for name in group]
        report(f"{title}, {len(measured)} wakes", measured, (bare, safe), ours.stamps)


def report(title: str, names: Sequence[str], peers: tuple[Relay, Relay], stamps: Stamps) -> None:
    """Print one table: milliseconds from the sending of the request, and times the relay with transactions."""
    print(f"\n{title:36} {'p50':>9} {'p99':>9}")
    limit = peers[1].took(names)
    line("bare relay, idempotent", peers[0].took(names), limit)
    line("bare relay, one transaction", limit, limit)
    for stage in STAGES:
        line(f"ours, {stage}", stamps.took(stage, names), limit)


def line(name: str, times: Sequence[float], limit: Sequence[float]) -> None:
    """Print one way's percentiles."""
    ratio = rank(times, 50) / rank(limit, 50)
    print(f"  {name:34} {rank(times, 50):6.1f} ms {rank(times, 99):6.1f} ms  {ratio:5.2f} x")


if __name__ == "__main__":
    brief = quick(__doc__)
    sys.exit(asyncio.run(main(brief=brief)))
