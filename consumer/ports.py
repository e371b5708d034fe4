"""The doors of the system in its own words: log, cluster, measurements, policies, clock."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from consumer.core.answers import Answer, Answers
from consumer.core.policy import Policy, Trigger
from consumer.core.readings import Failure, Question, Reading
from consumer.core.service import ServiceKey, TargetRef
from consumer.core.window import Window

Headers = tuple[tuple[str, bytes], ...]


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


class Measurements(Protocol):
    """Servers that answer PromQL queries."""

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        """Evaluate the query at that time, within `limit`; never raises for what a server does or says."""

    async def close(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A service to be measured: its policy and the requests counted so far."""

    policy: Policy
    window: Window | None


class Scaler(Protocol):
    """One trigger of one policy; the contract of KubeElasti's Go interface. Never raises on bad measurements."""

    async def is_healthy(self, now: datetime) -> Answer:
        """Whether the source can be believed; anything but Yes blocks the way down only."""

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        """Yes: by this trigger the service is idle."""

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        """Yes: by this trigger the service is busy."""

    async def close(self) -> None:
        """Release what the scaler holds."""


class Judges(Protocol):
    """Asks every trigger of many policies in one sweep with one timestamp."""

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        """Return answers for every subject; failures are Unknown, nothing is raised for bad measurements."""

    def window_of(self, policy: Policy) -> timedelta | None:
        """The longest request window that a trigger of this policy counts over, or None."""


@dataclass(frozen=True, slots=True, order=True)
class TargetKey:
    """A workload in its namespace."""

    namespace: str
    ref: TargetRef

    def __str__(self) -> str:
        """Return `namespace/Kind/name`."""
        return f"{self.namespace}/{self.ref}"


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as the cluster shows it; `manager` is who last changed its replicas, where known."""

    key: TargetKey
    uid: str
    generation: int
    resource_version: str
    replicas: int
    ready: int
    at: datetime
    manager: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A conditional change: only if there are `expected` replicas (and that very version), make them `wanted`."""

    expected: int
    wanted: int
    resource_version: str | None = None


class TargetError(Exception):
    """The cluster refused; the message says which target, why, and what to do."""

    code = "failed"


class TargetMovedError(TargetError):
    """The condition of a change did not hold (HTTP 409 or 422); read again and judge anew."""

    code = "moved"


class TargetBusyError(TargetError):
    """The cluster is overloaded, slow or away; try again after `retry_after` if it says so."""

    code = "busy"

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TargetGoneError(TargetError):
    """There is no such target (404)."""

    code = "gone"


class TargetForbiddenError(TargetError):
    """The rights to do this are missing (403)."""

    code = "forbidden"


class TargetInvalidError(TargetError):
    """The target can not be scaled as asked, and asking again will not help."""

    code = "invalid"


class Targets(Protocol):
    """Everything that can be scaled in one cluster."""

    async def look(self, key: TargetKey) -> TargetView:
        """Read the target now; raises TargetError."""

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change and return the target after it; raises TargetError."""

    def watch(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield every target once, then each change of one; a bare key is a target that is gone."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a policy: `where` (file:line or resource), `field`, and what to write instead."""

    where: str
    field: str
    message: str

    def __str__(self) -> str:
        """Return `where: field: message`, or `where: message` when it is no single field."""
        return ": ".join(part for part in (self.where, self.field, self.message) if part)


class TriggerCheck(Protocol):
    """Says what is wrong with a trigger, in the words of its scaler type."""

    def __call__(self, trigger: Trigger) -> Sequence[tuple[str, str]]:
        """Return (field, what to write instead) for each fault; empty when the trigger is valid."""


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A policy resource as last read: the last valid content (if ever) and the problems of the newest."""

    key: ServiceKey
    policy: Policy | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyGone:
    """A policy resource was deleted; `policy` is its last valid content."""

    key: ServiceKey
    policy: Policy | None


class Policies(Protocol):
    """The policies of the installation."""

    async def listed(self) -> None:
        """Return once the first full list has been seen."""

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        """All of them, now; a policy that is in force for its service (the oldest when several name it)."""

    def whole(self) -> bool:
        """Whether nothing was unreadable: only then is a policy that is not among the entries a deleted one."""

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """The older policy that names the same service or target, if there is one."""

    def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        """Yield each change from now on."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Broker time, in milliseconds, and whether it is sure within a second."""

    now: datetime
    sure: bool


class Clock(Protocol):
    """The only source of time."""

    def read(self) -> Moment:
        """Local monotonic time plus the offset measured on the append times of our own records."""

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Take the append time of one of our records into account, sent and acknowledged at these moments."""

    async def sleep(self, length: timedelta) -> None:
        """Wait that long in this clock's time."""
