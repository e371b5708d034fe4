"""The rules of an evaluation cycle, one small function each, in the order in which the first match wins."""

from datetime import datetime, timedelta
from typing import Final

from consumer.core.answers import Unknown, UnknownCause, Yes
from consumer.core.asks import is_unfinished, lost, wake_due
from consumer.core.case import NOBODY, Case, Rule, Verdict, pause_in_force
from consumer.core.outcome import Action
from consumer.core.policy import InvalidPeriod, PauseKind, ZeroGuard
from consumer.core.reasons import Code, Fact, because, span, stamp
from consumer.core.schedule import EnabledPeriod
from consumer.core.service import Direction, Phase
from consumer.core.state import MAX_SLEEPS
from consumer.core.telling import blindness, first_named, measured, missing_hosts, warmest

CONTESTED_FOR: Final = timedelta(hours=24)


def _hold(code: Code, **facts: Fact) -> Verdict:
    return Verdict(Action.HOLD, because(code, **facts))


def _paused(case: Case, kind: PauseKind) -> Verdict | None:
    pause = pause_in_force(case.policy, case.now)
    if pause is None or pause.kind is not kind:
        return None
    return _hold(Code.PAUSED, kind=pause.kind.value, until=stamp(pause.until) if pause.until else "unpaused by hand")


def everything_is_paused(case: Case) -> Verdict | None:
    """Rule 1: a person took the service out of our hands."""
    return _paused(case, PauseKind.ALL) if case.policy.pause is not None else None


def policy_is_missing(case: Case) -> Verdict | None:
    """Rule 2: without a valid policy nobody said what to do."""
    return _hold(Code.INVALID_POLICY) if case.policy is NOBODY else None


def wake_never_got_ready(case: Case) -> Verdict | None:
    """Between rules 2 and 3: a wake that is not ready long after it was accepted counts as paid, said once."""
    wake, timeout = case.state.wake, case.policy.start_timeout
    if wake is None or wake.accepted_at is None or case.now < wake.accepted_at + timeout:
        return None
    return _hold(Code.NEVER_READY, accepted=stamp(wake.accepted_at), timeout=span(timeout), due=wake.code.value)


def wake_is_unfinished(case: Case) -> Verdict | None:
    """Rule 3: a wake is owed, and the target is at zero, or the wake failed, or nobody answered it."""
    wake = case.state.wake
    if wake is None or not is_unfinished(case.state, wake):
        return None
    if wake.failed is not None:
        trouble = f"failed: {wake.failed}"
    elif wake.asked and lost(case.state):
        trouble = "at zero again"
    else:
        trouble = "unanswered" if wake.asked else "not asked yet"
    facts: dict[str, Fact] = {
        "due": wake.code.value,
        "since": stamp(wake.since),
        "asked": wake.asked,
        "trouble": trouble,
        "next": stamp(max(case.now, wake_due(wake))),
        "cause": str(wake.cause),
    }
    return Verdict(Action.UP, because(Code.UNFINISHED, **facts))


def wake_waits_for_ready(case: Case) -> Verdict | None:
    """Rule 4: a wake was accepted, and its first replica is not ready yet."""
    wake = case.state.wake
    if wake is None or wake.accepted_at is None:
        return None
    left = wake.accepted_at + case.policy.start_timeout - case.now
    return _hold(Code.WAITING_READY, accepted=stamp(wake.accepted_at), due=wake.code.value, timeout_left=span(left))


def policies_conflict(case: Case) -> Verdict | None:
    """Rule 5: another, older policy names the same service or target, and has the say."""
    other = case.surroundings.conflict
    return _hold(Code.CONFLICT, older=str(other)) if other is not None else None


def _newborn(case: Case) -> bool:
    return case.now < case.policy.created_at + case.policy.cooldown


def outside_of_period(case: Case) -> Verdict | None:
    """Rule 6: outside its enabledPeriod a service is up; not while newborn."""
    period = case.policy.period
    if not isinstance(period, EnabledPeriod) or _newborn(case) or period.contains(case.now):
        return None
    start = period.next_start(case.now)
    next_start = stamp(start) if start is not None else "never"
    return Verdict(
        Action.UP,
        because(
            Code.OUTSIDE_PERIOD,
            schedule=str(period.schedule),
            duration=span(period.duration),
            next_start=next_start,
        ),
    )


def period_is_invalid(case: Case) -> Verdict | None:
    """Rule 6, the other half: nobody knows when a service with an unreadable enabledPeriod may sleep."""
    period = case.policy.period
    if not isinstance(period, InvalidPeriod) or _newborn(case):
        return None
    return Verdict(Action.UP, because(Code.INVALID_PERIOD, problem=period.problem))


def trigger_is_busy(case: Case) -> Verdict | None:
    """Rule 7: one busy trigger is enough, whatever the others say or fail to say; not while newborn."""
    busy = first_named(
        [(each.name, each.from_zero) for each in case.answers.triggers if isinstance(each.from_zero, Yes)]
    )
    if busy is None or _newborn(case):
        return None
    return Verdict(Action.UP, because(Code.BUSY, **measured(*busy)))


def service_sleeps(case: Case) -> Verdict | None:
    """Rule 8: it is at zero, and nothing above asked for it."""
    target, sleeps = case.state.target, case.state.sleeps
    if target is None or target.replicas:
        return None
    if sleeps and sleeps[-1].undone_at is None:
        return _hold(Code.ASLEEP, since=stamp(sleeps[-1].at), by="elasti")
    return _hold(Code.ASLEEP, since=stamp(target.at), by=target.manager or "unknown")


def sleeps_are_paused(case: Case) -> Verdict | None:
    """Rule 9: a person wants this service to stay up."""
    return _paused(case, PauseKind.SLEEP) if case.policy.pause is not None else None


def sleeps_are_frozen(case: Case) -> Verdict | None:
    """Rule 9, the other half: a person froze the sleeps of many services."""
    frozen = case.surroundings.frozen
    return _hold(Code.FROZEN, by=frozen) if frozen is not None else None


def policy_is_newborn(case: Case) -> Verdict | None:
    """Rule 10: a policy watches for a whole cooldown before it acts."""
    if not _newborn(case):
        return None
    created, cooldown = case.policy.created_at, case.policy.cooldown
    return _hold(Code.NEWBORN, created=stamp(created), left=span(created + cooldown - case.now))


def measurements_are_missing(case: Case) -> Verdict | None:
    """Rule 11: never sleep while blind; an unseen target or one unknown answer is enough."""
    if case.state.target is None:
        return _hold(Code.BLIND, cause="target-not-observed")
    triggers = case.answers.triggers
    if not triggers or len(triggers) != len(case.policy.triggers):
        return _hold(Code.BLIND, cause=UnknownCause.NOT_ASKED.value, asked=len(triggers))
    for each in triggers:
        unknown = isinstance(each.to_zero, Unknown) or isinstance(each.from_zero, Unknown)
        if unknown or not isinstance(each.healthy, Yes):
            return _hold(Code.BLIND, **blindness(case.answers))
    return None


def measurements_are_stale(case: Case) -> Verdict | None:
    """Rule 11: what was measured too long ago says nothing about now."""
    oldest = case.now - case.surroundings.stale_after
    for each in case.answers.triggers:
        if each.to_zero.at < oldest or each.from_zero.at < oldest or each.healthy.at < oldest:
            break
    else:
        return None
    at, name = min((one.at, each.name) for each in case.answers.triggers for one in each.each())
    limit = span(case.surroundings.stale_after)
    return _hold(Code.STALE, trigger=name, measured=stamp(at), age=span(case.now - at), limit=limit)


def clock_is_unsure(case: Case) -> Verdict | None:
    """Rule 11: a cooldown that a wrong clock measured may not be over."""
    return None if case.surroundings.clock_sure else _hold(Code.CLOCK)


def inputs_are_behind(case: Case) -> Verdict | None:
    """Rule 11: a request may wait unread in the topic."""
    return None if case.surroundings.inputs_read else _hold(Code.BEHIND)


def traffic_is_recent(case: Case) -> Verdict | None:
    """Rule 12: a request came within the cooldown."""
    last = case.state.last_request_at
    # The exact end of the cooldown counts as over: 14:59 of 15:00 holds, 15:00 does not.
    if last is None or case.now >= last + case.policy.cooldown:
        return None
    return _hold(Code.RECENT_TRAFFIC, last_request=stamp(last), left=span(last + case.policy.cooldown - case.now))


def _warm_until(case: Case) -> datetime:
    state = case.state
    latest = state.first_seen_at
    if state.last_wake_at is not None and state.last_wake_at > latest:
        latest = state.last_wake_at
    if state.ready_at is not None and state.ready_at > latest:
        latest = state.ready_at
    if state.foreign_up_at is not None and state.foreign_up_at > latest:
        latest = state.foreign_up_at
    return latest + case.policy.cooldown


def service_is_warm(case: Case) -> Verdict | None:
    """Rule 13: it came up, or was first seen, within the cooldown."""
    until = _warm_until(case)
    if case.now >= until:
        return None
    since, what = warmest(case.state)
    return _hold(Code.COOLING_DOWN, since=stamp(since), what=what, left=span(until - case.now))


def trigger_is_not_idle(case: Case) -> Verdict | None:
    """Rule 14: every trigger must call the service idle."""
    for each in case.answers.triggers:
        if not isinstance(each.to_zero, Yes):
            break
    else:
        return None
    working = first_named(
        [(each.name, each.to_zero) for each in case.answers.triggers if not isinstance(each.to_zero, Yes)]
    )
    return _hold(Code.NOT_IDLE, **measured(*working)) if working is not None else None


def sleep_is_contested(case: Case) -> Verdict | None:
    """Rule 15: somebody else undid the last three sleeps at once; do not fight, name them."""
    since = case.state.contested_since
    if since is None or case.now >= since + CONTESTED_FOR:
        return None
    manager = case.state.sleeps[-1].manager if case.state.sleeps else None
    return _hold(
        Code.CONTESTED,
        manager=manager or "unknown",
        since=stamp(since),
        sleeps_undone=MAX_SLEEPS,
        until=stamp(since + CONTESTED_FOR),
    )


def sleep_budget_is_spent(case: Case) -> Verdict | None:
    """Rule 16: many services that fall idle at once are more likely a fault than a quiet night."""
    if case.surroundings.budget_left > 0:
        return None
    ask = case.state.ask
    # A zero that is under way was paid for when it was first asked.
    if ask is not None and ask.direction is Direction.ZERO and ask.answer in (None, Phase.FAILED):
        return None
    return _hold(Code.SLEEP_BUDGET, left=case.surroundings.budget_left)


def _guarded(case: Case) -> bool:
    return case.policy.zero_guard is ZeroGuard.RESOLVER and missing_hosts(case.state, case.now) != ()


def guard_timed_out(case: Case) -> Verdict | None:
    """Rule 17: the resolver did not take the traffic in time; stay up, and ask again next cycle."""
    prepare = case.state.prepare
    if prepare is None or prepare.timed_out or not _guarded(case):
        return None
    if case.now < prepare.since + case.policy.guard_timeout:
        return None
    missing = missing_hosts(case.state, case.now)
    return _hold(
        Code.GUARD_TIMEOUT,
        asked=stamp(prepare.since),
        timeout=span(case.policy.guard_timeout),
        missing=", ".join(missing) if missing else "no host was heard from",
    )


def resolver_has_to_agree(case: Case) -> Verdict | None:
    """Rule 17: the resolver takes the traffic before the last replica goes."""
    if not _guarded(case):
        return None
    missing = missing_hosts(case.state, case.now)
    waits_for = ", ".join(missing) if missing else "any host"
    return Verdict(Action.PREPARE, because(Code.AWAITING_RESOLVER, waits_for=waits_for))


def service_is_idle(case: Case) -> Verdict | None:
    """Rule 18: nothing speaks against sleeping."""
    last = case.state.last_request_at
    quiet = {} if last is None else {"last_request": stamp(last)}
    found = first_named([(each.name, each.to_zero) for each in case.answers.triggers])
    shown = measured(*found) if found is not None else {}
    return Verdict(Action.ZERO, because(Code.IDLE, cooldown=span(case.policy.cooldown), **quiet, **shown))


WAKE_RULES: Final[tuple[Rule, ...]] = (
    everything_is_paused,
    policy_is_missing,
    wake_never_got_ready,
    wake_is_unfinished,
    wake_waits_for_ready,
)
"""What is judged when a wake is due between the cycles."""

RULES: Final[tuple[Rule, ...]] = (
    *WAKE_RULES,
    policies_conflict,
    outside_of_period,
    period_is_invalid,
    trigger_is_busy,
    service_sleeps,
    sleeps_are_paused,
    sleeps_are_frozen,
    policy_is_newborn,
    measurements_are_missing,
    measurements_are_stale,
    clock_is_unsure,
    inputs_are_behind,
    traffic_is_recent,
    service_is_warm,
    trigger_is_not_idle,
    sleep_is_contested,
    sleep_budget_is_spent,
    guard_timed_out,
    resolver_has_to_agree,
    service_is_idle,
)
"""All rules of a cycle, in order; the last one always holds."""


def first_match(rules: tuple[Rule, ...], case: Case) -> Verdict | None:
    """Return the verdict of the first rule that holds."""
    for rule in rules:
        verdict = rule(case)
        if verdict is not None:
            return verdict
    return None
