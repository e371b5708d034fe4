"""When an up goes out, when not, and how a request is judged."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consumer.core.decide import decide, due_at, retry
from consumer.core.inputs import RecordCause
from consumer.core.outcome import Action, derived_id
from consumer.core.policy import Pause, PauseKind, WakeReplicas
from consumer.core.reasons import Code
from consumer.core.service import Direction, Mode, Phase
from consumer.core.state import ServiceState, TargetFacts, Wake
from tests.core.stage import (
    AROUND,
    ASLEEP,
    AWAKE,
    DAY,
    KEY,
    MINUTE,
    POLICY,
    SECOND,
    T0,
    Hand,
    busy,
    said,
    seen,
)

NEW = ServiceState(KEY, T0)


def test_a_hundred_requests_for_a_sleeping_service_give_one_command() -> None:
    hand = Hand(state=ASLEEP)
    for number in range(100):
        assert hand.request(T0 + number * timedelta(milliseconds=10)).action is Action.UP
    assert [command.direction for command in hand.commands] == [Direction.UP]
    assert hand.state.requests == 99


def test_a_wake_carries_its_request() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0 + SECOND, at=T0)
    command = hand.commands[0]
    assert (command.triggered_at, command.decided_at, command.trace) == (T0, T0 + SECOND, "trace-1")
    assert command.id == derived_id("command", KEY, RecordCause("requests", 0, 1))
    assert (command.expect, command.reason.code) == (None, Code.REQUEST)
    assert hand.state.wake == Wake(
        T0 + SECOND, Code.REQUEST, RecordCause("requests", 0, 1), T0, "trace-1", 1, T0 + SECOND
    )


@pytest.mark.parametrize(
    ("minimum", "kind", "before_sleep", "present", "expected"),
    [
        (1, WakeReplicas.MIN, 5, 0, 1),
        (3, WakeReplicas.MIN, 1, 0, 3),
        (1, WakeReplicas.PREVIOUS, 5, 0, 5),
        (3, WakeReplicas.PREVIOUS, 2, 0, 3),
        (1, WakeReplicas.PREVIOUS, None, 0, 1),
        (0, WakeReplicas.MIN, None, 0, 1),
        (2, WakeReplicas.MIN, None, 7, 7),
    ],
)
def test_an_up_asks_for_what_it_wakes_to_and_never_for_less_than_there_is(
    minimum: int, kind: WakeReplicas, before_sleep: int | None, present: int, expected: int
) -> None:
    policy = replace(POLICY, min_replicas=minimum, wake_replicas=kind)
    state = replace(AWAKE, before_sleep=before_sleep, target=TargetFacts("target-1", 3, present, 0, T0))
    command = decide(policy, state, said(busy(T0)), AROUND, T0).command
    assert command is not None
    assert command.replicas == expected


def test_an_up_is_asked_again_when_its_minimum_grew() -> None:
    hand = Hand()
    hand.cycle(T0, busy(T0))
    hand.answer(Phase.UNCHANGED, 3, 1, T0, ready=1)
    assert hand.cycle(T0 + 30 * SECOND, busy(T0 + 30 * SECOND)).command is None
    hand.adopt_policy(replace(POLICY, hash="hash-2", min_replicas=3), T0 + MINUTE)
    grown = hand.cycle(T0 + MINUTE, busy(T0 + MINUTE)).command
    assert grown is not None
    assert grown.replicas == 3


def test_a_hand_made_zero_is_fought_while_busy_and_by_requests_but_not_while_idle() -> None:
    hand = Hand()
    hand.cycle(T0, busy(T0))
    hand.answer(Phase.UNCHANGED, 3, 1, T0, ready=1)
    hand.result(seen(4, 0, T0 + SECOND, "kubectl"))
    assert hand.cycle(T0 + 2 * SECOND).reason.code is Code.ASLEEP
    assert len(hand.commands) == 1
    assert hand.cycle(T0 + 3 * SECOND, busy(T0 + 3 * SECOND)).command is not None
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + 4 * SECOND, ready=1)
    hand.result(seen(6, 0, T0 + 5 * SECOND, "kubectl"))
    assert hand.request(T0 + 6 * SECOND).command is not None


def test_a_request_does_not_wait_for_the_retry_when_its_wake_was_undone() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
    assert hand.request(T0 + 3 * SECOND).command is not None
    assert hand.request(T0 + 4 * SECOND).command is None


def test_a_request_after_a_failure_that_is_not_owed_any_more_asks_again() -> None:
    """A wake that never got ready counts as paid; its failed last ask must not swallow the next request."""
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
    hand.retried(T0 + 10 * SECOND)
    hand.answer(Phase.FAILED, 6, 0, T0 + 11 * SECOND)
    assert hand.cycle(T0 + 31 * MINUTE).reason.code is Code.NEVER_READY
    assert hand.request(T0 + 32 * MINUTE).command is not None


@pytest.mark.parametrize("answer", [None, Phase.FAILED, Phase.SUPERSEDED])
def test_an_unfinished_wake_is_asked_again_after_five_seconds_doubling_up_to_five_minutes(
    answer: Phase | None,
) -> None:
    hand, now = Hand(state=ASLEEP), T0
    hand.request(now)
    for wait in (5, 10, 20, 40, 80, 160, 300, 300):
        if answer is not None:
            hand.answer(answer, 4, 0, now)
        assert due_at(hand.state, POLICY) == now + wait * SECOND
        early = hand.retried(now + (wait - 1) * SECOND)
        assert (early.reason.code, early.command) == (Code.UNFINISHED, None)
        now += wait * SECOND
        again = hand.retried(now)
        assert again.command is not None
        assert (again.command.triggered_at, again.command.trace) == (T0, "trace-1")
    assert len({command.id for command in hand.commands}) == 9
    assert [command.seq for command in hand.commands] == sorted({command.seq for command in hand.commands})


def failing(times: int) -> tuple[Hand, datetime]:
    """A wake that the cluster refused so often, and when it was asked last."""
    hand, now = Hand(state=ASLEEP), T0
    hand.request(now)
    for _ in range(times - 1):
        hand.answer(Phase.FAILED, 4, 0, now)
        now = due_at(hand.state, POLICY) or now
        hand.retried(now)
    return hand, now


@pytest.mark.parametrize(
    ("answer", "after", "asks"),
    [
        (Phase.FAILED, 5 * SECOND, True),
        (Phase.FAILED, 5 * SECOND - timedelta(milliseconds=1), False),
        (Phase.SUPERSEDED, 5 * SECOND, True),
        (None, 5 * SECOND, False),
    ],
)
def test_a_request_does_not_wait_for_the_backoff_of_a_wake_that_failed(
    answer: Phase | None, after: timedelta, asks: bool
) -> None:
    hand, asked_at = failing(8)
    if answer is not None:
        hand.answer(answer, 4, 0, asked_at)
    assert due_at(hand.state, POLICY) == asked_at + 5 * MINUTE
    outcome = hand.request(asked_at + after)
    assert (outcome.command is not None) is asks
    if outcome.command is not None:
        assert outcome.command.id == derived_id("command", KEY, RecordCause("requests", 0, hand.offset))
        assert hand.state.wake is not None
        assert (hand.state.wake.since, hand.state.wake.asked) == (T0, 9)


def test_a_hundred_requests_for_a_wake_that_keeps_failing_ask_once_in_five_seconds() -> None:
    hand, asked_at = failing(8)
    sent = len(hand.commands)
    for number in range(1, 101):
        now = asked_at + number * timedelta(milliseconds=200)
        hand.answer(Phase.FAILED, 4, 0, now)
        hand.request(now)
    assert [command.decided_at - asked_at for command in hand.commands[sent:]] == [
        seconds * SECOND for seconds in (5, 10, 15, 20)
    ]


def test_while_observing_a_request_does_not_ask_again_for_a_wake_that_failed() -> None:
    hand, asked_at = failing(8)
    hand.answer(Phase.FAILED, 4, 0, asked_at)
    hand.around = replace(AROUND, mode=Mode.OBSERVE)
    assert hand.request(asked_at + MINUTE).command is None


def test_an_accepted_wake_is_due_when_its_start_timeout_ends_or_when_it_is_lost() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    assert due_at(hand.state, POLICY) == T0 + SECOND + 30 * MINUTE
    hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
    assert due_at(hand.state, POLICY) == T0 + 5 * SECOND
    assert hand.retried(T0 + 5 * SECOND).command is not None


def test_nothing_is_due_without_a_debt_or_a_policy() -> None:
    hand = Hand(state=ASLEEP)
    assert due_at(hand.state, POLICY) is None
    hand.request(T0)
    assert due_at(hand.state, None) is None


def test_a_retry_when_nothing_is_owed_says_what_was_said_before() -> None:
    hand = Hand()
    hand.cycle(T0)
    outcome = hand.retried(T0 + SECOND)
    assert (outcome.action, outcome.reason.code, outcome.changed) == (Action.ZERO, Code.IDLE, False)
    fresh = retry(POLICY, AWAKE, AROUND, T0)
    assert (fresh.action, fresh.changed, fresh.command) == (Action.HOLD, False, None)


@pytest.mark.parametrize(("age", "code"), [(10 * MINUTE, Code.REQUEST), (10 * MINUTE + SECOND, Code.STALE_REQUEST)])
def test_a_request_older_than_ten_minutes_wakes_nobody_but_counts_at_its_own_time(age: timedelta, code: Code) -> None:
    hand = Hand(state=ASLEEP)
    outcome = hand.request(T0 + age, at=T0)
    assert outcome.reason.code is code
    assert (outcome.command is not None) is (code is Code.REQUEST)
    assert (hand.state.wake is not None) is (code is Code.REQUEST)
    assert hand.state.last_request_at == T0


def test_a_stale_request_still_is_recent_traffic() -> None:
    hand = Hand()
    hand.request(T0 + 12 * MINUTE, at=T0)
    assert hand.cycle(T0 + 14 * MINUTE).reason.code is Code.RECENT_TRAFFIC
    assert hand.cycle(T0 + 15 * MINUTE).reason.code is Code.IDLE


def test_with_an_unsure_clock_every_request_is_fresh() -> None:
    hand = Hand(state=ASLEEP, around=replace(AROUND, clock_sure=False))
    assert hand.request(T0 + DAY, at=T0).command is not None


def test_a_count_of_zero_wakes_nobody() -> None:
    hand = Hand(state=ASLEEP)
    outcome = hand.request(T0, count=0)
    assert (outcome.action, outcome.command, outcome.changed) == (Action.HOLD, None, False)
    assert hand.state.wake is None


def test_a_request_wakes_frozen_blind_newborn_and_conflicting_services() -> None:
    around = replace(AROUND, frozen="maria", conflict=KEY, inputs_read=False, budget_left=0)
    policy = replace(POLICY, created_at=T0, pause=Pause(PauseKind.SLEEP))
    assert Hand(policy=policy, state=ASLEEP, around=around).request(T0).command is not None


def test_while_all_is_paused_a_request_is_owed_and_paid_at_the_unpause() -> None:
    hand = Hand(policy=replace(POLICY, pause=Pause(PauseKind.ALL, T0 + MINUTE)), state=ASLEEP)
    outcome = hand.request(T0)
    assert (outcome.action, outcome.reason.code, outcome.command) == (Action.HOLD, Code.PAUSED, None)
    assert hand.retried(T0 + MINUTE - SECOND).reason.code is Code.PAUSED
    assert due_at(hand.state, hand.policy) == T0 + MINUTE
    paid = hand.retried(T0 + MINUTE)
    assert (paid.reason.code, paid.command is not None) == (Code.UNFINISHED, True)
    assert hand.commands[0].triggered_at == T0


def test_while_all_is_paused_without_an_end_nothing_is_due() -> None:
    hand = Hand(policy=replace(POLICY, pause=Pause(PauseKind.ALL)), state=ASLEEP)
    hand.request(T0)
    assert due_at(hand.state, hand.policy) is None


def test_while_all_is_paused_neither_a_stale_request_nor_one_for_a_woken_service_is_owed() -> None:
    paused = replace(POLICY, pause=Pause(PauseKind.ALL))
    hand = Hand(policy=paused, state=ASLEEP)
    hand.request(T0 + 11 * MINUTE, at=T0)
    assert hand.state.wake is None
    hand = Hand()
    hand.cycle(T0, busy(T0))
    hand.answer(Phase.UNCHANGED, 3, 1, T0, ready=1)
    hand.policy = paused
    hand.request(T0 + SECOND)
    assert hand.state.wake is None


def test_a_request_without_a_policy_is_owed_and_paid_when_the_policy_appears() -> None:
    hand = Hand(policy=None, state=NEW)
    outcome = hand.request(T0)
    assert (outcome.action, outcome.reason.code) == (Action.HOLD, Code.NO_POLICY)
    hand.adopt_policy(POLICY, T0 + MINUTE)
    assert due_at(hand.state, POLICY) == T0
    paid = hand.retried(T0 + MINUTE)
    assert (paid.reason.code, paid.reason.fact("due")) == (Code.UNFINISHED, "no-policy")
    assert paid.command is not None


@pytest.mark.parametrize(("after", "paid"), [(10 * MINUTE, True), (10 * MINUTE + SECOND, False)])
def test_a_wake_without_a_policy_is_owed_for_ten_minutes_after_the_last_request(after: timedelta, paid: bool) -> None:
    hand = Hand(policy=None, state=NEW)
    hand.request(T0 - MINUTE)
    hand.request(T0)
    hand.adopt_policy(POLICY, T0 + after)
    assert (hand.retried(T0 + after).command is not None) is paid
    assert (hand.state.wake is not None) is paid


def test_a_stale_request_without_a_policy_is_not_owed() -> None:
    hand = Hand(policy=None, state=NEW)
    assert hand.request(T0 + 11 * MINUTE, at=T0).reason.code is Code.STALE_REQUEST
    assert hand.state.wake is None
