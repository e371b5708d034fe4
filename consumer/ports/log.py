"""The log: records, outputs, and who reads and writes them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


UNREADABLE = "elasti_unreadable"
"""The only header of a record without value in whose place there is one that nobody can read; it says why."""


class Record(NamedTuple):
    """One record as it was read; `at` is its append time.

    A named tuple: tens of thousands are made a second, and a frozen dataclass costs four times as much to make.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at: datetime
    headers: Headers = ()


def unreadable(record: Record) -> str | None:
    """Say why nobody can read what is in this record's place; None when it is a record."""
    if record.value is not None or not record.headers:
        return None
    return next((why.decode(errors="replace") for name, why in record.headers if name == UNREADABLE), None)


@dataclass(frozen=True, slots=True)
class Output:
    """One record to write; the partition is always explicit."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an output ended up, and the append time that the broker gave it."""

    topic: str
    partition: int
    offset: int
    at: datetime


class LogError(Exception):
    """The log did not take or give something; the message says which, why and what to do."""


class LogSetupError(LogError):
    """The log is not set up as it must be (topics, partitions, rival groups): trying again will not help."""


class LogForbiddenError(LogSetupError):
    """An ACL is missing; the message names it, and how it is given."""


class FencedError(LogError):
    """A newer owner of the same partition exists: drop the partition, write nothing more."""


class Ownership(Protocol):
    """Told of partitions gained and lost, before consumption of them goes on or ends."""

    async def gained(self, partitions: frozenset[int]) -> None:
        """Own these partition numbers (of every input topic) from now on."""

    async def lost(self, partitions: frozenset[int]) -> None:
        """Finish and drop these partitions; the next owner waits until this returns."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one consumer group reads.

    `inputs` are read, co-partitioned; `keyed` are other topics that must have as many partitions. No group whose
    name begins with `rivals` may have members when one of this group starts (None: whoever).
    """

    group: str
    inputs: tuple[str, ...]
    keyed: tuple[str, ...] = ()
    rivals: str | None = None
    committed_only: bool = False


@dataclass(frozen=True, slots=True)
class Others:
    """What is at work beside what some settings name.

    `groups` are those of workers that read other topics and have members, `topics` those with the requests of a
    namespace that is none of the tenants.
    """

    groups: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()


class Membership(Protocol):
    """One member of the consumer group over the co-partitioned input topics."""

    @property
    def partitions(self) -> int:
        """The number of partitions of every keyed topic; known once started."""

    async def start(self, ownership: Ownership) -> None:
        """Join the group, also again after `stop`.

        Raises:
            LogSetupError: topics are missing or differ in their partitions, or a rival group has members.
            LogError: the log could not be reached.
        """

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        """Return up to `limit` records of resumed partitions, in order per topic partition.

        Gained partitions are paused until they are resumed. What went wrong in the background (a callback that
        failed, topics that no longer match) is raised here as LogError.
        """

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        """Set every input topic's position to its committed offset (none: earliest); returns the positions."""

    async def ends(self, partition: int) -> Mapping[str, int]:
        """The current end offset of each input topic's partition."""

    async def positions(self, partition: int) -> Mapping[str, int]:
        """What was returned by `fetch` ends here, in each input topic's partition (control records included)."""

    def pause(self, partition: int) -> None:
        """Fetch nothing of this partition number until resumed."""

    def resume(self, partition: int) -> None:
        """Fetch this partition number again."""

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit (topic, partition) -> next offset outside a transaction; the handler's way, never the worker's."""

    async def stop(self) -> None:
        """Leave the group politely: calls `lost` for what is owned, then leaves. Harmless when not started."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one partition decided: all of it becomes visible at once, or none. `offsets`: (topic, partition) -> next."""

    outputs: tuple[Output, ...]
    offsets: Mapping[tuple[str, int], int]


class Writer(Protocol):
    """The one transactional writer of one partition; opening it fenced every earlier one."""

    @property
    def identity(self) -> str:
        """Producer id and epoch, unique for each opening."""

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        """Write all or nothing; raises FencedError, or LogError when the outcome is failure or unknown."""

    async def close(self) -> None:
        """Give the writer up without a trace."""


class Writers(Protocol):
    """Opens the transactional writers."""

    async def open(self, partition: int) -> Writer:
        """Fence the previous owner of this partition and return its new writer; only inside the assignment."""


class Publisher(Protocol):
    """The idempotent, non-transactional way out: forwards, gateway records, results."""

    async def publish(self, output: Output) -> Placed:
        """Return when the log has it; raises LogError otherwise."""


class LogReader(Protocol):
    """Reads a topic's partition outside of any group, committed records only."""

    def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        """Yield everything from the beginning to the end as it was at the call."""

    def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        """Yield from `offset` (None: the end) on, for ever."""
