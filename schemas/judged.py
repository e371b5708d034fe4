"""What a decision was made from: answers, events, surroundings and the policy, as the decision log keeps them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from schemas.message import Part, Timestamp
from schemas.parts import Autoscaler, Cause, Mode, RecordCause, TargetRef
from schemas.scale_result import Phase


class Key(Part):
    """A service."""

    namespace: str
    name: str


class Evidence(Part):
    """The measurement behind an answer: `value` beside its `threshold`."""

    value: float | None = None
    threshold: float | None = None
    text: str = ""


class Yes(Part):
    """The question is answered with yes; `at` is the time the evidence speaks of."""

    kind: Literal["yes"]
    evidence: Evidence
    at: Timestamp


class No(Part):
    """The question is answered with no."""

    kind: Literal["no"]
    evidence: Evidence
    at: Timestamp


class Unknown(Part):
    """The question could not be answered, for this cause."""

    kind: Literal["unknown"]
    cause: str
    at: Timestamp
    detail: str = ""


Answer = Annotated[Yes | No | Unknown, Field(discriminator="kind")]


class TriggerAnswers(Part):
    """What one trigger said; `name` is `type#index`, as in `prometheus#0`."""

    name: str
    healthy: Answer
    to_zero: Answer
    from_zero: Answer


class Answers(Part):
    """What all triggers said in one sweep, and how long that took."""

    triggers: tuple[TriggerAnswers, ...]
    took: timedelta


class Trigger(Part):
    """One trigger of the policy; of its headers only the names, since their values are secrets."""

    type: str
    metadata: dict[str, str]
    headers: tuple[str, ...] = ()


class Pause(Part):
    """A pause by annotation."""

    kind: Literal["sleep", "all"]
    until: Timestamp | None = None


class EnabledPeriod(Part):
    """When the service may sleep."""

    kind: Literal["enabledPeriod"]
    schedule: str
    duration: timedelta


class InvalidPeriod(Part):
    """A period that can not be read."""

    kind: Literal["invalidPeriod"]
    problem: str


class Policy(Part):
    """The content of one ElastiService, with every default filled in."""

    key: Key
    name: str
    uid: str
    hash: str
    created_at: Timestamp
    target: TargetRef
    triggers: tuple[Trigger, ...]
    min_replicas: int
    cooldown: timedelta
    wake_replicas: Literal["min", "previous"]
    period: Annotated[EnabledPeriod | InvalidPeriod, Field(discriminator="kind")] | None = None
    autoscaler: Autoscaler | None = None
    pause: Pause | None = None
    mode: Mode
    zero_guard: Literal["none", "resolver"]
    guard_timeout: timedelta
    start_timeout: timedelta


class RequestSeen(Part):
    """A RequestCount, at its append time."""

    kind: Literal["requestSeen"]
    count: NonNegativeInt
    at: Timestamp
    origin: RecordCause
    trace: str | None = None


class HostSeen(Part):
    """A Host, at its append time."""

    kind: Literal["hostSeen"]
    incoming: str
    allowed: bool
    at: Timestamp
    origin: RecordCause


class ResultSeen(Part):
    """A ScaleResult."""

    kind: Literal["resultSeen"]
    phase: Phase
    command_id: str | None = None
    target: TargetRef
    uid: str
    generation: int
    replicas: NonNegativeInt
    ready: NonNegativeInt
    at: Timestamp
    origin: RecordCause
    direct: bool = False
    manager: str | None = None
    error: str | None = None
    retryable: bool = False
    triggered_at: Timestamp | None = None


class PolicySeen(Part):
    """The policy came, or changed."""

    kind: Literal["policySeen"]
    policy: Policy
    at: Timestamp


Event = Annotated[RequestSeen | HostSeen | ResultSeen | PolicySeen, Field(discriminator="kind")]


class Surroundings(Part):
    """What was true around the service: freeze, mode, clock, how far inputs were read, conflict, budget."""

    cause: Cause
    mode: Mode
    frozen: str | None = None
    clock_sure: bool
    inputs_read: bool
    conflict: Key | None = None
    budget_left: int
    stale_after: timedelta
    max_request_age: timedelta
