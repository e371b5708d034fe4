"""What a judgement ends in: an action, its reason, the state after it, and the command it asks for, if any."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consumer.core.inputs import Cause
from consumer.core.reasons import Reason
from consumer.core.service import Autoscaler, Direction, ServiceKey, TargetRef
from consumer.core.state import ServiceState


class Action(StrEnum):
    """What was decided: leave it, wake it, put it to sleep, or ask the resolver to take the traffic first."""

    HOLD = "hold"
    UP = "up"
    ZERO = "zero"
    PREPARE = "prepare"


@dataclass(frozen=True, slots=True)
class Expect:
    """What was known of the target when a zero was decided; the handler checks that it still holds."""

    uid: str
    generation: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked of the handler; `id` is derived from the cause, so a re-read asks the same again."""

    id: str
    seq: int
    key: ServiceKey
    target: TargetRef
    direction: Direction
    replicas: int
    expect: Expect | None
    reason: Reason
    autoscaler: Autoscaler | None
    policy_uid: str
    policy_hash: str
    triggered_at: datetime
    decided_at: datetime
    cause: Cause
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one judgement, and what caused it.

    `command`: to be sent with the state, or None (nothing to ask, or asked already). `withheld`: the mode kept a
    command back. `changed`: this decision is to be written, since its action, code or withholding differs from the
    last written one, or since it sends a command (then `state.said` is it already). `reason`: of an outcome that is
    not `changed`, the reason as it was last written; `telling.told` gives the present facts of any code.
    """

    state: ServiceState
    action: Action
    reason: Reason
    cause: Cause
    command: Command | None = None
    withheld: bool = False
    changed: bool = False

    @property
    def decision_id(self) -> str:
        """The id of this decision; derived when asked for, since most decisions are never written."""
        return derived_id("decision", self.state.key, self.cause)


def derived_id(kind: str, key: ServiceKey, cause: Cause) -> str:
    """Derive the id of a `command` or `decision` from what caused it: 32 hex digits of SHA-256."""
    return hashlib.sha256(f"{kind}|{key}|{cause}".encode()).hexdigest()[:32]
