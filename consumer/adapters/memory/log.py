"""Topics and their partitions in memory, with open, committed and aborted transactions as Kafka keeps them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from consumer.adapters.memory.members import MemoryGroup
from consumer.ports import Clock, LogError, LogSetupError, Output, Placed, Record

MAX_BYTES = 1_048_588
"""The largest record; Kafka's own default for `max.message.bytes`."""


class Fate(Enum):
    """What became of a transaction; records outside of any are committed from the start."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(slots=True)
class Span:
    """One transaction: its fate, and the partitions that its marker goes to."""

    fate: Fate = Fate.OPEN
    touched: set[tuple[str, int]] = field(default_factory=set)


@dataclass(slots=True)
class Producer:
    """One transactional id: the epoch of its newest writer, and its open transaction."""

    number: int
    epoch: int = -1
    open: Span | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record, or None for a control record, which takes an offset as Kafka's do."""

    record: Record | None
    span: Span


_ALONE = Span(Fate.COMMITTED)
_GAP = _Entry(None, _ALONE)
"""Where a record was: offsets are not given out anew."""


class MemoryLog:
    """One cluster's log; everything that shares it sees the same records in the same order."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.committed: dict[str, dict[tuple[str, int], int]] = {}
        """Per group: (topic, partition) -> next offset."""
        self._groups: dict[str, MemoryGroup] = {}
        self._producers: dict[str, Producer] = {}
        self._partitions: dict[tuple[str, int], list[_Entry]] = {}
        self._counts: dict[str, int] = {}
        self._changed = asyncio.Event()

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic; raises LogSetupError when it exists with other partitions."""
        known = self._counts.setdefault(topic, partitions)
        if known != partitions:
            raise LogSetupError(f"topic {topic} has {known} partitions, not {partitions}; create it anew")
        for partition in range(partitions):
            self._partitions.setdefault((topic, partition), [])

    def count(self, topic: str) -> int:
        """Return the number of partitions; raises LogSetupError when there is no such topic."""
        if topic not in self._counts:
            raise LogSetupError(f"topic {topic} does not exist; create it")
        return self._counts[topic]

    def group(self, name: str) -> MemoryGroup:
        """Return the group of that name."""
        return self._groups.setdefault(name, MemoryGroup())

    def groups_with_members(self) -> list[str]:
        """Return the names of the groups that somebody is in."""
        return [name for name, group in self._groups.items() if group.members]

    def append(self, output: Output, span: Span = _ALONE) -> Placed:
        """Append one record, as any producer does; raises LogError when it does not fit."""
        size = len(output.key or b"") + len(output.value or b"")
        if size > MAX_BYTES:
            raise LogError(f"{output.topic}/{output.partition}: a record of {size} bytes is too large; cut it")
        entries = self._entries(output.topic, output.partition)
        moment = self.clock.read().now
        record = Record(
            topic=output.topic,
            partition=output.partition,
            offset=len(entries),
            key=output.key,
            value=output.value,
            at=moment,
            headers=output.headers,
        )
        entries.append(_Entry(record, span))
        span.touched.add((output.topic, output.partition))
        self._announce()
        return Placed(output.topic, output.partition, record.offset, moment)

    def fence(self, transactional_id: str) -> Producer:
        """Begin a new epoch of a transactional id; what an earlier one left open is aborted."""
        producer = self._producers.setdefault(transactional_id, Producer(len(self._producers)))
        producer.epoch += 1
        if producer.open is not None:
            self.finish(producer.open, Fate.ABORTED)
            producer.open = None
        return producer

    def finish(self, span: Span, fate: Fate) -> None:
        """End a transaction: its marker takes an offset in every partition that it touched."""
        span.fate = fate
        for topic, partition in sorted(span.touched):
            self._entries(topic, partition).append(_Entry(None, span))
        self._announce()

    def read(
        self, place: tuple[str, int], position: int, *, limit: int, committed_only: bool
    ) -> tuple[Sequence[Record], int]:
        """Return records from a position on, and the position behind them."""
        entries = self._entries(*place)
        found: list[Record] = []
        for offset in range(position, len(entries)):
            entry = entries[offset]
            if committed_only and entry.span.fate is Fate.OPEN:
                return found, offset
            if len(found) == limit:
                return found, offset
            if entry.record is not None and not (committed_only and entry.span.fate is Fate.ABORTED):
                found.append(entry.record)
        return found, len(entries)

    def end(self, place: tuple[str, int], *, committed_only: bool) -> int:
        """Return the end; for committed reads that is before the first open transaction."""
        entries = self._entries(*place)
        if committed_only:
            for offset, entry in enumerate(entries):
                if entry.span.fate is Fate.OPEN:
                    return offset
        return len(entries)

    def growth(self) -> asyncio.Event:
        """Return what is set at the next append, end or wake after this call."""
        return self._changed

    def wake(self) -> None:
        """Let everyone who waits look again."""
        self._announce()

    def records(self, topic: str) -> list[Record]:
        """Return all committed records of a topic, partition by partition."""
        return [
            record
            for partition in range(self.count(topic))
            for record in self.read((topic, partition), 0, limit=MAX_BYTES, committed_only=True)[0]
        ]

    def compact(self, topic: str) -> None:
        """Keep the last record of each key alone, as Kafka's cleaner does; offsets stay as they are."""
        for partition in range(self.count(topic)):
            entries, seen = self._entries(topic, partition), set[bytes | None]()
            for offset in reversed(range(len(entries))):
                entry = entries[offset]
                if entry.record is None or entry.span.fate is not Fate.COMMITTED:
                    continue
                if entry.record.key in seen:
                    entries[offset] = _GAP
                seen.add(entry.record.key)

    def expire(self, topic: str, before: datetime) -> None:
        """Forget the records that were appended before, as Kafka's retention does; offsets stay as they are."""
        for partition in range(self.count(topic)):
            entries = self._entries(topic, partition)
            for offset, entry in enumerate(entries):
                if entry.record is None or entry.span.fate is Fate.OPEN:
                    continue
                if entry.record.at >= before:
                    break
                entries[offset] = _GAP

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _entries(self, topic: str, partition: int) -> list[_Entry]:
        try:
            return self._partitions[topic, partition]
        except KeyError:
            raise LogError(f"{topic}/{partition} does not exist; create the topic, or fix the partition") from None
