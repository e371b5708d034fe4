"""What is kept of each record: enough to judge a run by, small enough to keep for a million of them."""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumer.checker.verdict import Place
from schemas.topics import Topic

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_DEAD_LETTER: Final = Topic.DEAD_LETTER.value
DIGEST: Final = 16
"""Bytes that tell two contents apart."""

Source = tuple[str, int]
"""A partition that requests enter the log by: the kind of its topic (there may be one for a namespace), its number."""

Marks = tuple[tuple[str, int, int], ...]
"""How far the inputs were applied to a service: (kind of topic, partition, offset)."""


def millis(moment: datetime) -> int:
    """Return the milliseconds since 1970: a column of them takes an eighth of one of datetimes."""
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(milliseconds: int) -> datetime:
    """Return the moment again."""
    return _EPOCH + milliseconds * _MILLISECOND


class Asked(NamedTuple):
    """One record of requests: when it entered the log, and where."""

    at: int
    source: Source
    offset: int
    requests: int


@dataclass(slots=True)
class Column:
    """A service's requests in one partition, in the order of their offsets; `sums` counts them up."""

    at: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sums: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, at: int, offset: int, count: int) -> None:
        """Append one record; one that was read already changes nothing."""
        if self.offsets and offset <= self.offsets[-1]:
            return
        self.at.append(at)
        self.offsets.append(offset)
        self.sums.append((self.sums[-1] if self.sums else 0) + count)

    def count(self, index: int) -> int:
        """Return the requests of one record."""
        return self.sums[index] - (self.sums[index - 1] if index else 0)

    def total(self, after: int, up_to: int) -> int:
        """Return the requests of the offsets above one and up to another."""
        first, end = bisect_right(self.offsets, after), bisect_right(self.offsets, up_to)
        if first >= end:
            return 0
        return self.sums[end - 1] - (self.sums[first - 1] if first else 0)

    def holds(self, offset: int) -> bool:
        """Whether there is a record at this offset."""
        index = bisect_left(self.offsets, offset)
        return index < len(self.offsets) and self.offsets[index] == offset


class HostFact(NamedTuple):
    """A resolver's word; `origin` is where it entered the log."""

    place: Place
    origin: tuple[int, int]
    at: datetime
    incoming: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class CommandFact:
    """A command; `owner` is known where a cycle caused it.

    `digest` tells two contents apart, `meaning` two that differ in more than their sentences.
    """

    place: Place
    id: str
    seq: int
    direction: str
    replicas: int
    code: str
    at: datetime
    owner: str | None
    digest: bytes
    meaning: bytes
    policy_hash: str
    target: str
    cluster: str
    expect: tuple[str, int, int] | None


class Again(NamedTuple):
    """A command as the repetition of its decision gives it; not `exact`: the digest is that of its meaning."""

    digest: bytes
    exact: bool


@dataclass(frozen=True, slots=True)
class ResultFact:
    """A result of a cluster.

    `shown` is when the log showed it, or when it was true if it waited for the log (a direct wake).
    """

    place: Place
    command: str | None
    phase: str
    replicas: int
    ready: int
    target: str
    uid: str
    generation: int
    at: datetime
    triggered: datetime | None
    decided: datetime | None
    cause: str
    manager: str | None
    retryable: bool | None
    origin: tuple[int, int]
    cluster: str

    def follows(self, other: "ResultFact") -> bool:
        """Whether it shows the same target as the other, in that generation or a later one."""
        return self.uid == other.uid and self.generation >= other.generation

    @property
    def shown(self) -> datetime:
        """When the world could know of it."""
        return self.at if self.cause == "direct" else self.place.time


@dataclass(frozen=True, slots=True)
class ZeroFact:
    """What a zero, or the prepare before it, was decided from, as far as other topics tell of the same.

    `wrong`: what its own record shows to be wrong already. `begun`: when its cycle read where the inputs ended.
    `judged`: whether the record holds enough to be judged by; it does not when it was cut, or its policy is not known.
    """

    wrong: tuple[str, ...]
    judged: bool
    cooldown: timedelta = timedelta()
    begun: datetime = _EPOCH
    guarded: bool = False
    prepared: datetime | None = None
    target_name: str = ""
    target: tuple[str, int, int] | None = None


@dataclass(frozen=True, slots=True)
class DecisionFact:
    """A decision; `digest` tells two contents apart, `before` and `after` are how far the inputs were applied."""

    place: Place
    id: str
    digest: bytes
    at: datetime
    action: str
    code: str
    withheld: bool
    command: str | None
    owner: str | None
    policy_hash: str | None
    has_policy: bool
    mode: str
    max_request_age: timedelta
    requests: int
    before: Marks | None
    after: Marks | None
    born: datetime | None
    zero: ZeroFact | None


@dataclass(frozen=True, slots=True)
class StateFact:
    """The last state of a service."""

    place: Place
    seq: int
    has_policy: bool
    born: datetime
    requests: int
    marks: Marks
    hosts: tuple[tuple[str, bool, datetime], ...]
    target: tuple[str, int, int, int] | None
    wake: tuple[str, datetime] | None


class Step(NamedTuple):
    """From when on a service's states said this: its mode, and until when everything is paused (None: it is not)."""

    at: datetime
    mode: str
    paused_until: datetime | None


class Owner(NamedTuple):
    """Who wrote a record of a partition, and that record."""

    name: str
    place: Place


@dataclass(slots=True)
class Page:
    """Everything that is kept of one service, each kind in the order of its partition."""

    name: str
    columns: dict[Source, Column] = field(default_factory=dict)
    forwards: set[tuple[Source, int]] = field(default_factory=set)
    """(source, offset) of each stray request that reached the service's own partition."""
    strangers: set[Source] = field(default_factory=set)
    """Partitions of which a forwarded request is here whose original is not."""
    hosts: list[HostFact] = field(default_factory=list)
    commands: list[CommandFact] = field(default_factory=list)
    results: list[ResultFact] = field(default_factory=list)
    decisions: list[DecisionFact] = field(default_factory=list)
    states: int = 0
    state: StateFact | None = None
    steps: dict[str, list[Step]] = field(default_factory=dict)
    """Per source of such a word: the changes of what it said."""
    seen: list[datetime] = field(default_factory=list)
    """When a state with a policy was written for the first time, and for the first time after each tombstone."""
    gone: list[datetime] = field(default_factory=list)
    """When the service was forgotten: the tombstones of its state."""
    seqs: list[tuple[int, Owner]] = field(default_factory=list)
    """Each new sequence number of the states, and who wrote it."""
    status: tuple[Place, int | None, int | None, str] | None = None
    """The last status: place, desired, replicas, mode."""

    def lives(self) -> list[tuple[datetime, datetime | None]]:
        """Return from when to when (None: it still has it) the service had a policy, as far as the log shows it."""
        shown = [(one.place.time, False) for one in self.decisions if one.policy_hash is not None]
        marks = sorted({*shown, *((at, False) for at in self.seen), *((at, True) for at in self.gone)})
        lives: list[tuple[datetime, datetime | None]] = []
        for at, ends in marks:
            alive = bool(lives) and lives[-1][1] is None
            if ends and alive:
                lives[-1] = (lives[-1][0], at)
            elif not ends and not alive:
                lives.append((at, None))
        return lives


@dataclass(slots=True)
class Lane:
    """One partition of one topic: how far it was read, and which of its records can not be used."""

    first: int
    last: int
    began: datetime
    ended: datetime
    count: int = 0
    poisons: "array[int]" = field(default_factory=lambda: array("q"))
    """Offsets of what is not the message it should be."""


@dataclass(slots=True)
class Letters:
    """The dead letters about one partition: of each the offset it is about, and where and when it was written."""

    about: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    at: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, about: int, place: Place) -> None:
        """Append one."""
        self.about.append(about)
        self.offsets.append(place.offset)
        self.at.append(millis(place.time))

    def place(self, index: int) -> Place:
        """Return where one stands."""
        return Place(_DEAD_LETTER, 0, self.offsets[index], moment_of(self.at[index]), "dead letter")
