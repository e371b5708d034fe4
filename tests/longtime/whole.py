"""All of an installation in a jumping loop: worker, handler, gateway and scalers as production runs them, and judges.

Around them are a log that can be away, a cluster whose pods take their time, and a Prometheus that can be dark. The
oracle hears of everything in the order in which it happens; the checker reads the topics afterwards.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TypeVar

from consumer.adapters.memory import MemoryLog
from consumer.adapters.memory_targets import MemoryTargets
from consumer.checker import GROUP, OFFSETS, Expectations, Recording, Verdict, check
from consumer.checker import Record as Checked
from consumer.gateway import GatewayPorts, GatewaySettings
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import Change, PolicyEntry, TargetBusyError, TargetKey, TargetView
from consumer.scalers.batcher import Batcher
from consumer.scalers.contract import Defaults
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from consumer.telemetry import Telemetry
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.message import Message
from schemas.partitioning import partition_for
from schemas.scale_result import ScaleResult
from schemas.topics import TOPICS, Topic
from tests.longtime.away import Kafka, Publisher, Reader
from tests.longtime.calling import Ask, answering
from tests.longtime.drive import key_of, policy_of
from tests.longtime.jumping import JumpingLoop, LoopClock, run_in
from tests.longtime.jury import Court, Jury
from tests.longtime.sights import SERVER, Prometheus
from tests.longtime.town import NAMESPACE
from tests.longtime.trace import Plan, Trace
from tests.longtime.witness import Witness
from tests.worker.bed import Listed

M = TypeVar("M", bound=Message)

_PARTITIONS = 2
_OFTEN = timedelta(seconds=5)
"""What production does every second or so: an hour has thousands of them."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request: who was asked for when, how long the answer took, what it was, and what there was by then."""

    name: str
    at: datetime
    took: timedelta
    status: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Scaled:
    """A change of the replicas by the handler."""

    name: str
    at: datetime
    up: bool


class Cluster(MemoryTargets):
    """Workloads whose pods take their time; every change is told."""

    def __init__(
        self, clock: LoopClock, seed: int, tell: Callable[[Scaled], None], ready: Callable[[str], None]
    ) -> None:
        super().__init__(clock)
        self._time = clock
        self._chance = random.Random(f"cluster/{seed}")
        self._tell = tell
        self._ready = ready
        self.is_there = True

    async def look(self, key: TargetKey) -> TargetView:
        self._answers(key)
        return await super().look(key)

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        self._answers(key)
        view = await super().scale(key, change)
        self._tell(Scaled(key.ref.name, self._time.now, up=change.wanted > 0))
        if change.wanted:
            later = self._chance.uniform(1, 90)
            asyncio.get_running_loop().call_later(later, self._start, key, view.generation)
        else:
            self.make_ready(key, 0)
        return view

    def _answers(self, key: TargetKey) -> None:
        if not self.is_there:
            raise TargetBusyError(f"{key}: the API server can not be reached (connection refused)")

    def _start(self, key: TargetKey, generation: int) -> None:
        view = self.present(key)
        if view.generation == generation:
            self.make_ready(key, view.replicas)
            self._ready(key.ref.name)


class Whole:
    """One installation and its time."""

    def __init__(self, trace: Trace, end: datetime, *, patience: timedelta | None = None) -> None:
        self.trace = trace
        self.end = end
        self._loop = JumpingLoop(trace.start, self._jumped)
        self.clock = self._loop.clock
        self.log = MemoryLog(self.clock)
        self.kafka = Kafka(self.log, self.clock, patience)
        self.settings = WorkerSettings(interval=trace.cycle, flush_every=_OFTEN)
        self.prometheus = Prometheus({plan.name: plan for plan in trace.plans}, self.clock)
        self.oracle = Witness(trace, end, self.prometheus)
        self.cluster = Cluster(self.clock, trace.seed, self._scaled, self._got_ready)
        self.answers: list[Answered] = []
        self.changes: list[Scaled] = []
        self._policies = Listed()
        self._publisher = Publisher(self.kafka)
        self._telemetry = Telemetry("default", "longtime")
        self._worker = self._made_worker()
        self._handler = self._made_handler()
        court = Court(self.log, self.settings, _PARTITIONS, self.oracle, self._works)
        self._jury = Jury(court, trace.start)
        for spec in TOPICS:
            self.log.create(self.settings.topic(spec.topic), spec.partitions(_PARTITIONS))

    def run(self, *deeds: Coroutine[None, None, None]) -> None:
        """Run it to its end, with what is done to it meanwhile."""
        run_in(self._loop, self._run(deeds))

    async def _run(self, deeds: Sequence[Coroutine[None, None, None]]) -> None:
        async with self._running() as ask, asyncio.TaskGroup() as tasks:
            for deed in deeds:
                tasks.create_task(deed)
            for plan in self.trace.plans:
                tasks.create_task(self._born(plan))
            for at, name in takewhile(lambda asked: asked[0] < self.end, self.trace.requests()):
                await self.at(at)
                tasks.create_task(self._ask(ask, name))
            await self.at(self.end)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[Ask]:
        ports = GatewayPorts(
            publisher=self._publisher,
            telemetry=self._telemetry,
            partitions=lambda: _PARTITIONS,
            direct=self._handler,
            handler=self._handler,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._handler.run())
            tasks.create_task(self._worker.run())
            async with answering(ports, GatewaySettings()) as ask:
                yield ask
            await self._worker.stop()
            await self._handler.stop()

    async def at(self, moment: datetime) -> None:
        """Wait until then."""
        await self.clock.sleep(moment - self.clock.now)

    def _made_worker(self) -> Worker:
        subscription = self.settings.subscription()
        registry = Registry(Defaults(server=SERVER))
        ports = WorkerPorts(
            membership=self.kafka.member(subscription),
            writers=self.kafka.writers(subscription.group),
            publisher=self._publisher,
            reader=Reader(self.kafka),
            judges=SweepJudges(registry, Batcher(self.prometheus.measurements())),
            policies=self._policies,
            clock=self.clock,
            telemetry=self._telemetry,
        )
        return Worker(ports, self.settings)

    def _made_handler(self) -> ScaleHandler:
        settings = HandlerSettings(patience=_OFTEN)
        ports = HandlerPorts(
            membership=self.kafka.member(settings.subscription()),
            publisher=self._publisher,
            reader=Reader(self.kafka),
            targets=self.cluster,
            policies=self._policies,
            clock=self.clock,
            telemetry=self._telemetry,
            chance=random.Random(f"handler/{self.trace.seed}").random,
        )
        return ScaleHandler(ports, settings)

    async def _born(self, plan: Plan) -> None:
        await self.at(plan.created_at)
        key, policy = key_of(plan.name), policy_of(plan)
        self.oracle.knows(plan, partition_for(NAMESPACE, plan.name, _PARTITIONS), self.clock.now)
        self.cluster.create(TargetKey(NAMESPACE, policy.target), replicas=1, ready=1)
        self._policies.put(PolicyEntry(key, policy))

    async def _ask(self, ask: Ask, name: str) -> None:
        at, self.prometheus.requested[name] = self.clock.now, self.clock.now
        status = await ask(NAMESPACE, name)
        self._jury.look()
        now = self.clock.now
        self.answers.append(Answered(name, at, now - at, status, self.replicas(name)))
        if not self.kafka.is_there:
            self.oracle.knocked(name, at)

    def replicas(self, name: str) -> int:
        """What a service has in truth."""
        return self.cluster.present(self._target(name)).replicas

    def _target(self, name: str) -> TargetKey:
        plan = self.prometheus.plans[name]
        return TargetKey(NAMESPACE, policy_of(plan).target)

    def _works(self) -> bool:
        """Whether there is a worker that judges, and a handler that hears of it."""
        worker, handler = self._worker.health(), self._handler.health()
        return self.kafka.is_there and worker.ready and bool(worker.partitions) and handler.ready

    def _jumped(self, now: datetime, after: datetime) -> None:
        self._jury.jumped(now, after)

    def _scaled(self, scaled: Scaled) -> None:
        # What was asked for comes before what came of it.
        self._jury.look()
        self.changes.append(scaled)
        self.oracle.scaled(scaled.name, up=scaled.up, now=scaled.at)

    def _got_ready(self, name: str) -> None:
        self.oracle.became_ready(name, self.clock.now)

    def decisions(self) -> list[Decision]:
        """All decisions, by service in their order."""
        return list(self._read(Topic.DECISIONS, Decision))

    def results(self) -> list[ScaleResult]:
        """All results, by service in their order."""
        return list(self._read(Topic.SCALE_RESULTS, ScaleResult))

    def _read(self, topic: Topic, model: type[M]) -> Iterator[M]:
        for record in self.log.records(self.settings.topic(topic)):
            message = decode(model, record.value)
            assert not isinstance(message, Undecodable), message
            yield message

    def verdict(self, expectations: Expectations) -> Verdict:
        """What the checker says of the topics."""
        return check(Recording(tuple(self._recorded()), _PARTITIONS), expectations)

    def _recorded(self) -> Iterator[Checked]:
        for spec in TOPICS:
            for one in self.log.records(self.settings.topic(spec.topic)):
                place = (spec.topic.value, one.partition, one.offset)
                yield Checked(*place, one.at, one.key, one.value, tuple(one.headers))
        for group, offsets in self.log.committed.items():
            for (topic, partition), offset in offsets.items():
                kind = topic.removeprefix(self.settings.prefix).encode()
                yield Checked(OFFSETS, partition, 0, self.end, kind, b"%d" % offset, ((GROUP, group.encode()),))
