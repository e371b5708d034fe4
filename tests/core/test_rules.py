"""Every rule of a cycle on both sides of its boundary."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consumer.core.answers import Answers, No, TriggerAnswers, Unknown, UnknownCause
from consumer.core.case import Case
from consumer.core.decide import decide
from consumer.core.inputs import RecordCause, Surroundings
from consumer.core.outcome import Action
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.schedule import EnabledPeriod, parse_period
from consumer.core.service import Direction, Phase, ServiceKey
from consumer.core.state import Ask, HostFacts, Prepare, ServiceState, Sleep, TargetFacts, Wake
from tests.core.stage import (
    AROUND,
    ASLEEP,
    AWAKE,
    COOLDOWN,
    DAY,
    LOUD,
    MINUTE,
    POLICY,
    SECOND,
    T0,
    blind,
    busy,
    idle,
    judged,
    said,
    unhealthy,
)

World = Callable[[Case], Case]
CAUSE = RecordCause("requests", 0, 1)
MS = timedelta(milliseconds=1)
NINE_TO_TEN = parse_period(schedule="0 9 * * *", duration="1h")
OWED = Wake(T0, Code.REQUEST, CAUSE, T0)


def code(state: ServiceState, now: datetime, policy: Policy | None = POLICY, around: Surroundings = AROUND) -> Code:
    return judged(state, now, policy, around).reason.code


def test_an_idle_service_is_put_to_sleep() -> None:
    outcome = judged(AWAKE, T0)
    assert (outcome.action, outcome.reason.code) == (Action.ZERO, Code.IDLE)
    assert outcome.reason.fact("cooldown") == "15m00s"
    assert outcome.reason.fact("trigger") == "prometheus#0"


@pytest.mark.parametrize(("after", "expected"), [(MINUTE - MS, Code.PAUSED), (MINUTE, Code.IDLE)])
@pytest.mark.parametrize("kind", list(PauseKind))
def test_a_pause_holds_until_its_exact_end(kind: PauseKind, after: timedelta, expected: Code) -> None:
    assert code(AWAKE, T0 + after, replace(POLICY, pause=Pause(kind, T0 + MINUTE))) is expected


def test_an_open_ended_pause_holds_for_ever() -> None:
    assert code(AWAKE, T0 + 1000 * DAY, replace(POLICY, pause=Pause(PauseKind.SLEEP))) is Code.PAUSED


def test_a_sleep_pause_lets_wakes_through_and_an_all_pause_does_not() -> None:
    for kind, expected in ((PauseKind.SLEEP, Code.BUSY), (PauseKind.ALL, Code.PAUSED)):
        policy = replace(POLICY, pause=Pause(kind))
        assert decide(policy, ASLEEP, said(busy(T0)), AROUND, T0).reason.code is expected


def test_without_a_valid_policy_nothing_is_done() -> None:
    outcome = judged(AWAKE, T0, None)
    assert (outcome.action, outcome.reason.code, outcome.command) == (Action.HOLD, Code.INVALID_POLICY, None)


@pytest.mark.parametrize(
    ("after", "expected"), [(30 * MINUTE - MS, Code.WAITING_READY), (30 * MINUTE, Code.NEVER_READY)]
)
def test_a_wake_waits_for_ready_until_the_start_timeout(after: timedelta, expected: Code) -> None:
    wake = replace(OWED, asked=1, asked_at=T0, accepted_at=T0, generation=3)
    outcome = judged(replace(AWAKE, wake=wake), T0 + after)
    assert (outcome.action, outcome.reason.code) == (Action.HOLD, expected)
    assert outcome.reason.fact("accepted") == "2026-03-01T12:00:00.000Z"
    assert (outcome.state.wake is None) is (expected is Code.NEVER_READY)


def test_nobody_says_that_a_wake_never_got_ready_who_has_not_read_everything() -> None:
    wake = replace(OWED, asked=1, asked_at=T0, accepted_at=T0, generation=3)
    behind = replace(AROUND, inputs_read=False)
    outcome = decide(POLICY, replace(AWAKE, wake=wake), said(idle(T0)), behind, T0 + DAY)
    assert (outcome.reason.code, outcome.state.wake) == (Code.WAITING_READY, wake)


def test_a_wake_that_never_got_ready_is_said_once() -> None:
    wake = replace(OWED, asked=1, asked_at=T0, accepted_at=T0, generation=3)
    first = judged(replace(AWAKE, wake=wake), T0 + 30 * MINUTE)
    assert first.changed
    assert judged(first.state, T0 + 31 * MINUTE).reason.code is Code.IDLE


@pytest.mark.parametrize(
    ("wake", "ask", "replicas", "trouble"),
    [
        (OWED, None, 1, "not asked yet"),
        (replace(OWED, asked=1, asked_at=T0), None, 1, "unanswered"),
        (replace(OWED, asked=1, asked_at=T0, failed="quota"), None, 1, "failed: quota"),
        (replace(OWED, asked=1, asked_at=T0, accepted_at=T0), Ask("c", 1, Direction.UP, 1, T0), 1, "accepted"),
        (replace(OWED, asked=1, asked_at=T0, accepted_at=T0), None, 0, "at zero"),
    ],
)
def test_an_owed_wake_is_unfinished_while_at_zero_failed_or_unanswered(
    wake: Wake, ask: Ask | None, replicas: int, trouble: str
) -> None:
    state = replace(AWAKE, wake=wake, ask=ask, target=TargetFacts("target-1", 5, replicas, 0, T0))
    outcome = judged(state, T0)
    assert (outcome.action, outcome.reason.code) == (Action.UP, Code.UNFINISHED)
    assert outcome.reason.fact("trouble") == trouble


def test_an_older_policy_for_the_same_target_has_the_say() -> None:
    outcome = judged(AWAKE, T0, around=replace(AROUND, conflict=ServiceKey("shop", "old")))
    assert (outcome.reason.code, outcome.reason.fact("older")) == (Code.CONFLICT, "shop/old")
    assert code(AWAKE, T0) is Code.IDLE


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [(8, 59, Code.OUTSIDE_PERIOD), (9, 0, Code.IDLE), (9, 59, Code.IDLE), (10, 0, Code.OUTSIDE_PERIOD)],
)
def test_a_service_sleeps_only_inside_its_period(hour: int, minute: int, expected: Code) -> None:
    now = T0.replace(hour=hour, minute=minute)
    outcome = judged(AWAKE, now, replace(POLICY, period=NINE_TO_TEN))
    assert outcome.reason.code is expected
    if expected is Code.OUTSIDE_PERIOD:
        assert outcome.action is Action.UP
        assert outcome.reason.fact("schedule") == "0 9 * * *"
        assert str(outcome.reason.fact("next_start")).endswith("T09:00:00.000Z")


def test_an_unreadable_period_keeps_the_service_up() -> None:
    outcome = judged(AWAKE, T0, replace(POLICY, period=InvalidPeriod("six fields")))
    assert (outcome.action, outcome.reason.code) == (Action.UP, Code.INVALID_PERIOD)
    assert outcome.reason.fact("problem") == "six fields"


@pytest.mark.parametrize("period", [NINE_TO_TEN, InvalidPeriod("six fields")])
def test_no_period_wakes_a_newborn(period: EnabledPeriod | InvalidPeriod) -> None:
    policy = replace(POLICY, period=period, created_at=T0)
    assert code(ASLEEP, T0 + COOLDOWN - MS, policy) is Code.ASLEEP
    assert judged(ASLEEP, T0 + COOLDOWN, policy).action is Action.UP


def test_a_busy_trigger_wakes_but_not_a_newborn() -> None:
    newborn = replace(POLICY, created_at=T0)
    for after, expected in ((COOLDOWN - MS, Code.ASLEEP), (COOLDOWN, Code.BUSY)):
        now = T0 + after
        assert decide(newborn, ASLEEP, said(busy(now)), AROUND, now).reason.code is expected


TWO = replace(POLICY, triggers=POLICY.triggers * 2)


@pytest.mark.parametrize("other", [idle, blind, unhealthy])
def test_one_busy_trigger_is_enough_wherever_it_stands(other: Callable[[datetime, str], TriggerAnswers]) -> None:
    first, second = busy(T0, "b"), other(T0, "a")
    for answers in (said(first, second), said(second, first)):
        outcome = decide(TWO, ASLEEP, answers, AROUND, T0)
        assert (outcome.action, outcome.reason.code) == (Action.UP, Code.BUSY)
        assert outcome.reason.facts == (("trigger", "b"), ("value", 2.0), ("threshold", 0.5))


def test_a_service_at_zero_is_left_asleep_and_says_who_put_it_there() -> None:
    by_hand = replace(ASLEEP, target=TargetFacts("target-1", 4, 0, 0, T0, "kubectl"))
    assert judged(by_hand, T0).reason.facts == (("since", "2026-03-01T12:00:00.000Z"), ("by", "kubectl"))
    by_us = replace(ASLEEP, sleeps=(Sleep(T0 - MINUTE),))
    assert judged(by_us, T0).reason.facts == (("since", "2026-03-01T11:59:00.000Z"), ("by", "elasti"))
    assert judged(ASLEEP, T0).reason.fact("by") == "unknown"


def test_a_freeze_holds_and_names_who_did_it() -> None:
    outcome = judged(AWAKE, T0, around=replace(AROUND, frozen="maria: sale"))
    assert (outcome.reason.code, outcome.reason.fact("by")) == (Code.FROZEN, "maria: sale")


def test_a_freeze_does_not_stop_a_busy_trigger() -> None:
    frozen = replace(AROUND, frozen="maria: sale")
    assert decide(POLICY, ASLEEP, said(busy(T0)), frozen, T0).action is Action.UP


@pytest.mark.parametrize(("after", "expected"), [(COOLDOWN - MS, Code.NEWBORN), (COOLDOWN, Code.IDLE)])
def test_a_newborn_policy_watches_for_a_cooldown(after: timedelta, expected: Code) -> None:
    assert code(AWAKE, T0 + after, replace(POLICY, created_at=T0)) is expected


def test_a_target_that_was_not_observed_is_not_put_to_sleep() -> None:
    outcome = judged(replace(AWAKE, target=None), T0)
    assert (outcome.reason.code, outcome.reason.fact("cause")) == (Code.BLIND, "target-not-observed")


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        (said(blind(T0)), "timeout"),
        (said(unhealthy(T0)), "unhealthy"),
        (said(replace(idle(T0), healthy=Unknown(UnknownCause.HTTP_ERROR, T0))), "http-error"),
        (said(replace(idle(T0), from_zero=Unknown(UnknownCause.NAN, T0))), "nan"),
        (said(replace(idle(T0), to_zero=Unknown(UnknownCause.METRIC_VANISHED, T0))), "metric-vanished"),
        (said(), "not-asked"),
        (said(idle(T0), idle(T0, "prometheus#1")), "not-asked"),
        (None, "not-asked"),
    ],
)
def test_whatever_is_not_known_holds(answers: Answers | None, cause: str) -> None:
    outcome = decide(POLICY, AWAKE, answers, AROUND, T0)
    assert (outcome.action, outcome.reason.code, outcome.reason.fact("cause")) == (Action.HOLD, Code.BLIND, cause)


@pytest.mark.parametrize(("age", "expected"), [(60 * SECOND, Code.IDLE), (60 * SECOND + MS, Code.STALE)])
@pytest.mark.parametrize("which", range(3))
def test_an_answer_older_than_its_limit_is_not_believed(which: int, age: timedelta, expected: Code) -> None:
    old = idle(T0 - age)
    one_is_old = (
        replace(idle(T0), healthy=old.healthy),
        replace(idle(T0), to_zero=old.to_zero),
        replace(idle(T0), from_zero=old.from_zero),
    )
    assert decide(POLICY, AWAKE, said(one_is_old[which]), AROUND, T0).reason.code is expected


def test_an_unsure_clock_holds() -> None:
    assert code(AWAKE, T0, around=replace(AROUND, clock_sure=False)) is Code.CLOCK


def test_unread_inputs_hold() -> None:
    assert code(AWAKE, T0, around=replace(AROUND, inputs_read=False)) is Code.BEHIND


@pytest.mark.parametrize(("after", "expected"), [(COOLDOWN - SECOND, Code.RECENT_TRAFFIC), (COOLDOWN, Code.IDLE)])
def test_a_quiet_service_sleeps_when_its_cooldown_ends(after: timedelta, expected: Code) -> None:
    outcome = judged(replace(AWAKE, last_request_at=T0), T0 + after)
    assert outcome.reason.code is expected
    assert outcome.reason.fact("last_request") == "2026-03-01T12:00:00.000Z"
    if expected is Code.RECENT_TRAFFIC:
        assert outcome.reason.fact("left") == "1s"


@pytest.mark.parametrize(("after", "expected"), [(COOLDOWN - SECOND, Code.COOLING_DOWN), (COOLDOWN, Code.IDLE)])
@pytest.mark.parametrize(
    ("state", "what"),
    [
        (replace(AWAKE, last_wake_at=T0), "wake accepted"),
        (replace(AWAKE, last_wake_at=T0 - MS, ready_at=T0), "ready after a wake"),
        (replace(AWAKE, foreign_up_at=T0), "scaled up by somebody else"),
        (replace(AWAKE, first_seen_at=T0), "first seen"),
    ],
)
def test_a_service_that_came_up_cools_down_first(
    state: ServiceState, what: str, after: timedelta, expected: Code
) -> None:
    outcome = judged(state, T0 + after)
    assert outcome.reason.code is expected
    if expected is Code.COOLING_DOWN:
        assert outcome.reason.facts == (("since", "2026-03-01T12:00:00.000Z"), ("what", what), ("left", "1s"))


def test_every_trigger_must_call_it_idle() -> None:
    working = replace(idle(T0, "b"), to_zero=No(LOUD, T0))
    outcome = decide(TWO, AWAKE, said(idle(T0, "a"), working), AROUND, T0)
    assert (outcome.reason.code, outcome.reason.fact("trigger")) == (Code.NOT_IDLE, "b")
    assert decide(TWO, AWAKE, said(idle(T0, "a"), idle(T0, "b")), AROUND, T0).reason.code is Code.IDLE


@pytest.mark.parametrize(("after", "expected"), [(DAY - MS, Code.CONTESTED), (DAY, Code.IDLE)])
def test_contested_sleeps_rest_for_a_day(after: timedelta, expected: Code) -> None:
    undone = Sleep(T0 - MINUTE, T0, "argocd")
    outcome = judged(replace(AWAKE, sleeps=(undone,) * 3, contested_since=T0), T0 + after)
    assert outcome.reason.code is expected
    if expected is Code.CONTESTED:
        assert outcome.reason.fact("manager") == "argocd"


@pytest.mark.parametrize(("left", "expected"), [(0, Code.SLEEP_BUDGET), (1, Code.IDLE)])
def test_a_spent_budget_holds(left: int, expected: Code) -> None:
    assert code(AWAKE, T0, around=replace(AROUND, budget_left=left)) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(None, Code.IDLE), (Phase.FAILED, Code.IDLE), (Phase.SUPERSEDED, Code.SLEEP_BUDGET)],
)
def test_a_sleep_under_way_does_not_pay_twice(answer: Phase | None, expected: Code) -> None:
    state = replace(AWAKE, ask=Ask("c", 1, Direction.ZERO, 0, T0, answer=answer))
    assert code(state, T0, around=replace(AROUND, budget_left=0)) is expected


GUARDED = replace(POLICY, zero_guard=ZeroGuard.RESOLVER)
PREPARED = replace(AWAKE, prepare=Prepare("c", T0), ask=Ask("c", 1, Direction.PREPARE, 0, T0, answer=Phase.DRAINING))


def host(name: str, at: datetime, *, allowed: bool = True) -> HostFacts:
    return HostFacts(name, allowed, at)


def test_a_guarded_service_asks_the_resolver_first() -> None:
    outcome = judged(AWAKE, T0, GUARDED)
    assert (outcome.action, outcome.reason.code) == (Action.PREPARE, Code.AWAITING_RESOLVER)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((), Code.AWAITING_RESOLVER),
        ((host("a", T0),), Code.IDLE),
        ((host("a", T0 - MS),), Code.AWAITING_RESOLVER),
        ((host("a", T0, allowed=False),), Code.AWAITING_RESOLVER),
        ((host("a", T0), host("b", T0 - MINUTE)), Code.AWAITING_RESOLVER),
        # 24 h after it was last heard from, to the second, a host still has to agree; later it does not.
        ((host("a", T0), host("b", T0 + SECOND - DAY)), Code.AWAITING_RESOLVER),
        ((host("a", T0), host("b", T0 + SECOND - DAY - MS)), Code.IDLE),
        ((host("b", T0 - 2 * DAY),), Code.AWAITING_RESOLVER),
    ],
)
def test_every_host_that_was_heard_from_must_have_moved(hosts: tuple[HostFacts, ...], expected: Code) -> None:
    assert code(replace(PREPARED, hosts=hosts), T0 + SECOND, GUARDED) is expected


@pytest.mark.parametrize(("after", "expected"), [(59 * SECOND, Code.AWAITING_RESOLVER), (MINUTE, Code.GUARD_TIMEOUT)])
def test_a_resolver_has_a_minute_to_take_the_traffic(after: timedelta, expected: Code) -> None:
    outcome = judged(replace(PREPARED, hosts=(host("a", T0 - MINUTE),)), T0 + after, GUARDED)
    assert outcome.reason.code is expected
    assert outcome.reason.fact("waits_for") == "a"


def test_after_a_guard_timeout_the_next_cycle_asks_again() -> None:
    late = judged(PREPARED, T0 + MINUTE, GUARDED)
    again = judged(late.state, T0 + 90 * SECOND, GUARDED)
    assert (late.action, late.command) == (Action.HOLD, None)
    assert again.reason.code is Code.AWAITING_RESOLVER
    assert again.command is not None
    assert again.state.prepare == Prepare(again.command.id, T0 + 90 * SECOND)


WORLDS: tuple[tuple[Code, World], ...] = (
    (Code.UNFINISHED, lambda case: case._replace(state=replace(case.state, wake=OWED))),
    (Code.CONFLICT, lambda case: _around(case, replace(case.surroundings, conflict=ServiceKey("shop", "old")))),
    (Code.BUSY, lambda case: case._replace(answers=said(busy(T0)))),
    (Code.FROZEN, lambda case: _around(case, replace(case.surroundings, frozen="maria"))),
    (Code.CLOCK, lambda case: _around(case, replace(case.surroundings, clock_sure=False))),
    (Code.BEHIND, lambda case: _around(case, replace(case.surroundings, inputs_read=False))),
    (Code.RECENT_TRAFFIC, lambda case: case._replace(state=replace(case.state, last_request_at=T0))),
    (Code.COOLING_DOWN, lambda case: case._replace(state=replace(case.state, last_wake_at=T0))),
    (Code.SLEEP_BUDGET, lambda case: _around(case, replace(case.surroundings, budget_left=0))),
)


def _around(case: Case, surroundings: Surroundings) -> Case:
    return case._replace(surroundings=surroundings)


@pytest.mark.parametrize("place", range(len(WORLDS)))
def test_of_all_rules_that_hold_the_first_wins(place: int) -> None:
    case = Case(POLICY, AWAKE, said(idle(T0)), AROUND, T0)
    for _, worsened in WORLDS[place:]:
        case = worsened(case)
    assert decide(*case).reason.code is WORLDS[place][0]
