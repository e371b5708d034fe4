"""Two loads that are too much for what is behind them: commands for a slow cluster, sweeps for a slow Prometheus."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter

from aiohttp import web
from aiokafka import AIOKafkaProducer

from bench._bed import topics
from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaConnection, KafkaMembership, KafkaPublisher, KafkaReader
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader, MemoryWriters
from consumer.adapters.memory_targets import MemoryTargets
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import Answers
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey, TargetRef
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import Change, Judges, Output, Subject, TargetKey, TargetView
from consumer.scalers.batcher import Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from consumer.telemetry import Telemetry
from consumer.wire.messages import command_message
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.decision import Decision
from schemas.partitioning import partition_for
from schemas.parts import KnownTarget
from schemas.scale_result import Phase, ResultCause, ScaleResult
from schemas.topics import TOPICS, Topic
from tests.handler.bed import HandPolicies, Told
from tests.handler.samples import policy as handled
from tests.handler.samples import up
from tests.worker.bed import Listed, policy

_CALL = timedelta(milliseconds=50)
_TARGETS = 50
_PARALLEL = 8


class SlowTargets(MemoryTargets):
    """A cluster that takes its time for every call, and counts how many there are at once."""

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Scale as ever, later."""
        await asyncio.sleep(_CALL.total_seconds())
        return await super().scale(key, change)


async def slow_handler(bootstrap: str, *, commands: int) -> None:
    """Give a handler commands faster than its cluster takes them."""
    settings = HandlerSettings(prefix="slow.", parallel=_PARALLEL)
    await topics(bootstrap, settings.prefix, 1)
    clock, connection = BrokerClock(), KafkaConnection(bootstrap)
    targets, policies = SlowTargets(clock), HandPolicies()
    keys = [ServiceKey("shop", f"web-{number}") for number in range(_TARGETS)]
    for key in keys:
        policies.put(handled(key))
        targets.create(TargetKey("shop", TargetRef("apps/v1", "Deployment", key.name)), replicas=0)
    publisher = KafkaPublisher(connection)
    handler = ScaleHandler(
        HandlerPorts(
            membership=KafkaMembership(connection, settings.subscription()),
            publisher=publisher,
            reader=KafkaReader(connection),
            targets=targets,
            policies=policies,
            clock=clock,
            telemetry=Told(),
            chance=lambda: 0.5,
        ),
        settings,
    )
    await _ask(bootstrap, settings, keys, commands)
    begun, most = perf_counter(), 0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(handler.run())
        while sum((answered := await _answered(connection, settings)).values()) < commands:
            most = max(most, handler.health().pending)
            await asyncio.sleep(0.2)
        took = perf_counter() - begun
        await handler.stop()
    await publisher.close()
    lone = commands * _CALL.total_seconds() / _PARALLEL
    print(f"\n{commands} commands for {_TARGETS} targets whose calls take {_CALL.total_seconds() * 1e3:.0f} ms:")
    print(f"  all answered in {took:.1f} s (one call for each would take {lone:.0f} s): {answered}")
    print(f"  {len(targets.calls)} calls; at most {most} commands without an answer (bound {settings.pending})")


async def _ask(bootstrap: str, settings: HandlerSettings, keys: Sequence[ServiceKey], commands: int) -> None:
    topic = settings.topic(Topic.SCALE_COMMANDS)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5) as producer:
        for number in range(commands):
            command = up(number + 1, replicas=number // len(keys) + 1, key=keys[number % len(keys)])
            value = command_message(command, settings.cluster).encode()
            await producer.send(topic, value, bytes(command.key), partition_for("shop", command.key.name, 1))


async def _answered(connection: KafkaConnection, settings: HandlerSettings) -> Mapping[str, int]:
    """Count the answers by what they say."""
    found: dict[str, int] = {}
    async for records in KafkaReader(connection).read_to_end(settings.topic(Topic.SCALE_RESULTS), 0):
        for record in records:
            result = ScaleResult.model_validate_json(record.value or b"")
            if result.command_id is not None:
                found[result.phase.value] = found.get(result.phase.value, 0) + 1
    return found


@dataclass(slots=True)
class SlowServer:
    """A server that speaks Prometheus' API, and takes its time."""

    delay: timedelta
    now: int = 0
    most: int = 0
    requests: int = 0

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer a query, later."""
        self.now += 1
        self.requests += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.delay.total_seconds())
        finally:
            self.now -= 1
        return web.json_response({"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port; yields the address."""
        app = web.Application()
        app.router.add_post("/api/v1/query", self.answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@dataclass(slots=True)
class CountedJudges:
    """Judges that count how many sweeps there are at once."""

    inner: Judges
    now: int = 0
    most: int = 0
    ended: int = 0
    took: list[float] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, ended: int) -> None:
        """Wait for so many sweeps."""
        while self.ended < ended:
            self.grown.clear()
            await self.grown.wait()

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        """Sweep as ever."""
        self.now += 1
        self.most = max(self.most, self.now)
        begun = perf_counter()
        try:
            return await self.inner.sweep(subjects, now)
        finally:
            self.now -= 1
            self.ended += 1
            self.grown.set()
            self.took.append(perf_counter() - begun)

    def window_of(self, policy: Policy) -> timedelta | None:
        """As ever."""
        return self.inner.window_of(policy)


def asking(key: ServiceKey, server: str) -> Policy:
    """A policy with a query of its own; 1, the server's only answer, means healthy and idle."""
    metadata = (("query", f'sum(load{{service="{key.name}"}})'), ("serveraddress", server), ("threshold", "2"))
    return policy(key, cooldown=timedelta(seconds=1), triggers=(Trigger("prometheus", metadata),))


def seen_up(key: ServiceKey, settings: WorkerSettings, *, partitions: int, now: datetime) -> Output:
    """The record by which a handler says that a service's target is there, and up."""
    target = KnownTarget(api_version="apps/v1", kind="Deployment", name=key.name, uid=f"u-{key.name}", generation=1)
    result = ScaleResult(
        cluster=settings.cluster,
        id=f"{key}:observed",
        namespace=key.namespace,
        service=key.name,
        target=target,
        phase=Phase.OBSERVED,
        replicas=1,
        ready_replicas=1,
        cause=ResultCause.OBSERVED,
        at=now,
    )
    place = partition_for(key.namespace, key.name, partitions)
    return Output(settings.topic(Topic.SCALE_RESULTS), place, bytes(key), result.encode())


async def slow_prometheus(*, cycles: int, delay: timedelta) -> None:
    """Let a server take longer for its answers than there is between two sweeps."""
    settings, server = WorkerSettings(interval=timedelta(seconds=2)), SlowServer(delay)
    clock = BrokerClock()
    log = MemoryLog(clock)
    for spec in TOPICS:
        log.create(spec.topic.under(settings.prefix), spec.partitions(1))
    keys = [ServiceKey("shop", f"web-{number}") for number in range(1_000)]
    for key in keys:
        log.append(seen_up(key, settings, partitions=1, now=clock.read().now))
    measurements = PrometheusMeasurements()
    judges = CountedJudges(SweepJudges(Registry(), Batcher(measurements), limit=settings.interval * 2 / 3))
    async with server.serving() as url:
        worker = Worker(
            WorkerPorts(
                membership=MemoryMembership(log, settings.subscription()),
                writers=MemoryWriters(log, settings.subscription().group),
                publisher=MemoryPublisher(log),
                reader=MemoryReader(log),
                judges=judges,
                policies=Listed(*(asking(key, url) for key in keys)),
                clock=clock,
                telemetry=Telemetry("default", "bench"),
            ),
            settings,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            await judges.until(cycles)
            await worker.stop()
        await measurements.close()
    zeros = len(log.records(settings.topic(Topic.SCALE_COMMANDS)))
    told = [
        Decision.model_validate_json(record.value or b"") for record in log.records(settings.topic(Topic.DECISIONS))
    ]
    last = Counter({decision.service: decision.reason.code for decision in told}.values())
    print(f"\na Prometheus that answers after {delay.total_seconds():.0f} s, swept every 2 s for 1,000 services:")
    print(f"  {judges.ended} sweeps, at most {judges.most} at once, the longest {max(judges.took):.1f} s")
    print(
        f"  {server.requests} HTTP requests, at most {server.most} at once; commands: {zeros}; said last: {dict(last)}"
    )
