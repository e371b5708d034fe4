"""The rules of an evaluation cycle, one small function each, in the order in which the first match wins."""

from typing import Final

from consumer.core.answers import Unknown, Yes
from consumer.core.asks import is_unfinished
from consumer.core.case import CONTESTED_FOR, NOBODY, Case, Rule, Verdict, pause_in_force
from consumer.core.guard import hosts_to_come
from consumer.core.outcome import Action
from consumer.core.policy import InvalidPeriod, PauseKind, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.schedule import EnabledPeriod
from consumer.core.service import Direction, Phase

# Each rule gives one of these when it holds. What it tells people is put into words in telling.py, and only for a
# decision that is written: it costs more than all the rules together.
_PAUSED: Final = Verdict(Action.HOLD, Code.PAUSED)
_INVALID_POLICY: Final = Verdict(Action.HOLD, Code.INVALID_POLICY)
_NEVER_READY: Final = Verdict(Action.HOLD, Code.NEVER_READY)
_UNFINISHED: Final = Verdict(Action.UP, Code.UNFINISHED)
_WAITING_READY: Final = Verdict(Action.HOLD, Code.WAITING_READY)
_CONFLICT: Final = Verdict(Action.HOLD, Code.CONFLICT)
_OUTSIDE_PERIOD: Final = Verdict(Action.UP, Code.OUTSIDE_PERIOD)
_INVALID_PERIOD: Final = Verdict(Action.UP, Code.INVALID_PERIOD)
_BUSY: Final = Verdict(Action.UP, Code.BUSY)
_ASLEEP: Final = Verdict(Action.HOLD, Code.ASLEEP)
_FROZEN: Final = Verdict(Action.HOLD, Code.FROZEN)
_NEWBORN: Final = Verdict(Action.HOLD, Code.NEWBORN)
_BLIND: Final = Verdict(Action.HOLD, Code.BLIND)
_STALE: Final = Verdict(Action.HOLD, Code.STALE)
_CLOCK: Final = Verdict(Action.HOLD, Code.CLOCK)
_BEHIND: Final = Verdict(Action.HOLD, Code.BEHIND)
_RECENT_TRAFFIC: Final = Verdict(Action.HOLD, Code.RECENT_TRAFFIC)
_COOLING_DOWN: Final = Verdict(Action.HOLD, Code.COOLING_DOWN)
_NOT_IDLE: Final = Verdict(Action.HOLD, Code.NOT_IDLE)
_CONTESTED: Final = Verdict(Action.HOLD, Code.CONTESTED)
_SLEEP_BUDGET: Final = Verdict(Action.HOLD, Code.SLEEP_BUDGET)
_GUARD_TIMEOUT: Final = Verdict(Action.HOLD, Code.GUARD_TIMEOUT)
_AWAITING_RESOLVER: Final = Verdict(Action.PREPARE, Code.AWAITING_RESOLVER)
_IDLE: Final = Verdict(Action.ZERO, Code.IDLE)


def everything_is_paused(case: Case) -> Verdict | None:
    """Rule 1: a person took the service out of our hands."""
    return _PAUSED if case.policy.pause is not None and _is_paused(case, PauseKind.ALL) else None


def policy_is_missing(case: Case) -> Verdict | None:
    """Rule 2: without a valid policy nobody said what to do."""
    return _INVALID_POLICY if case.policy is NOBODY else None


def wake_never_got_ready(case: Case) -> Verdict | None:
    """Between rules 2 and 3: a wake that is not ready long after it was accepted counts as paid, said once.

    Not while results may wait unread: that a replica got ready may be among them.
    """
    wake = case.state.wake
    if wake is None or wake.accepted_at is None or not case.surroundings.inputs_read:
        return None
    return _NEVER_READY if case.now >= wake.accepted_at + case.policy.start_timeout else None


def wake_is_unfinished(case: Case) -> Verdict | None:
    """Rule 3: a wake is owed, and the target is at zero, or the wake failed, or nobody answered it."""
    wake = case.state.wake
    return _UNFINISHED if wake is not None and is_unfinished(case.state, wake) else None


def wake_waits_for_ready(case: Case) -> Verdict | None:
    """Rule 4: a wake was accepted, and its first replica is not ready yet."""
    wake = case.state.wake
    return _WAITING_READY if wake is not None and not is_unfinished(case.state, wake) else None


def policies_conflict(case: Case) -> Verdict | None:
    """Rule 5: another, older policy names the same service or target, and has the say."""
    return _CONFLICT if case.surroundings.conflict is not None else None


def outside_of_period(case: Case) -> Verdict | None:
    """Rule 6: outside its enabledPeriod a service is up; not while newborn."""
    period = case.policy.period
    if not isinstance(period, EnabledPeriod) or _is_newborn(case):
        return None
    return None if period.contains(case.now) else _OUTSIDE_PERIOD


def period_is_invalid(case: Case) -> Verdict | None:
    """Rule 6, the other half: nobody knows when a service with an unreadable enabledPeriod may sleep."""
    return _INVALID_PERIOD if isinstance(case.policy.period, InvalidPeriod) and not _is_newborn(case) else None


def trigger_is_busy(case: Case) -> Verdict | None:
    """Rule 7: one busy trigger is enough, whatever the others say or fail to say; not while newborn."""
    for each in case.answers.triggers:
        if isinstance(each.from_zero, Yes):
            return None if _is_newborn(case) else _BUSY
    return None


def service_sleeps(case: Case) -> Verdict | None:
    """Rule 8: it is at zero, and nothing above asked for it."""
    target = case.state.target
    return _ASLEEP if target is not None and not target.replicas else None


def sleeps_are_paused(case: Case) -> Verdict | None:
    """Rule 9: a person wants this service to stay up."""
    return _PAUSED if case.policy.pause is not None and _is_paused(case, PauseKind.SLEEP) else None


def sleeps_are_frozen(case: Case) -> Verdict | None:
    """Rule 9, the other half: a person froze the sleeps of many services."""
    return _FROZEN if case.surroundings.frozen is not None else None


def policy_is_newborn(case: Case) -> Verdict | None:
    """Rule 10: a policy watches for a whole cooldown before it acts."""
    return _NEWBORN if _is_newborn(case) else None


def measurements_are_missing(case: Case) -> Verdict | None:
    """Rule 11: never sleep while blind; an unseen target or one unknown answer is enough."""
    triggers = case.answers.triggers
    if case.state.target is None or not triggers or len(triggers) != len(case.policy.triggers):
        return _BLIND
    for each in triggers:
        unknown = isinstance(each.to_zero, Unknown) or isinstance(each.from_zero, Unknown)
        if unknown or not isinstance(each.healthy, Yes):
            return _BLIND
    return None


def measurements_are_stale(case: Case) -> Verdict | None:
    """Rule 11: what was measured too long ago says nothing about now."""
    oldest = case.now - case.surroundings.stale_after
    for each in case.answers.triggers:
        if each.to_zero.at < oldest or each.from_zero.at < oldest or each.healthy.at < oldest:
            return _STALE
    return None


def clock_is_unsure(case: Case) -> Verdict | None:
    """Rule 11: a cooldown that a wrong clock measured may not be over."""
    return None if case.surroundings.clock_sure else _CLOCK


def inputs_are_behind(case: Case) -> Verdict | None:
    """Rule 11: a request may wait unread in the topic."""
    return None if case.surroundings.inputs_read else _BEHIND


def traffic_is_recent(case: Case) -> Verdict | None:
    """Rule 12: a request came within the cooldown."""
    last = case.state.last_request_at
    # The exact end of the cooldown counts as over: 14:59 of 15:00 holds, 15:00 does not.
    return _RECENT_TRAFFIC if last is not None and case.now < last + case.policy.cooldown else None


def service_is_warm(case: Case) -> Verdict | None:
    """Rule 13: it came up, or was first seen, within the cooldown."""
    state = case.state
    since = case.now - case.policy.cooldown
    for moment in (state.first_seen_at, state.last_wake_at, state.ready_at, state.foreign_up_at):
        if moment is not None and moment > since:
            return _COOLING_DOWN
    return None


def trigger_is_not_idle(case: Case) -> Verdict | None:
    """Rule 14: every trigger must call the service idle."""
    for each in case.answers.triggers:
        if not isinstance(each.to_zero, Yes):
            return _NOT_IDLE
    return None


def sleep_is_contested(case: Case) -> Verdict | None:
    """Rule 15: somebody else undid the last three sleeps at once; do not fight, name them."""
    since = case.state.contested_since
    return _CONTESTED if since is not None and case.now < since + CONTESTED_FOR else None


def sleep_budget_is_spent(case: Case) -> Verdict | None:
    """Rule 16: many services that fall idle at once are more likely a fault than a quiet night."""
    if case.surroundings.budget_left > 0:
        return None
    ask = case.state.ask
    # A zero that is under way was paid for when it was first asked.
    under_way = ask is not None and ask.direction is Direction.ZERO and ask.answer in (None, Phase.FAILED)
    return None if under_way else _SLEEP_BUDGET


def guard_timed_out(case: Case) -> Verdict | None:
    """Rule 17: the resolver did not take the traffic in time; stay up, and ask again next cycle."""
    prepare = case.state.prepare
    if prepare is None or prepare.timed_out or not _is_guarded(case):
        return None
    return _GUARD_TIMEOUT if case.now >= prepare.since + case.policy.guard_timeout else None


def resolver_has_to_agree(case: Case) -> Verdict | None:
    """Rule 17: the resolver takes the traffic before the last replica goes."""
    return _AWAITING_RESOLVER if _is_guarded(case) else None


def service_is_idle(_: Case) -> Verdict | None:
    """Rule 18: nothing speaks against sleeping."""
    return _IDLE


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


def _is_paused(case: Case, kind: PauseKind) -> bool:
    pause = pause_in_force(case.policy, case.now)
    return pause is not None and pause.kind is kind


def _is_newborn(case: Case) -> bool:
    return case.now < case.policy.created_at + case.policy.cooldown


def _is_guarded(case: Case) -> bool:
    return case.policy.zero_guard is ZeroGuard.RESOLVER and hosts_to_come(case.state, case.now) != ()
