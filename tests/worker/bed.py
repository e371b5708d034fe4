"""A whole worker on a log in memory, with a clock that only moves when a test moves it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader, MemoryWriters
from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Headers, Output, Placed, PolicyEntry, PolicyGone, Record, Subject
from consumer.telemetry import Telemetry
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.message import Message
from schemas.partitioning import partition_for, record_key
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.topics import TOPICS, Topic

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
WEB = ServiceKey("shop", "web")
TARGET = TargetRef("apps/v1", "Deployment", "web")
COOLDOWN = timedelta(minutes=15)
LIMIT = 5_000


def policy(key: ServiceKey = WEB, **changes: object) -> Policy:
    """A policy that is old enough to sleep; its target is named as its service."""
    plain = Policy(
        key=key,
        name=key.name,
        uid=f"uid-{key.name}",
        hash="h1",
        created_at=T0 - timedelta(days=1),
        target=TargetRef("apps/v1", "Deployment", key.name),
        triggers=(Trigger("prometheus", (("query", "up"), ("threshold", "1"))),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class Listed:
    """Policies that a test puts in and takes out."""

    def __init__(self, *policies: Policy) -> None:
        self._entries = {each.key: PolicyEntry(each.key, each) for each in policies}
        self._queues: list[asyncio.Queue[PolicyEntry | PolicyGone]] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.conflicts: dict[ServiceKey, ServiceKey] = {}
        self.hidden = False

    async def listed(self) -> None:
        await self.ready.wait()

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        return self._entries

    def whole(self) -> bool:
        return not self.hidden

    def conflict(self, policy: Policy) -> ServiceKey | None:
        return self.conflicts.get(policy.key)

    async def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        queue: asyncio.Queue[PolicyEntry | PolicyGone] = asyncio.Queue()
        self._queues.append(queue)
        while True:
            yield await queue.get()

    def put(self, entry: PolicyEntry) -> None:
        self._entries = {**self._entries, entry.key: entry}
        self._tell(entry)

    def drop(self, key: ServiceKey, *, quietly: bool = False) -> None:
        gone = self._entries[key]
        self._entries = {other: entry for other, entry in self._entries.items() if other != key}
        if not quietly:
            self._tell(PolicyGone(key, gone.policy))

    def _tell(self, change: PolicyEntry | PolicyGone) -> None:
        for queue in self._queues:
            queue.put_nowait(change)


class Says:
    """Judges that say the same of everyone, at once or when a test lets them."""

    def __init__(self) -> None:
        self.idle = True
        self.windows: dict[ServiceKey, timedelta] = {}
        self.sweeps: list[tuple[datetime, list[ServiceKey]]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.broken = False

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        self.sweeps.append((now, [subject.policy.key for subject in subjects]))
        await self.free.wait()
        if self.broken:
            raise RuntimeError("a scaler of somebody else's making")
        return {subject.policy.key: self._answers(now) for subject in subjects}

    def window_of(self, policy: Policy) -> timedelta | None:
        return self.windows.get(policy.key)

    def _answers(self, now: datetime) -> Answers:
        evidence = Evidence(0.0 if self.idle else 9.0, 1.0)
        yes, no = Yes(evidence, now), No(evidence, now)
        to_zero, from_zero = (yes, no) if self.idle else (no, yes)
        return Answers((TriggerAnswers("prometheus#0", Yes(Evidence(1.0), now), to_zero, from_zero),))


class Bed:
    """A log with all topics, a clock, policies, judges, and what it takes to be a producer or a handler."""

    def __init__(self, *policies: Policy, partitions: int = 1, settings: WorkerSettings | None = None) -> None:
        self.clock = ManualClock(T0)
        self.log = MemoryLog(self.clock)
        self.settings = settings or WorkerSettings()
        self.partitions = partitions
        for spec in TOPICS:
            self.log.create(spec.topic.under(self.settings.prefix), spec.partitions(partitions))
        self.policies = Listed(*policies)
        self.judges = Says()
        self.telemetry = Telemetry("default", "test")
        self.obedient = False
        self._answered: set[str] = set()
        self._generation = 1

    def obey(self) -> None:
        """Answer every new command as a handler does whose pods start at once."""
        for command in self.commands():
            if command.id in self._answered:
                continue
            self._answered.add(command.id)
            self._generation += 1
            key = ServiceKey(command.namespace, command.service)
            target = {**command.target.model_dump(), "uid": "t1", "generation": self._generation}
            facts: dict[str, object] = {"command_id": command.id, "cause": "command", "target": target}
            if command.direction == "zero":
                self.result("accepted", key, replicas=0, ready_replicas=0, **facts)
            else:
                self.result("accepted", key, replicas=command.replicas, ready_replicas=command.replicas, **facts)

    def ports(self) -> WorkerPorts:
        subscription = self.settings.subscription()
        return WorkerPorts(
            membership=MemoryMembership(self.log, subscription),
            writers=MemoryWriters(self.log, subscription.group),
            publisher=MemoryPublisher(self.log),
            reader=MemoryReader(self.log),
            judges=self.judges,
            policies=self.policies,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    def name(self, topic: Topic) -> str:
        return self.settings.topic(topic)

    def home(self, key: ServiceKey) -> int:
        return partition_for(key.namespace, key.name, self.partitions)

    def raw(
        self, topic: Topic, value: bytes | None, partition: int = 0, *, key: bytes | None = None, headers: Headers = ()
    ) -> Placed:
        """Append anything, as some producer does."""
        return self.log.append(Output(self.name(topic), partition, key, value, headers))

    def request(self, key: ServiceKey = WEB, count: int = 1, headers: Headers = ()) -> Placed:
        """A request, by a producer that knows where it belongs."""
        value = json.dumps({"count": count, "svc": key.name, "namespace": key.namespace}).encode()
        place = record_key(key.namespace, key.name)
        return self.raw(Topic.REQUEST_COUNTS, value, self.home(key), key=place, headers=headers)

    def result(self, phase: str, key: ServiceKey = WEB, **facts: object) -> Placed:
        """A result, as the handler writes it."""
        now = self.clock.now
        content: dict[str, object] = {
            "cluster": self.settings.cluster,
            "id": f"r-{now.timestamp()}-{phase}-{key}",
            "command_id": None,
            "namespace": key.namespace,
            "service": key.name,
            "target": {"api_version": "apps/v1", "kind": "Deployment", "name": key.name, "uid": "t1", "generation": 1},
            "phase": phase,
            "replicas": 1,
            "ready_replicas": 1,
            "error": None,
            "cause": "observed",
            "manager": None,
            "attempts": 1,
            "triggered_at": None,
            "decided_at": None,
            "at": now,
        }
        message = ScaleResult.model_validate({**content, **facts}, by_name=True)
        return self.raw(Topic.SCALE_RESULTS, message.encode(), self.home(key), key=record_key(key.namespace, key.name))

    def commands(self) -> list[ScaleCommand]:
        """All commands that are durable."""
        return [_read(ScaleCommand, record) for record in self.log.records(self.name(Topic.SCALE_COMMANDS))]

    def decisions(self) -> list[Decision]:
        """All decisions that are durable."""
        return [_read(Decision, record) for record in self.log.records(self.name(Topic.DECISIONS))]

    def codes(self) -> list[str]:
        """The reasons of all decisions."""
        return [decision.reason.code for decision in self.decisions()]

    def records(self, topic: Topic) -> list[Record]:
        """All durable records of a topic."""
        return self.log.records(self.name(topic))

    def committed(self, topic: Topic, partition: int = 0) -> int:
        """How far the group is with a partition."""
        group = self.log.committed.get(self.settings.subscription().group, {})
        return group.get((self.name(topic), partition), 0)

    async def settle(self) -> None:
        """Let everything run that can run without the clock."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def until(self, true: Callable[[], bool]) -> None:
        """Let things run until it is so, without moving the clock."""
        for _ in range(LIMIT):
            if true():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not come about")

    async def pass_time(self, length: timedelta, step: timedelta = timedelta(seconds=1)) -> None:
        """Move the clock in steps, letting everything run after each."""
        while length > timedelta():
            step = min(step, length)
            self.clock.advance(step)
            length -= step
            await self.settle()
            if self.obedient:
                self.obey()
                await self.settle()

    async def flush(self) -> None:
        """Move the clock as far as it takes for what is decided to be written."""
        await self.settle()
        await self.pass_time(self.settings.flush_every)

    @asynccontextmanager
    async def running(self, ports: WorkerPorts | None = None) -> AsyncIterator[Worker]:
        """A worker that took its partitions over; it is stopped politely at the end."""
        worker = Worker(ports or self.ports(), self.settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(worker.run())
            await self.until(lambda: running.done() or (worker.health().ready and bool(worker.health().partitions)))
            try:
                yield worker
            finally:
                await worker.stop()


M = TypeVar("M", bound=Message)


def _read(model: type[M], record: Record) -> M:
    message = decode(model, record.value)
    assert not isinstance(message, Undecodable), message
    return message
