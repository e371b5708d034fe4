"""Drives a worker, as production runs it, through a trace: a clock that only moves when nothing else can."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader, MemoryWriters
from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.policy import Policy, Trigger
from consumer.core.readings import Reading, Shape
from consumer.core.schedule import EnabledPeriod, parse_schedule
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Output, PolicyEntry, Subject
from consumer.scalers.batcher import Batcher
from consumer.scalers.contract import Defaults
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from consumer.telemetry import Telemetry
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.partitioning import record_key
from schemas.topics import TOPICS, Topic
from tests.longtime.oracle import WINDOW, Oracle, Summary
from tests.longtime.quiet import Quiet
from tests.longtime.town import NAMESPACE, Town
from tests.longtime.trace import BATCH_LOAD, DAY, FOLLOWS, Plan, Trace
from tests.worker.bed import Listed
from tests.worker.mortal import Fate, KilledError, mortal

THRESHOLD = 1.0
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def key_of(name: str) -> ServiceKey:
    """The service of that name."""
    return ServiceKey(NAMESPACE, name)


def policy_of(plan: Plan) -> Policy:
    """The policy of a plan."""
    counted = (("threshold", "1"), ("window", f"{WINDOW.total_seconds():.0f}s"))
    measured = (("query", plan.name), ("threshold", str(THRESHOLD)))
    nights = plan.nights
    return Policy(
        key=key_of(plan.name),
        name=plan.name,
        uid=f"policy-{plan.name}",
        hash="1",
        created_at=plan.created_at,
        target=TargetRef("apps/v1", "Deployment", plan.name),
        triggers=(Trigger("request-count", counted) if plan.counted else Trigger("prometheus", measured),),
        cooldown=plan.cooldown,
        period=None if nights is None else EnabledPeriod(parse_schedule(nights.schedule), nights.length),
    )


class Meter:
    """The judges: who counts requests is asked by the scaler of production, metrics follow the trace."""

    def __init__(self, plans: Mapping[ServiceKey, Plan], requested: Mapping[str, datetime]) -> None:
        self._plans = plans
        self._requested = requested
        nothing = MemoryMeasurements(lambda _query, _at: Reading(Shape.VECTOR, ()))
        self._counting = SweepJudges(Registry(Defaults()), Batcher(nothing))

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        """Answer for all of them."""
        counted = [subject for subject in subjects if self._plans[subject.policy.key].counted]
        found = dict(await self._counting.sweep(counted, now)) if counted else {}
        quiet = _answers(0.0, now)
        for subject in subjects:
            plan = self._plans[subject.policy.key]
            if not plan.counted:
                load = self._load(plan, now)
                found[subject.policy.key] = _answers(load, now) if load else quiet
        return found

    def window_of(self, policy: Policy) -> timedelta | None:
        """The window of who counts."""
        return self._counting.window_of(policy)

    def _load(self, plan: Plan, now: datetime) -> float:
        last = self._requested.get(plan.name)
        recent = THRESHOLD if last is not None and now - last <= FOLLOWS else 0.0
        return recent + (BATCH_LOAD if plan.batch(now) else 0.0)


def _answers(load: float, now: datetime) -> Answers:
    evidence = Evidence(load, THRESHOLD)
    yes, no = Yes(evidence, now), No(evidence, now)
    to_zero, from_zero = (yes, no) if load < THRESHOLD else (no, yes)
    return Answers((TriggerAnswers("prometheus#0", Yes(Evidence(1.0), now), to_zero, from_zero),))


class _Life(Fate):
    """A worker's life, which ends when it is told to."""

    def end(self) -> None:
        """Whatever it tries from now on has no effect."""
        self._last = 1


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is done to the installation at a moment."""

    at: datetime
    name: str
    length: timedelta = timedelta()


@dataclass(slots=True)
class _Alive:
    worker: Worker
    running: asyncio.Task[None]
    life: _Life
    membership: MemoryMembership


class Drive:
    """One installation and its time; `deeds` are kills, stops and tidyings, each at its moment."""

    def __init__(self, trace: Trace, *, partitions: int = 2, deeds: Sequence[Deed] = ()) -> None:
        self.trace = trace
        self.clock = ManualClock(trace.start)
        self.log = MemoryLog(self.clock)
        self.settings = WorkerSettings(interval=trace.cycle)
        self.oracle = Oracle(trace.cycle, trace.start, trace.end)
        self.town = Town(self.log, self.settings.prefix, partitions, self.oracle, trace.seed)
        self._partitions = partitions
        self._deeds = sorted(deeds, key=lambda deed: deed.at)
        self._requested: dict[str, datetime] = {}
        plans = {key_of(plan.name): plan for plan in trace.plans}
        self._judges = Meter(plans, self._requested)
        self._policies = Listed()
        self._alive: _Alive | None = None
        self.kills = self.stops = 0
        for spec in TOPICS:
            self.log.create(self._topic(spec.topic), spec.partitions(partitions))

    def _topic(self, topic: Topic) -> str:
        return self.settings.topic(topic)

    def run(self, say: Callable[[datetime, Summary], None] | None = None) -> Summary:
        """Run it to its end; `say` hears of each day that is over."""
        quiet = Quiet()
        with asyncio.Runner(loop_factory=quiet.loop) as runner:
            return runner.run(self._run(quiet, say))

    async def _run(self, quiet: Quiet, say: Callable[[datetime, Summary], None] | None) -> Summary:
        born = [plan for plan in self.trace.plans if plan.created_at <= self.clock.now]
        unborn = {plan.name: plan for plan in self.trace.plans if plan.created_at > self.clock.now}
        for plan in born:
            self._create(plan)
        deeds = [*self._deeds, *map(_birth, unborn.values())]
        await self._start(quiet)
        for moment in _Moments(self.trace, self._partitions, self.town, deeds):
            await self._pass(moment, quiet)
            for deed in moment.deeds:
                await self._do(deed, unborn, quiet)
                if deed.name == "day" and say is not None:
                    say(moment.at, self.oracle.summary(moment.at))
        await self._stop()
        return self.oracle.summary(self.clock.now)

    async def _pass(self, moment: "_Moment", quiet: Quiet) -> None:
        """Let happen what happens at a moment, and all that follows from it in no time."""
        self.clock.advance(moment.at - self.clock.now)
        for name in moment.requests:
            self._request(name)
        for partition in moment.cycles:
            self.oracle.cycled(partition, moment.at)
        self.town.act(moment.at)
        await self._settle(quiet)
        for partition in moment.cycles if self._alive else ():
            self.oracle.judged(partition, moment.at)
        self.oracle.settled(moment.at)

    async def _settle(self, quiet: Quiet) -> None:
        await quiet.reached()
        while self.town.look(self.clock.now):
            await quiet.reached()
        self._check()

    def _create(self, plan: Plan) -> None:
        self._policies.put(PolicyEntry(key_of(plan.name), policy_of(plan)))
        self.oracle.knows(plan, self.town.home(plan.name), self.clock.now)
        self.town.create(plan.name, 1, self.clock.now)

    def _request(self, name: str) -> None:
        value = f'{{"count":1,"svc":"{name}","namespace":"{NAMESPACE}"}}'.encode()
        topic, place = self._topic(Topic.REQUEST_COUNTS), record_key(NAMESPACE, name)
        self.log.append(Output(topic, self.town.home(name), place, value))
        self._requested[name] = self.clock.now
        self.oracle.requested(name, self.clock.now)

    async def _do(self, deed: Deed, unborn: Mapping[str, Plan], quiet: Quiet) -> None:
        match deed.name:
            case "kill":
                await self._kill()
            case "stop":
                self.stops += 1
                await self._stop()
            case "start":
                await self._start(quiet)
            case "day":
                self._tidy()
            case name:
                self._create(unborn[name])
                await quiet.reached()

    def _tidy(self) -> None:
        for spec in TOPICS:
            if spec.retention is None:
                self.log.compact(self._topic(spec.topic))
            else:
                # Nobody here reads what is older than the last commits: a day of everything is kept.
                self.log.expire(self._topic(spec.topic), self.clock.now - min(spec.retention, DAY))

    async def _start(self, quiet: Quiet) -> None:
        subscription = self.settings.subscription()
        membership = MemoryMembership(self.log, subscription)
        ports = WorkerPorts(
            membership=membership,
            writers=MemoryWriters(self.log, subscription.group),
            publisher=MemoryPublisher(self.log),
            reader=MemoryReader(self.log),
            judges=self._judges,
            policies=self._policies,
            clock=self.clock,
            telemetry=Telemetry("default", "longtime"),
        )
        life = _Life()
        worker = Worker(mortal(ports, life), self.settings)
        running = asyncio.get_running_loop().create_task(worker.run())
        self._alive = _Alive(worker, running, life, membership)
        self.oracle.started(self.clock.now)
        await self._settle(quiet)
        assert worker.health().ready, worker.health()

    def _check(self) -> None:
        alive = self._alive
        if alive is not None and alive.running.done():
            alive.running.result()
            raise AssertionError("the worker ended by itself")

    async def _kill(self) -> None:
        """End it in the midst of whatever it does: nothing more is written, nobody is told."""
        alive, self._alive = self._alive, None
        if alive is None:
            return
        self.kills += 1
        self.oracle.stopped()
        alive.life.end()
        alive.running.cancel()
        with suppress(KilledError, asyncio.CancelledError):
            await alive.running
        with suppress(ValueError):
            await alive.membership.expire()

    async def _stop(self) -> None:
        """End it politely."""
        alive, self._alive = self._alive, None
        if alive is None:
            return
        self.oracle.stopped()
        await alive.worker.stop()
        await alive.running


def _birth(plan: Plan) -> Deed:
    return Deed(plan.created_at, plan.name)


@dataclass(slots=True)
class _Moment:
    at: datetime
    requests: list[str] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)


class _Moments:
    """Every moment at which something happens, each once, by rising time."""

    def __init__(self, trace: Trace, partitions: int, town: Town, deeds: Sequence[Deed]) -> None:
        self._trace = trace
        self._town = town
        days = (Deed(trace.start + day * DAY, "day") for day in range(1, trace.days + 1))
        events: tuple[Iterator[tuple[datetime, int, str | int | Deed]], ...] = (
            ((at, 0, name) for at, name in trace.requests()),
            _cycles(trace, partitions),
            iter(sorted(((deed.at, 2, deed) for deed in (*deeds, *days)), key=lambda event: event[0])),
        )
        self._events = heapq.merge(*events, key=lambda event: event[:2])
        self._next = next(self._events, None)

    def __iter__(self) -> Iterator[_Moment]:
        while True:
            own = self._town.next()
            coming = [at for at in (own, self._next[0] if self._next else None) if at is not None]
            if not coming or min(coming) > self._trace.end:
                return
            yield self._gather(min(coming))

    def _gather(self, at: datetime) -> _Moment:
        moment = _Moment(at)
        while self._next is not None and self._next[0] <= at:
            event = self._next[2]
            if isinstance(event, Deed):
                moment.deeds.append(event)
            elif isinstance(event, int):
                moment.cycles.append(event)
            else:
                moment.requests.append(event)
            self._next = next(self._events, None)
        return moment


def _cycles(trace: Trace, partitions: int) -> Iterator[tuple[datetime, int, int]]:
    """When the partitions' cycles begin, evenly spread over the interval from 1970 on."""
    step = trace.cycle / partitions
    first = -(-(trace.start - _EPOCH) // step)
    for index in itertools.count(first):
        at = _EPOCH + index * step
        if at > trace.end:
            return
        if at > trace.start:
            yield at, 1, index % partitions
