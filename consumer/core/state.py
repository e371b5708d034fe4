"""Everything remembered of one service: bounded, immutable, the content of its record in the `state` topic."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.core.inputs import Cause
from consumer.core.policy import Pause, WakeReplicas
from consumer.core.reasons import Code, Reason
from consumer.core.service import Autoscaler, Direction, Mode, Phase, ServiceKey, TargetRef
from consumer.core.window import Window

MAX_HOSTS = 64
MAX_SLEEPS = 3


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """The target as last reported; `generation` grows with every change of the replicas."""

    uid: str
    generation: int
    replicas: int
    ready: int
    at: datetime
    manager: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The last command sent, and the handler's answer to it."""

    command_id: str
    seq: int
    direction: Direction
    replicas: int
    at: datetime
    attempts: int = 1
    answer: Phase | None = None
    answered_at: datetime | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake that is owed: due since `since`, not yet shown to have a ready replica.

    `asked` counts the commands sent for it, `asked_at` the last; `accepted_at` and `generation` come from the
    first accepted or unchanged answer. `triggered_at` is the time of the event that made it due; `undoes` says which
    zero that was, and why it is not let be.
    """

    since: datetime
    code: Code
    cause: Cause
    triggered_at: datetime
    trace: str | None = None
    asked: int = 0
    asked_at: datetime | None = None
    accepted_at: datetime | None = None
    generation: int | None = None
    failed: str | None = None
    undoes: str | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """A zero that waits for the resolver to take the traffic."""

    command_id: str
    since: datetime
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The last word of the resolver on one incoming host."""

    incoming: str
    allowed: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one origin partition was applied; what is not newer in offset and time is a repetition."""

    topic: str
    partition: int
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Sleep:
    """One accepted zero of ours, and who undid it when, if somebody did."""

    at: datetime
    undone_at: datetime | None = None
    manager: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The last decision that was written, kept so that a service idle for months can still be explained."""

    id: str
    action: str
    reason: Reason
    at: datetime
    cause: Cause
    withheld: bool = False
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class Waking:
    """What the last valid policy said of waking: it holds on while the policy is invalid, or can not be seen."""

    min_replicas: int
    wake_replicas: WakeReplicas
    start_timeout: timedelta
    mode: Mode
    pause: Pause | None = None
    autoscaler: Autoscaler | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All that is known of one service. A new service starts with `ServiceState(key, first_seen_at=now)`."""

    key: ServiceKey
    first_seen_at: datetime
    seq: int = 0
    policy_uid: str | None = None
    policy_hash: str | None = None
    target_ref: TargetRef | None = None
    waking: Waking | None = None
    target: TargetFacts | None = None
    before_sleep: int | None = None
    ask: Ask | None = None
    wake: Wake | None = None
    prepare: Prepare | None = None
    hosts: tuple[HostFacts, ...] = ()
    marks: tuple[Mark, ...] = ()
    window: Window | None = None
    requests: int = 0
    last_request_at: datetime | None = None
    last_wake_at: datetime | None = None
    ready_at: datetime | None = None
    foreign_up_at: datetime | None = None
    sleeps: tuple[Sleep, ...] = ()
    contested_since: datetime | None = None
    said: Said | None = None
