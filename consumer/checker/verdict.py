"""What is expected of a run, and what the checker says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple


class Rule(StrEnum):
    """What must hold; the names are part of what `elasti verify --json` prints."""

    WAKES = "request-wakes"
    SLEEPS = "no-wrong-sleep"
    UNIQUE = "one-id-one-decision"
    FENCED = "fenced-owner-is-silent"
    REPLAYS = "decisions-replay"
    SETTLED = "desired-is-actual"
    INPUTS = "inputs-exactly-once"
    PAID = "owed-wake-is-paid"
    ANSWERED = "commands-and-results-agree"
    READABLE = "outputs-can-be-read"


MEANING: Final[Mapping[Rule, str]] = {
    Rule.WAKES: "somebody waited for a service that was not brought up in time",
    Rule.SLEEPS: "a service was put to sleep although a rule of the design forbids it",
    Rule.UNIQUE: "one cause led to two things: whoever follows the log can not tell which of them is true",
    Rule.FENCED: "two workers decided for one partition at the same time",
    Rule.REPLAYS: "the log does not hold what the decision was made from, so it can not be explained",
    Rule.SETTLED: "a service is not as the last command wants it, and nothing is under way to change that",
    Rule.INPUTS: "what somebody wrote was lost, or was counted twice",
    Rule.PAID: "a wake was begun and nobody sees to it that a replica gets ready",
    Rule.ANSWERED: "commands and results tell different stories of the same service",
    Rule.READABLE: "something that is not ours was written into a topic of ours, or one of ours is broken",
}
"""What a violation of each rule means for people."""


class Place(NamedTuple):
    """One record that a violation speaks of: where it stands, when it was appended, and what it says."""

    topic: str
    partition: int
    offset: int
    time: datetime
    says: str = ""

    def __str__(self) -> str:
        """Return `topic/partition@offset`."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be: of which service (empty: of none alone), what happened, and the records of it."""

    rule: Rule
    service: str
    sentence: str
    records: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which wakes could not be carried out, since something they need was away; its end is over."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Expectations:
    """What may be expected of the run beside what always holds.

    `quiet`: nothing was asked for a while before the run ended and everything was in order, so all must be settled.
    `actual`: the replicas that each service (`namespace/name`) has in truth at the end.
    `wake_within`: how long a request may take to its accepted wake; time in an `outages` does not count.
    `until`: when the run ended; None: at its last record.
    `heard_within`: how long a switch or a request may take from its topic to the one who judges by it.
    """

    quiet: bool = False
    actual: Mapping[str, int] | None = None
    wake_within: timedelta = timedelta(seconds=60)
    until: datetime | None = None
    outages: tuple[Outage, ...] = ()
    heard_within: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was looked at; delays are from a request's append to that of the result that showed the service up.

    `replayed` are the decisions that were made again, `reworded` those of them that another version of the program had
    made, so that its sentences did not count. `unjudged`: what could not be judged and why, with how often; it is no
    violation.
    """

    records: Mapping[str, int] = field(default_factory=dict)
    services: int = 0
    requests: int = 0
    wakes: int = 0
    sleeps: int = 0
    decisions: int = 0
    replayed: int = 0
    reworded: int = 0
    owners: int = 0
    dead_letters: int = 0
    delays: tuple[timedelta, ...] = ()
    unjudged: Mapping[str, int] = field(default_factory=dict)

    def delay(self, share: float) -> timedelta | None:
        """Return the delay that this share of the wakes kept (0.5, 0.99, 1.0); None without wakes."""
        if not self.delays:
            return None
        return self.delays[min(int(share * len(self.delays)), len(self.delays) - 1)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker says of a run."""

    violations: tuple[Violation, ...]
    figures: Figures
