"""What the status of a resource is to say, as a pure function of what is known; and how soon a difference is news."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumer.core.outcome import Action
from consumer.core.reasons import Code
from consumer.core.service import Mode, ServiceKey
from consumer.handler.notices import camel
from consumer.ports import Condition, LastDecision, PolicyEntry, Problem, ResourceStatus, Shadowed, TargetView, Truth

READY: Final = "Ready"
ACTIVE: Final = "Active"

AT_ONCE: Final = timedelta(seconds=1)
"""A sleep, a wake, a fault of the policy: what comes within this second is written with it."""
SOON: Final = timedelta(seconds=30)
"""Between two writes for anything else: an HPA that scales, a source of measurements that comes and goes."""
SOMETIME: Final = timedelta(minutes=5)
"""Between two writes of a service in use, where only the reason to leave it up swings from one to the other."""

_ACTIONS: Final = {
    Code.UNFINISHED: Action.UP,
    Code.OUTSIDE_PERIOD: Action.UP,
    Code.INVALID_PERIOD: Action.UP,
    Code.BUSY: Action.UP,
    Code.REQUEST: Action.UP,
    Code.POLICY_DELETED: Action.UP,
    Code.TARGET_CHANGED: Action.UP,
    Code.ADOPTED: Action.UP,
    Code.IDLE: Action.ZERO,
    Code.AWAITING_RESOLVER: Action.PREPARE,
}
"""What each code decides; the others hold."""

_IN_USE: Final = frozenset(
    {
        *(Code.RECENT_TRAFFIC, Code.COOLING_DOWN, Code.BUSY, Code.NOT_IDLE, Code.REQUEST, Code.WAITING_READY),
        *(Code.UNFINISHED, Code.BEHIND, Code.SLEEP_BUDGET, Code.STALE_REQUEST, Code.ADOPTED, Code.OUTSIDE_PERIOD),
    }
)
"""The codes of a good day: a service that is used swings between them, and nobody has to be told at once."""

_ON_THE_WAY: Final = frozenset({Code.UNFINISHED, Code.WAITING_READY})
"""The codes that say of a service that no replica serves yet: a falsehood once one does."""

_NOT_READY: Final = frozenset(
    {
        *(Code.BLIND, Code.STALE, Code.CLOCK, Code.NEVER_READY, Code.CONTESTED, Code.GUARD_TIMEOUT),
        *(Code.INVALID_PERIOD, Code.INVALID_POLICY, Code.CONFLICT),
    }
)
"""The codes under which a policy does not do what its owner wants, until somebody does something."""


@dataclass(frozen=True, slots=True)
class Present:
    """What the log last said of a service's judgement."""

    code: Code
    message: str
    since: datetime
    mode: Mode
    last_wake_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known around an entry: the older rival, the judgement, the target, and what it had while awake.

    `gone`: the target is known not to be there; `refused` is why it can not be looked at, as a condition; `given_up`
    is the judgement of a wake of which no replica got ready to this day.
    """

    older: ServiceKey | None = None
    present: Present | None = None
    view: TargetView | None = None
    gone: bool = False
    refused: Condition | None = None
    awake: int | None = None
    given_up: Present | None = None


def status_of(entry: PolicyEntry, known: Knowledge, mode: Mode) -> ResourceStatus:
    """Return what the status of the resource in force is to say; `mode` is that of the installation by now."""
    present, view = known.present, known.view
    return ResourceStatus(
        conditions=(_ready(entry, known), _active(known)),
        mode=mode,
        replicas=view.replicas if view else None,
        # Also while it is awake: whoever finds it asleep tomorrow, with us gone, reads here what it had.
        previous_replicas=known.awake,
        decision=_decision(present) if present else None,
        last_scaled_up=present.last_wake_at if present else None,
        observed_generation=entry.generation,
    )


def status_of_shadowed(shadowed: Shadowed, entry: PolicyEntry) -> ResourceStatus:
    """Return what the status of a resource is to say that names a service for which another one is in force."""
    if shadowed.problems:
        ready = _invalid(shadowed.problems, last_valid=False)
    else:
        message = (
            f"service {entry.key} belongs to the older ElastiService {entry.resource}; name another service in "
            "spec.service, or delete one of the two"
        )
        ready = Condition(READY, Truth.FALSE, "Conflict", message)
    active = Condition(ACTIVE, Truth.UNKNOWN, "NotInForce", "this resource is not in force")
    return ResourceStatus(conditions=(ready, active), observed_generation=shadowed.generation)


def _ready(entry: PolicyEntry, known: Knowledge) -> Condition:
    if entry.problems:
        return _invalid(entry.problems, last_valid=entry.policy is not None)
    if known.older is not None:
        message = (
            f"the older policy of {known.older} names the same service or target and has the say; name another "
            "target, or delete one of the two"
        )
        return Condition(READY, Truth.FALSE, "Conflict", message)
    if known.gone and entry.policy is not None:
        message = f"{entry.policy.target} does not exist; create it, or correct spec.scaleTargetRef"
        return Condition(READY, Truth.FALSE, "TargetMissing", message)
    if known.refused is not None:
        return known.refused
    present = known.present
    # A conflict or a fault that the resource itself no longer shows is over: the worker only has not judged since.
    if present and present.code in _NOT_READY - {Code.INVALID_POLICY, Code.CONFLICT}:
        return Condition(READY, Truth.FALSE, camel(present.code), _general(present))
    if known.given_up is not None:
        return Condition(READY, Truth.FALSE, camel(known.given_up.code), _general(known.given_up))
    return Condition(READY, Truth.TRUE, "InForce", "the policy is valid and in force")


def _invalid(problems: tuple[Problem, ...], *, last_valid: bool) -> Condition:
    told = "; ".join(
        f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems
    )
    rest = " (its last valid content stays in force)" if last_valid else " (until then it stays as it is)"
    return Condition(READY, Truth.FALSE, "InvalidPolicy", told + rest)


def _general(present: Present) -> str:
    return f"{present.message} ({present.code})"


def _active(known: Knowledge) -> Condition:
    view = known.view
    if view is None:
        reason = "TargetMissing" if known.gone else "TargetNotSeen"
        return Condition(ACTIVE, Truth.UNKNOWN, reason, "its target was not seen")
    if view.replicas:
        return Condition(ACTIVE, Truth.TRUE, "Awake", "its target has replicas")
    return Condition(ACTIVE, Truth.FALSE, "Asleep", "its target is at zero")


def _decision(present: Present) -> LastDecision:
    action = _ACTIONS.get(present.code, Action.HOLD)
    return LastDecision(action.value, present.code.value, present.message, present.since)


def pace(before: ResourceStatus | None, after: ResourceStatus) -> timedelta | None:
    """Return how long after the last write the next may be for this difference; None when there is none to tell.

    A decision that only was taken anew, or gives other times for the same reason, is no difference.
    """
    if before is None or _plain(before) != _plain(after):
        return AT_ONCE
    # Up from 3 to 4 is an HPA's work, up from 0 a wake: the condition Active told of that above.
    if (before.replicas, before.previous_replicas) != (after.replicas, after.previous_replicas):
        return SOON
    if _truths(before) != _truths(after):
        return SOON
    codes = _code(before), _code(after)
    if codes[0] == codes[1]:
        return None
    # The first judgement of a new policy is waited for; and "asleep" of what somebody else woke would be a lie.
    if codes[0] is None or (codes[0] is Code.ASLEEP and before.replicas):
        return AT_ONCE
    arrived = codes[0] in _ON_THE_WAY and codes[1] not in _ON_THE_WAY
    swings = all(code in _IN_USE for code in codes) and bool(after.replicas) and not arrived
    return SOMETIME if swings else SOON


def _plain(status: ResourceStatus) -> tuple[object, ...]:
    active = next(one.truth for one in status.conditions if one.type == ACTIVE)
    faults = [one for one in status.conditions if one.reason in ("InvalidPolicy", "Conflict", "TargetMissing")]
    return status.mode, active, faults, status.last_scaled_up, status.observed_generation


def _truths(status: ResourceStatus) -> list[tuple[str, Truth, str]]:
    return [(one.type, one.truth, one.reason) for one in status.conditions]


def _code(status: ResourceStatus) -> Code | None:
    return Code(status.decision.code) if status.decision else None
