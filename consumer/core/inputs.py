"""The facts that reach a service: requests, hosts, results, policy changes; and what is true around it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumer.core.policy import Policy
from consumer.core.service import Mode, Phase, ServiceKey, TargetRef

KNOWN_WITHIN: Final = timedelta(seconds=2)
"""A sleep is decided with everything read that the inputs held so long before, however long its cycle took."""


@dataclass(frozen=True, slots=True)
class RecordCause:
    """The record that caused something; of a forwarded record the place where it first entered."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return `topic/partition@offset`."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class CycleCause:
    """An evaluation that no record caused: the owner's producer id and epoch, and its own counter."""

    owner: str
    counter: int

    def __str__(self) -> str:
        """Return `cycle owner#counter`."""
        return f"cycle {self.owner}#{self.counter}"


Cause = RecordCause | CycleCause


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """`count` requests for the service (0 = heard from, no traffic), appended to the log at `at`."""

    count: int
    at: datetime
    origin: RecordCause
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class HostSeen:
    """A resolver says whether requests for `incoming` pass it now (`allowed`)."""

    incoming: str
    allowed: bool
    at: datetime
    origin: RecordCause


@dataclass(frozen=True, slots=True)
class ResultSeen:
    """A scale result or an observation of the target; `at` is the handler's time of the fact."""

    phase: Phase
    command_id: str | None
    target: TargetRef
    uid: str
    generation: int
    replicas: int
    ready: int
    at: datetime
    origin: RecordCause
    direct: bool = False
    manager: str | None = None
    error: str | None = None
    retryable: bool = False
    triggered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """The service's policy is now this one (first sight, an edit, or a new uid)."""

    policy: Policy
    at: datetime


Event = RequestSeen | HostSeen | ResultSeen | PolicySeen


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true around a service while it is judged.

    `stale_after`: an answer older than this is not believed (max of 2 intervals and 2 x the last sweep).
    `budget_left`: how many more services of this partition may be put to sleep now.
    `frozen`: who froze the sleeps and why, or None. `conflict`: the older policy that names the same
    service or target, or None. `inputs_read`: the inputs are read up to where they ended at most `KNOWN_WITHIN` before.
    """

    cause: RecordCause | CycleCause
    mode: Mode = Mode.FULL
    frozen: str | None = None
    clock_sure: bool = True
    inputs_read: bool = True
    conflict: ServiceKey | None = None
    budget_left: int = 10
    stale_after: timedelta = timedelta(seconds=60)
    max_request_age: timedelta = timedelta(minutes=10)
