"""What each code tells people: its facts, read off the case whether or not its rule holds."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from consumer.core.answers import Answer, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.asks import lost, wake_due
from consumer.core.case import CONTESTED_FOR, Case
from consumer.core.guard import hosts_to_come
from consumer.core.policy import InvalidPeriod, ZeroGuard
from consumer.core.reasons import Code, Fact, Reason, span, stamp
from consumer.core.schedule import EnabledPeriod
from consumer.core.state import ServiceState, Wake

Facts = dict[str, Fact]

_LONGEST: Final = 500
"""Characters of what others say: it is kept in a state, and a scaler of somebody else's making may say anything."""


def told(code: Code, case: Case) -> Reason:
    """Return the reason with its facts; of a rule that does not hold, the present values that it looks at."""
    return Reason(code, tuple(_TELLERS[code](case).items()))


def _paused(case: Case) -> Facts:
    pause = case.policy.pause
    if pause is None:
        return {"kind": "none"}
    return {"kind": pause.kind.value, "until": stamp(pause.until) if pause.until else "taken off by hand"}


def _nothing(_: Case) -> Facts:
    return {}


def _wake(case: Case, tell: Callable[[Case, Wake], Facts]) -> Facts:
    return {"owed": False} if case.state.wake is None else tell(case, case.state.wake)


def _never_ready(case: Case, wake: Wake) -> Facts:
    accepted = stamp(wake.accepted_at) if wake.accepted_at is not None else "not yet"
    timeout = span(case.policy.start_timeout)
    return {"accepted": accepted, "timeout": timeout, "due": wake.code.value, "why": _why(wake)}


def _unfinished(case: Case, wake: Wake) -> Facts:
    return {
        "due": wake.code.value,
        "why": _why(wake),
        "since": stamp(wake.since),
        "asked": wake.asked,
        "trouble": _trouble(case.state, wake),
        "next": stamp(max(case.now, wake_due(wake))),
        "cause": str(wake.cause),
    }


def _why(wake: Wake) -> str:
    """What a wake is owed for, in words."""
    match wake.code:
        case Code.UNFINISHED:
            # What was written down before there were words for it says no more than that.
            return wake.undoes or "a zero that was to be undone"
        case Code.REQUEST | Code.NO_POLICY:
            return f"the request of {stamp(wake.triggered_at)}"
        case Code.ADOPTED:
            return f"the wake without Kafka at {stamp(wake.triggered_at)}"
        case Code.BUSY:
            return "a busy trigger"
        case Code.OUTSIDE_PERIOD | Code.INVALID_PERIOD:
            return "its enabled period"
        case code:
            return code.value


def _trouble(state: ServiceState, wake: Wake) -> str:
    if wake.failed is not None:
        return f"failed: {wake.failed}"
    asked = wake.asked or wake.accepted_at is not None
    if lost(state) and (asked or wake.code is Code.UNFINISHED):
        return "at zero"
    if not asked:
        return "not asked yet"
    return "unanswered" if wake.accepted_at is None else "accepted"


def _waiting_ready(case: Case, wake: Wake) -> Facts:
    facts = _never_ready(case, wake)
    if wake.accepted_at is not None:
        facts["timeout_left"] = span(wake.accepted_at + case.policy.start_timeout - case.now)
    return facts


def _conflict(case: Case) -> Facts:
    other = case.surroundings.conflict
    return {"older": str(other) if other is not None else "none"}


def _period(case: Case) -> Facts:
    period = case.policy.period
    if not isinstance(period, EnabledPeriod):
        return {"schedule": "none"}
    facts: Facts = {"schedule": str(period.schedule), "duration": span(period.duration)}
    end = period.window_end(case.now)
    if end is not None:
        return facts | {"window_end": stamp(end)}
    start = period.next_start(case.now)
    return facts | {"next_start": stamp(start) if start is not None else "never"}


def _invalid_period(case: Case) -> Facts:
    period = case.policy.period
    return {"problem": period.problem[:_LONGEST] if isinstance(period, InvalidPeriod) else "none"}


def _measured(name: str, answer: Answer) -> Facts:
    facts: Facts = {"trigger": name}
    if isinstance(answer, Unknown):
        return facts | {"cause": answer.cause.value, "detail": answer.detail[:_LONGEST]}
    evidence = answer.evidence
    # JSON has no word for a number that is none.
    facts["value"] = evidence.value if abs(evidence.value) < float("inf") else str(evidence.value)
    if evidence.threshold is not None:
        facts["threshold"] = evidence.threshold
    if evidence.text:
        facts["text"] = evidence.text[:_LONGEST]
    return facts


def _first_named(triggers: Iterable[TriggerAnswers]) -> TriggerAnswers | None:
    """The same one of several triggers, whatever their order."""
    return min(triggers, key=lambda each: each.name, default=None)


def _busy(case: Case) -> Facts:
    triggers = case.answers.triggers
    found = _first_named(each for each in triggers if isinstance(each.from_zero, Yes)) or _first_named(triggers)
    return _measured(found.name, found.from_zero) if found is not None else {"trigger": "none"}


def _not_idle(case: Case) -> Facts:
    triggers = case.answers.triggers
    found = _first_named(each for each in triggers if not isinstance(each.to_zero, Yes)) or _first_named(triggers)
    return _measured(found.name, found.to_zero) if found is not None else {"trigger": "none"}


def _asleep(case: Case) -> Facts:
    target, sleeps = case.state.target, case.state.sleeps
    if target is None:
        return {"replicas": "not observed"}
    if target.replicas:
        # Results tell of the first ready replica and of the last one to go, not of those between.
        return {"replicas": target.replicas, "ready": "at least 1" if target.ready else "none"}
    if sleeps and sleeps[-1].undone_at is None:
        return {"since": stamp(sleeps[-1].at), "by": "elasti"}
    return {"since": stamp(target.at), "by": target.manager or "unknown"}


def _frozen(case: Case) -> Facts:
    return {"by": case.surroundings.frozen or "nobody"}


def _newborn(case: Case) -> Facts:
    created = case.policy.created_at
    return {"created": stamp(created), **_until(created + case.policy.cooldown, case.now)}


def _until(end: datetime, now: datetime) -> Facts:
    return {"left": span(end - now)} if now < end else {"over_since": stamp(end)}


def _blind(case: Case) -> Facts:
    if case.state.target is None:
        return {"cause": "target-not-observed"}
    triggers = case.answers.triggers
    if not triggers or len(triggers) != len(case.policy.triggers):
        asked = f"{len(triggers)} of {len(case.policy.triggers)} triggers were asked"
        return {"cause": UnknownCause.NOT_ASKED.value, "detail": asked}
    unknown = [(each.name, one) for each in triggers for one in each.each() if isinstance(one, Unknown)]
    if unknown:
        return _measured(*min(unknown, key=lambda named: named[0]))
    unhealthy = _first_named(each for each in triggers if isinstance(each.healthy, No))
    if unhealthy is not None:
        return {"trigger": unhealthy.name, "cause": UnknownCause.UNHEALTHY.value}
    return {"cause": "none", "triggers": len(triggers)}


def _stale(case: Case) -> Facts:
    answered = [(one.at, each.name) for each in case.answers.triggers for one in each.each()]
    limit = span(case.surroundings.stale_after)
    if not answered:
        return {"trigger": "none", "limit": limit}
    at, name = min(answered)
    return {"trigger": name, "measured": stamp(at), "age": span(case.now - at), "limit": limit}


def _clock(case: Case) -> Facts:
    return {"sure": case.surroundings.clock_sure}


def _behind(case: Case) -> Facts:
    return {"read": case.surroundings.inputs_read}


def _recent_traffic(case: Case) -> Facts:
    last = case.state.last_request_at
    if last is None:
        return {"last_request": "never"}
    return {"last_request": stamp(last), **_until(last + case.policy.cooldown, case.now)}


def _cooling_down(case: Case) -> Facts:
    since, what = _latest_warmth(case.state)
    return {"since": stamp(since), "what": what, **_until(since + case.policy.cooldown, case.now)}


def _latest_warmth(state: ServiceState) -> tuple[datetime, str]:
    """When the service last came up or was first seen, and which of these it was."""
    moments = (
        (state.ready_at, "ready after a wake"),
        (state.last_wake_at, "wake accepted"),
        (state.foreign_up_at, "scaled up by somebody else"),
        (state.first_seen_at, "first seen"),
    )
    return max(((at, what) for at, what in moments if at is not None), key=lambda moment: moment[0])


def _contested(case: Case) -> Facts:
    since, sleeps = case.state.contested_since, case.state.sleeps
    undone = [sleep.manager for sleep in sleeps if sleep.manager is not None]
    if since is None or not undone:
        return {"sleeps_undone": len(undone)}
    until = stamp(since + CONTESTED_FOR)
    return {"manager": undone[-1], "since": stamp(since), "sleeps_undone": len(undone), "until": until}


def _sleep_budget(case: Case) -> Facts:
    return {"left": case.surroundings.budget_left}


def _guard(case: Case) -> Facts:
    if case.policy.zero_guard is not ZeroGuard.RESOLVER:
        return {"zero_guard": case.policy.zero_guard.value}
    to_come = hosts_to_come(case.state, case.now)
    facts: Facts = {"waits_for": "a host to be heard from" if to_come is None else ", ".join(to_come)}
    prepare = case.state.prepare
    if prepare is not None:
        facts["asked"] = stamp(prepare.since)
    return facts | {"timeout": span(case.policy.guard_timeout)}


def _idle(case: Case) -> Facts:
    last = case.state.last_request_at
    facts: Facts = {
        "cooldown": span(case.policy.cooldown),
        "last_request": stamp(last) if last is not None else "never",
    }
    found = _first_named(case.answers.triggers)
    return facts | _measured(found.name, found.to_zero) if found is not None else facts


_TELLERS: Final[Mapping[Code, Callable[[Case], Facts]]] = MappingProxyType(
    {
        Code.PAUSED: _paused,
        Code.INVALID_POLICY: _nothing,
        Code.NEVER_READY: lambda case: _wake(case, _never_ready),
        Code.UNFINISHED: lambda case: _wake(case, _unfinished),
        Code.WAITING_READY: lambda case: _wake(case, _waiting_ready),
        Code.CONFLICT: _conflict,
        Code.OUTSIDE_PERIOD: _period,
        Code.INVALID_PERIOD: _invalid_period,
        Code.BUSY: _busy,
        Code.ASLEEP: _asleep,
        Code.FROZEN: _frozen,
        Code.NEWBORN: _newborn,
        Code.BLIND: _blind,
        Code.STALE: _stale,
        Code.CLOCK: _clock,
        Code.BEHIND: _behind,
        Code.RECENT_TRAFFIC: _recent_traffic,
        Code.COOLING_DOWN: _cooling_down,
        Code.NOT_IDLE: _not_idle,
        Code.CONTESTED: _contested,
        Code.SLEEP_BUDGET: _sleep_budget,
        Code.GUARD_TIMEOUT: _guard,
        Code.AWAITING_RESOLVER: _guard,
        Code.IDLE: _idle,
    }
)

TOLD: Final = frozenset(_TELLERS)
"""The codes of the rules; what other codes tell, a request or a release, is told where it is judged."""
