"""A handler on the twins in memory: its log, its cluster, its policies, and a clock that is moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader, MemoryWriters
from consumer.adapters.memory_targets import MemoryTargets
from consumer.core.outcome import Command
from consumer.core.policy import Policy
from consumer.core.service import Direction, Mode, Phase, ServiceKey, TargetRef
from consumer.handler.backoff import Backoff
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import (
    Autoscalers,
    Clock,
    Headers,
    LogError,
    LogReader,
    Notices,
    Output,
    Ownership,
    Placed,
    PolicyEntry,
    PolicyGone,
    Publisher,
    Record,
    Resources,
    Switches,
    Transaction,
)
from consumer.wire.messages import command_message
from schemas.control import Control
from schemas.partitioning import partition_for
from schemas.scale_result import ScaleResult
from schemas.topics import TOPICS, Topic
from tests.handler.samples import MS, T0, policy

PARTITIONS = 2
SETTINGS = HandlerSettings(
    calls=Backoff(first=100 * MS, longest=timedelta(seconds=5)),
    log=Backoff(first=100 * MS, longest=timedelta(seconds=1)),
    attempts=4,
    # Real time: only a call that the test lets hang, and an end that the test keeps from ending, wait for them.
    deadline=50 * MS,
    drain=200 * MS,
)


async def settled() -> None:
    """Let every task do what it can at this standing moment; the clock does not move, so this ends."""
    for _ in range(60):
        await asyncio.sleep(0)


class HandPolicies:
    """Policies that the test puts and drops."""

    def __init__(self) -> None:
        self.conflicts: dict[ServiceKey, ServiceKey] = {}
        self._entries: dict[ServiceKey, PolicyEntry] = {}
        self._followers: list[asyncio.Queue[PolicyEntry | PolicyGone]] = []
        self._listed = asyncio.Event()
        self._listed.set()

    def hide(self) -> None:
        """Let the first list take its time."""
        self._listed.clear()

    def show(self) -> None:
        """The first list is there."""
        self._listed.set()

    async def listed(self) -> None:
        await self._listed.wait()

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        return self._entries

    def whole(self) -> bool:
        return True

    def conflict(self, policy: Policy) -> ServiceKey | None:
        return self.conflicts.get(policy.key)

    def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        queue: asyncio.Queue[PolicyEntry | PolicyGone] = asyncio.Queue()
        self._followers.append(queue)
        return self._follow(queue)

    async def _follow(self, queue: asyncio.Queue[PolicyEntry | PolicyGone]) -> AsyncIterator[PolicyEntry | PolicyGone]:
        while True:
            yield await queue.get()

    def put_entry(self, entry: PolicyEntry) -> None:
        """A resource of an API comes or changes."""
        self._entries[entry.key] = entry
        self._tell(entry)

    def leave(self, gone: PolicyGone) -> None:
        """A resource of an API was deleted."""
        self._entries.pop(gone.key, None)
        self._tell(gone)

    def put(self, *policies: Policy) -> None:
        for one in policies:
            self._entries[one.key] = PolicyEntry(one.key, one)
            self._tell(self._entries[one.key])

    def drop(self, key: ServiceKey) -> None:
        entry = self._entries.pop(key)
        self._tell(PolicyGone(key, entry.policy))

    def _tell(self, change: PolicyEntry | PolicyGone) -> None:
        for queue in self._followers:
            queue.put_nowait(change)


class ShakyPublisher:
    """A publisher whose log can be away."""

    def __init__(self, inner: Publisher) -> None:
        self.away = False
        self.held = asyncio.Event()
        self.held.set()
        self._inner = inner

    async def publish(self, output: Output) -> Placed:
        await self.held.wait()
        if self.away:
            raise LogError(f"{output.topic}: no broker answers; is Kafka up?")
        return await self._inner.publish(output)


class ShakyMembership:
    """A member whose log can be away; each failure that is planned is raised once."""

    def __init__(self, inner: MemoryMembership) -> None:
        self.stalled = False
        self.failing: dict[str, list[LogError]] = {"start": [], "fetch": [], "commit": [], "stop": []}
        self._inner = inner

    @property
    def partitions(self) -> int:
        return self._inner.partitions

    async def start(self, ownership: Ownership) -> None:
        self._perhaps("start")
        await self._inner.start(ownership)

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        self._perhaps("fetch")
        return await self._inner.fetch(limit, wait)

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        return await self._inner.seek_to_committed(partition)

    async def ends(self, partition: int) -> Mapping[str, int]:
        return await self._inner.ends(partition)

    async def positions(self, partition: int) -> Mapping[str, int]:
        return await self._inner.positions(partition)

    def pause(self, partition: int) -> None:
        self._inner.pause(partition)

    def resume(self, partition: int) -> None:
        self._inner.resume(partition)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self._perhaps("commit")
        if self.stalled:
            await asyncio.Event().wait()
        await self._inner.commit(offsets)

    async def stop(self) -> None:
        await self._inner.stop()
        self._perhaps("stop")

    def _perhaps(self, step: str) -> None:
        if self.failing[step]:
            raise self.failing[step].pop(0)


class ShakyReader:
    """A reader whose log can be away."""

    def __init__(self, inner: LogReader) -> None:
        self.failing: dict[str, int] = {}
        self.broken = False
        self._inner = inner

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        if self.failing.get(topic, 0):
            self.failing[topic] -= 1
            raise LogError(f"{topic}: no broker answers; is Kafka up?")
        async for records in self._inner.read_to_end(topic, partition):
            yield records

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        async for records in self._inner.follow(topic, partition, offset):
            if self.broken:
                self.broken = False
                raise LogError(f"{topic}: the connection was reset")
            yield records


@dataclass
class Told:
    """What the handler told its telemetry."""

    answers: list[tuple[Direction, Phase, timedelta]] = field(default_factory=list)
    observations: list[Phase] = field(default_factory=list)
    became_ready_after: list[timedelta] = field(default_factory=list)
    scales: list[tuple[ServiceKey, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    writes: list[tuple[str, str]] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    dead_letters: int = 0
    not_published: int = 0

    def answered(self, direction: Direction, phase: Phase, since_trigger: timedelta) -> None:
        self.answers.append((direction, phase, since_trigger))

    def observed(self, phase: Phase) -> None:
        self.observations.append(phase)

    def scaled(self, service: ServiceKey, target: TargetRef, error: str) -> None:  # noqa: ARG002 - the port's contract
        self.scales.append((service, error))

    def became_ready(self, since_accepted: timedelta) -> None:
        self.became_ready_after.append(since_accepted)

    def called(self, result: str, took: timedelta) -> None:  # noqa: ARG002 - the port's contract
        self.calls.append(result)
        self._ended.set()

    async def next_call(self) -> str:
        """Wait for the end of the next call, and return how it ended."""
        self._ended.clear()
        await self._ended.wait()
        return self.calls[-1]

    def wrote(self, what: str, result: str) -> None:
        self.writes.append((what, result))

    def dead_lettered(self) -> None:
        self.dead_letters += 1

    def unpublished(self) -> None:
        self.not_published += 1


class Bed:
    """Everything around handlers, and the worker's pen."""

    def __init__(self, settings: HandlerSettings = SETTINGS, time: Clock | None = None) -> None:
        self.settings = settings
        self.clock = ManualClock(T0)
        self.time = time or self.clock
        self.log = MemoryLog(self.time)
        for spec in TOPICS:
            self.log.create(spec.topic.under(settings.prefix), spec.partitions(PARTITIONS))
        self.targets = MemoryTargets(self.clock)
        self.policies = HandPolicies()
        self.publisher = ShakyPublisher(MemoryPublisher(self.log))
        self.reader = ShakyReader(MemoryReader(self.log))
        self.told = Told()
        self.chance: Callable[[], float] = lambda: 0.0
        self.autoscalers: Autoscalers | None = None
        self.notices: Notices | None = None
        self.resources: Resources | None = None
        self.switches: Switches | None = None

    def ports(self) -> HandlerPorts:
        """The doors of one more handler."""
        return HandlerPorts(
            membership=MemoryMembership(self.log, self.settings.subscription()),
            publisher=self.publisher,
            reader=self.reader,
            targets=self.targets,
            policies=self.policies,
            clock=self.time,
            telemetry=self.told,
            chance=self.chance,
            autoscalers=self.autoscalers,
            notices=self.notices,
            resources=self.resources,
            switches=self.switches,
        )

    def handler(self) -> ScaleHandler:
        return ScaleHandler(self.ports(), self.settings)

    @asynccontextmanager
    async def running(self, *handlers: ScaleHandler) -> AsyncIterator[None]:
        """Let these handlers (one, if none are named) run, and stop them politely."""
        all_of_them = handlers or (self.handler(),)
        async with asyncio.TaskGroup() as tasks:
            for handler in all_of_them:
                tasks.create_task(handler.run())
                await settled()
            yield
            for handler in all_of_them:
                await handler.stop()

    def command(self, *commands: Command, trace: str | None = None) -> None:
        """Write commands as the worker does."""
        headers = (("traceparent", trace.encode()),) if trace else ()
        for command in commands:
            self.log.append(replace(self._record(command), headers=headers))

    async def command_in_transaction(self, *commands: Command) -> None:
        """Write commands in a transaction of their own, whose mark takes an offset too."""
        writer = await MemoryWriters(self.log, "worker").open(0)
        await writer.commit(Transaction(tuple(self._record(command) for command in commands), {}))

    def _record(self, command: Command) -> Output:
        value = command_message(command, self.settings.cluster).encode()
        topic = self.settings.topic(Topic.SCALE_COMMANDS)
        return Output(topic, self.partition(command.key), bytes(command.key), value)

    def partition(self, key: ServiceKey) -> int:
        """Where a service's records belong."""
        return partition_for(key.namespace, key.name, PARTITIONS)

    def write(self, topic: Topic, key: ServiceKey, value: bytes | None, headers: Headers = ()) -> None:
        self.log.append(Output(self.settings.topic(topic), self.partition(key), bytes(key), value, headers))

    def switch(self, scope: str, *, frozen: str | None = None, mode: Mode | None = None) -> None:
        """Freeze a scope, or set its mode, as the command line does; neither: take both back."""
        by = {"by": "maria", "at": T0, "why": frozen or "trial"}
        message = Control.model_validate(
            {
                "cluster": self.settings.cluster,
                "scope": scope,
                **by,
                "freeze": by if frozen else None,
                "mode": {**by, "mode": mode.value} if mode else None,
            }
        )
        self.control(scope.encode(), message.encode())

    def control(self, key: bytes, value: bytes | None) -> None:
        """Write a record to the control topic."""
        self.log.append(Output(self.settings.topic(Topic.CONTROL), 0, key, value))

    def reader_fails(self, topic: Topic, *, times: int) -> None:
        """Let so many readings of a topic fail."""
        self.reader.failing[self.settings.topic(topic)] = times

    def following_fails(self) -> None:
        """Break every following at its next record, once."""
        self.reader.broken = True

    def results(self, key: ServiceKey | None = None) -> Sequence[ScaleResult]:
        """All results so far, of one service or of all."""
        records = self.log.records(self.settings.topic(Topic.SCALE_RESULTS))
        found = [ScaleResult.model_validate_json(record.value or b"") for record in records]
        return [one for one in found if key is None or (one.namespace, one.service) == (key.namespace, key.name)]

    def headers(self) -> Sequence[Mapping[str, bytes]]:
        """The headers of all results so far."""
        return [dict(record.headers) for record in self.log.records(self.settings.topic(Topic.SCALE_RESULTS))]

    def phases(self, key: ServiceKey | None = None) -> Sequence[str]:
        return [result.phase.value for result in self.results(key)]

    def committed(self) -> int:
        """How many commands are committed, over all partitions."""
        return sum(self.log.committed.get(self.settings.subscription().group, {}).values())

    async def later(self, length: timedelta) -> None:
        """Let everything come to rest, move the clock, and let everything come to rest again."""
        await settled()
        self.clock.advance(length)
        await settled()

    def serve(self, *keys: ServiceKey) -> None:
        """Put a policy for each of these services."""
        self.policies.put(*(policy(key) for key in keys))
