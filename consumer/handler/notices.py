"""Which Kubernetes Events there are and what they say; and how many: equal ones as one, and never a flood."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from consumer.core.outcome import Command
from consumer.core.reasons import Code
from consumer.core.sentences import sentence
from consumer.core.service import Direction, Phase
from consumer.ports import Notice, ResourceRef, TargetKey, TargetView

# KubeElasti's reasons, which dashboards and alerts know.
SUCCESS = "SuccessToScale"
FAILURE = "FailedToScale"

TOLD_WHEN_NEW = frozenset({Code.NEVER_READY, Code.CONTESTED, Code.GUARD_TIMEOUT, Code.FROZEN, Code.INVALID_PERIOD})
"""The codes that are worth an Event when a service comes to be so; none of them is part of a good day."""


def camel(code: str) -> str:
    """Write a code as Kubernetes writes reasons: `never-ready` becomes `NeverReady`."""
    return "".join(word.capitalize() for word in code.split("-"))


def of_answer(
    command: Command, phase: Phase, view: TargetView | None, trouble: str, resource: ResourceRef | None
) -> tuple[Notice, ...]:
    """Return what is told of an answer, on the resource and on the target; most answers are no news."""
    target = TargetKey(command.key.namespace, command.target)
    count = 0 if command.direction is Direction.ZERO else command.replicas
    match phase:
        case Phase.ACCEPTED:
            why = f"{sentence(command.reason)} ({command.reason.code})"
            told = Notice(target, SUCCESS, f"Successfully scaled {count} replicas for {command.target}: {why}")
        case Phase.FAILED:
            message = f"Failed to scale {count} replicas for {command.target}: {trouble}"
            told = Notice(target, FAILURE, message, warning=True)
        case _:
            return ()
    told = replace(told, target_uid=view.uid if view else None)
    return (told, replace(told, about=resource, target_uid=None)) if resource else (told,)


def of_code(resource: ResourceRef, code: Code, message: str) -> Notice | None:
    """Return what is told when a service comes to be judged by this code."""
    if code not in TOLD_WHEN_NEW:
        return None
    return Notice(resource, camel(code), message, warning=code is not Code.FROZEN)


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many at once, and one more each `every`."""

    burst: int
    every: timedelta


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of an allowance, as it was at `at`."""

    left: float
    at: datetime


def filled(allowance: Allowance, bucket: Bucket | None, now: datetime) -> float:
    """How much is left now."""
    if bucket is None:
        return float(allowance.burst)
    return min(float(allowance.burst), bucket.left + (now - bucket.at) / allowance.every)


@dataclass(frozen=True, slots=True)
class Pending:
    """One notice that waits, how often it happened, and from when to when."""

    notice: Notice
    count: int
    first: datetime
    last: datetime


_Same = tuple[ResourceRef | TargetKey, str, str]


@dataclass(slots=True)
class Outbox:
    """What waits to be told: `room` different notices at most; each object and all together within their allowance."""

    each: Allowance
    together: Allowance
    room: int
    _waiting: dict[_Same, Pending] = field(default_factory=dict)
    _buckets: dict[ResourceRef | TargetKey, Bucket] = field(default_factory=dict)
    _all: Bucket | None = None

    def put(self, notice: Notice, now: datetime) -> bool:
        """Take a notice in; False when there is no room for one more."""
        same = (notice.about, notice.reason, notice.message)
        before = self._waiting.get(same)
        if before is None and len(self._waiting) >= self.room:
            return False
        count, first = (1, now) if before is None else (before.count + 1, before.first)
        self._waiting[same] = Pending(notice, count, first, now)
        return True

    def take(self, now: datetime) -> Pending | None:
        """Return the next that may be told now, paid for; None when there is none."""
        left = filled(self.together, self._all, now)
        if left < 1:
            return None
        for same, pending in self._waiting.items():
            own = filled(self.each, self._buckets.get(same[0]), now)
            if own >= 1:
                del self._waiting[same]
                self._all = Bucket(left - 1, now)
                self._buckets[same[0]] = Bucket(own - 1, now)
                self._forget(now)
                return pending
        return None

    def __len__(self) -> int:
        """How many different ones wait."""
        return len(self._waiting)

    def _forget(self, now: datetime) -> None:
        """A bucket that is full again says nothing."""
        if len(self._buckets) > self.room:
            full = [about for about, bucket in self._buckets.items() if self._is_full(bucket, now)]
            for about in full:
                del self._buckets[about]

    def _is_full(self, bucket: Bucket, now: datetime) -> bool:
        return filled(self.each, bucket, now) >= self.each.burst
