"""The task of one partition: takes records in, judges, and writes everything it decides in one order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from consumer.core.answers import Answers
from consumer.core.inputs import KNOWN_WITHIN
from consumer.core.service import Direction, ServiceKey
from consumer.errors import first_error
from consumer.ports import FencedError, LogError, Moment, PolicyEntry, PolicyGone, Record, Subject, Writer
from consumer.telemetry import TransactionResult, WakeStage
from consumer.worker.desk import Desk
from consumer.worker.gate import open_gate
from consumer.worker.intake import Batch, Place, Poison, Stray, key_of, read
from consumer.worker.journal import Entry
from consumer.worker.outputs import Outputs, forward
from consumer.worker.schedule import next_cycle
from consumer.worker.shared import Conditions, PartitionHealth, Shared

log = structlog.get_logger(__name__)

# About 2 ms of judging, after which a wake gets its turn.
_CHUNK = 200
# A request takes 50 bytes: only somebody's garbage makes records heavy before there are too many of them.
_HEAVY = 8_000_000
# What Python keeps of a header with nothing in it: a million bytes of them hold 300,000.
_HEADER = 150
_KNOWN_AFTER = KNOWN_WITHIN / 2
_CATCHING_UP, _LOOK_AGAIN = 20, timedelta(milliseconds=20)


class _Arrived(NamedTuple):
    """Records of one topic, and the bytes that they keep in memory."""

    records: Sequence[Record]
    weight: int


class _Stopped(Exception):  # noqa: N818 - not an error
    """The partition was given up while a loop waited for its turn."""


class Partition:
    """Owns one partition from its gate to its end; everything that decides or writes holds its lock."""

    def __init__(self, shared: Shared, place: Place) -> None:
        self._shared = shared
        self._place = place
        self._inputs = shared.settings.inputs()
        self._lock = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._inbox: deque[_Arrived] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._changes: deque[PolicyEntry | PolicyGone] = deque()
        self._paused = False
        self._stopped = False
        self._restored = False
        self._writer: Writer | None = None
        self._outputs = Outputs(shared.settings, place.partition, "")
        self._desk = Desk(shared, "", self._outputs, {})
        self._lag: Mapping[str, int] = {}
        self._moved_at = shared.ports.clock.read().now

    async def run(self) -> None:
        """Open the gate, then work until stopped; raises LogError when the partition has to be dropped."""
        number = self._place.partition
        opened = await open_gate(self._shared, number)
        try:
            async with self._lock:
                owner = opened.writer.identity
                self._outputs = Outputs(self._shared.settings, number, owner)
                self._desk = Desk(self._shared, owner, self._outputs, opened.states)
                self._writer = opened.writer
                await self._begin()
            log.info("partition taken over", partition=number, services=len(opened.states), owner=owner)
            await self._work()
        finally:
            self._writer = None
            await opened.writer.close()

    async def _begin(self) -> None:
        moment = self._shared.ports.clock.read()
        if not moment.sure:
            self._desk.journal.add(self._outputs.probe())
            await self._commit()
            moment = self._shared.ports.clock.read()
        await self._reconcile(moment)
        await self._commit()
        self._restored = True
        self._shared.ports.membership.resume(self._place.partition)

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for loop in (self._intake(), self._ticks(), self._cycles()):
                    tasks.create_task(loop)
        except BaseExceptionGroup as group:
            _, others = group.split(_Stopped)
            if others is None:
                return
            raise first_error(others) from others

    async def stop(self) -> None:
        """Write what is decided, then do nothing more; the caller ends the task of `run` after this."""
        async with self._lock:
            self._stopped = True
            if self._writer is None:
                return
            try:
                await self._commit()
            except LogError as error:
                log.warning("last transaction failed", partition=self._place.partition, error=str(error))

    def offer(self, records: Sequence[Record]) -> None:
        """Take records of one topic in; when too many wait, no more are fetched."""
        arrived = _Arrived(records, weight_of(records))
        self._inbox.append(arrived)
        self._waiting += len(records)
        self._waiting_bytes += arrived.weight
        self._arrived.set()
        too_many = self._waiting >= self._shared.settings.backlog or self._waiting_bytes >= _HEAVY
        if too_many and not self._paused:
            self._paused = True
            self._shared.ports.membership.pause(self._place.partition)

    def changed(self, change: PolicyEntry | PolicyGone) -> None:
        """Take a change of a policy in, in its turn."""
        self._changes.append(change)
        self._arrived.set()

    def health(self) -> PartitionHealth:
        """Return how it does."""
        return PartitionHealth(self._place.partition, self._restored, len(self._desk.states), self._lag, self._moved_at)

    @property
    def waiting(self) -> int:
        """How many fetched records are not applied yet."""
        return self._waiting

    @property
    def desk(self) -> Desk:
        """The states of its services."""
        return self._desk

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Moment]:
        """Wait for the lock: nothing is decided while something is written."""
        async with self._lock:
            if self._stopped:
                raise _Stopped
            moment = self._shared.ports.clock.read()
            self._moved_at = moment.now
            yield moment

    async def _intake(self) -> None:
        while True:
            await self._arrived.wait()
            async with self._turn() as moment:
                self._take_changes(moment)
                await self._take_records()
                if self._desk.journal.urgent:
                    await self._commit()
                if not self._inbox and not self._changes:
                    self._arrived.clear()
            # A backlog must not keep the other tasks of the process waiting.
            await asyncio.sleep(0)

    def _take_changes(self, moment: Moment) -> None:
        while self._changes:
            change = self._changes.popleft()
            # What is in force now counts; the change only says where to look.
            entry = self._shared.ports.policies.entries().get(change.key)
            self._desk.update(change.key, entry, moment, change.policy)

    async def _take_records(self) -> None:
        taken = 0
        while self._inbox and taken < self._shared.settings.fetch_limit and not self._desk.journal.full:
            records, weight = self._inbox.popleft()
            taken += len(records)
            self._waiting -= len(records)
            self._waiting_bytes -= weight
            name = records[0].topic
            batch = read(self._inputs[name], records, self._place, self._shared.settings.cluster)
            # Read anew for each: forwarding takes its time, and who came meanwhile did not come before it.
            self._apply(batch, self._shared.ports.clock.read())
            await self._forward(batch.strays)
            self._bury(batch.poisons)
            self._desk.journal.read_up_to(name, self._place.partition, records[-1].offset + 1)
        if self._paused and self._waiting <= self._shared.settings.backlog // 2 and self._waiting_bytes < _HEAVY // 2:
            self._paused = False
            self._shared.ports.membership.resume(self._place.partition)

    def _apply(self, batch: Batch, moment: Moment) -> None:
        for (namespace, service), requests in batch.requests.items():
            self._desk.requests(key_of(namespace, service), requests, moment)
        for key, fact in batch.facts:
            self._desk.fact(key, fact, moment)
        if batch.counted:
            self._shared.ports.telemetry.requests(batch.counted)

    def _bury(self, poisons: Sequence[Poison]) -> None:
        """Keep what can not be used; only now, so that no transaction holds these without the offset behind them."""
        for poison in poisons:
            self._desk.journal.add(self._outputs.dead_letter(poison))
            self._shared.ports.telemetry.dead_letter(poison.record.topic, poison.kind)
        if poisons:
            # Each has its cause beside it in the dead letters: a flood of them must not become one of lines.
            first = poisons[0]
            log.warning(
                "dead letters",
                count=len(poisons),
                topic=first.record.topic,
                partition=first.record.partition,
                offset=first.record.offset,
                cause=first.cause,
            )

    async def _forward(self, strays: Sequence[Stray]) -> None:
        """Move records to their right partitions, before the offset behind them can move.

        The next owner ignores what is older than what it has of the same service from here: so of one service each is
        acknowledged before the next is sent, while different services do not wait for one another.
        """
        if not strays:
            return
        if self._desk.journal.urgent:
            # A wake does not wait for strangers: what it was decided from is in its state, the offset may follow.
            await self._commit()
        services: dict[bytes, list[Stray]] = {}
        for stray in strays:
            services.setdefault(stray.key, []).append(stray)
        try:
            async with asyncio.TaskGroup() as tasks:
                for of_one in services.values():
                    tasks.create_task(self._forward_in_order(of_one))
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        for topic in {stray.record.topic for stray in strays}:
            self._shared.ports.telemetry.forwarded(topic, sum(stray.record.topic == topic for stray in strays))

    async def _forward_in_order(self, strays: Sequence[Stray]) -> None:
        for stray in strays:
            await self._shared.ports.publisher.publish(forward(stray))

    async def _ticks(self) -> None:
        while True:
            await self._shared.ports.clock.sleep(self._shared.settings.flush_every)
            async with self._turn() as moment:
                self._desk.ring(moment)
                await self._commit()

    async def _cycles(self) -> None:
        clock, interval = self._shared.ports.clock, self._shared.settings.interval
        while True:
            now = clock.read().now
            due = next_cycle(now, interval, partition=self._place.partition, partitions=self._place.partitions)
            await clock.sleep(due - now)
            await self._cycle()

    async def _cycle(self) -> None:
        """Judge every service once, with answers that were asked for at one moment; records go on meanwhile."""
        clock, interval = self._shared.ports.clock, self._shared.settings.interval
        asked, ends = clock.read().now, await self._ends()
        async with self._turn() as begun:
            if not begun.sure:
                self._desk.journal.add(self._outputs.probe())
                await self._commit()
            await self._reconcile(begun)
            subjects, keys = self._desk.subjects(), self._desk.keys()
        answers = await self._sweep(subjects, begun.now)
        took = clock.read().now - begun.now
        swept = {subject.policy.key: subject.policy for subject in subjects}
        for start in range(0, len(keys), _CHUNK):
            if clock.read().now - asked >= _KNOWN_AFTER:
                asked, ends = clock.read().now, await self._caught_up()
            async with self._turn() as moment:
                known = moment.now < asked + KNOWN_WITHIN and await self._inputs_read(ends)
                conditions = Conditions(moment, known, max(2 * interval, 2 * took))
                for key in keys[start : start + _CHUNK]:
                    self._desk.evaluate(key, swept.get(key), answers.get(key), conditions)
                if self._desk.journal.urgent:
                    await self._commit()
            await asyncio.sleep(0)
        self._shared.ports.telemetry.evaluated(clock.read().now - begun.now)
        self._shared.presences[self._place.partition] = self._desk.presences()
        self._shared.tell_presences()

    async def _sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        if not subjects:
            return {}
        try:
            return await self._shared.ports.judges.sweep(subjects, now)
        except Exception:
            # A scaler of somebody else's making must not stop the wakes: without answers nothing is put to sleep.
            log.exception("sweep failed", partition=self._place.partition)
            return {}

    async def _ends(self) -> Mapping[str, int] | None:
        """Where the inputs end now; None when nobody can say, and then nothing is put to sleep."""
        try:
            ends = await self._shared.ports.membership.ends(self._place.partition)
            positions = await self._shared.ports.membership.positions(self._place.partition)
        except LogError as error:
            log.warning("ends unknown", partition=self._place.partition, error=str(error))
            return None
        waiting = self._waiting
        self._lag = {topic: max(0, end - positions[topic]) for topic, end in ends.items()}
        for topic, lag in self._lag.items():
            self._shared.ports.telemetry.lag(topic, self._place.partition, lag + waiting)
            waiting = 0
        return ends

    async def _caught_up(self) -> Mapping[str, int] | None:
        """Look where the inputs end by now, since measuring took long; what is on its way is waited for a little."""
        ends = await self._ends()
        for _ in range(_CATCHING_UP):
            if ends is None or await self._inputs_read(ends):
                break
            await self._shared.ports.clock.sleep(_LOOK_AGAIN)
        return ends

    async def _inputs_read(self, ends: Mapping[str, int] | None) -> bool:
        """Whether everything that was there when these ends were asked for is applied by now."""
        if ends is None:
            return False
        try:
            positions = await self._shared.ports.membership.positions(self._place.partition)
        except LogError:
            return False
        if any(positions[topic] < end for topic, end in ends.items()):
            return False
        return not any(records[0].offset < ends[records[0].topic] for records, _ in self._inbox)

    async def _reconcile(self, moment: Moment) -> None:
        """Make the policies in force here those of the installation, in transactions of bounded size."""
        entries = self._shared.ports.policies.entries()
        mine = {key: entry for key, entry in entries.items() if self._place.holds(key.namespace, key.name)}
        for key in self._desk.outdated(mine):
            self._desk.update(key, mine.get(key), moment)
            if self._desk.journal.full:
                await self._commit()
        if self._desk.journal.urgent:
            await self._commit()

    async def _commit(self) -> None:
        """Write everything that was decided since the last time; raises LogError when that is not certain."""
        writer, clock, telemetry = self._writer, self._shared.ports.clock, self._shared.ports.telemetry
        if writer is None or self._desk.journal.empty:
            return
        begun = clock.read()
        entry = self._desk.journal.take(lambda key: self._desk.present(key, begun.now))
        try:
            placed = await writer.commit(entry.transaction)
        except LogError as error:
            # Nobody knows what became of it: the next owner, perhaps ourselves anew, reads what is durable.
            self._writer = None
            fenced = isinstance(error, FencedError)
            ended = TransactionResult.FENCED if fenced else TransactionResult.FAILED
            telemetry.transaction(ended, clock.read().now - begun.now)
            raise
        ended_at = clock.read()
        if placed:
            clock.learn(placed[-1].at, begun, ended_at)
        telemetry.transaction(TransactionResult.COMMITTED, ended_at.now - begun.now)
        self._tell(entry, ended_at.now)

    def _tell(self, entry: Entry, now: datetime) -> None:
        """Count what became durable."""
        telemetry = self._shared.ports.telemetry
        for (action, code), number in entry.decisions.items():
            telemetry.decided(action, code, number)
        for direction, number in entry.directions().items():
            telemetry.sent(direction, number)
        for command in entry.commands:
            log.info(
                "command",
                service=str(command.key),
                direction=command.direction,
                code=command.reason.code,
                id=command.id,
            )
            if command.direction is Direction.UP:
                telemetry.woke(WakeStage.CONSUMED, command.decided_at - command.triggered_at)
                telemetry.woke(WakeStage.DECIDED, max(now - command.decided_at, timedelta()))


def weight_of(records: Sequence[Record]) -> int:
    """Return the bytes that records keep in memory, roughly: what is around them may be heavier than their values."""
    # In three lists: a call for each record would take a third of the time that fetching it takes.
    values = sum([len(record.value) for record in records if record.value is not None])
    keys = sum([len(record.key) for record in records if record.key is not None])
    headers = [len(name) + len(value or b"") + _HEADER for record in records for name, value in record.headers]
    return values + keys + sum(headers)
