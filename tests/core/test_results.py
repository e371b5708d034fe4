"""What scale results teach: the target, the answers, when a wake is paid, and what other people did."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.outcome import Action
from consumer.core.policy import ZeroGuard
from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Direction, Phase
from consumer.core.state import Sleep, Wake
from tests.core.stage import ASLEEP, AWAKE, COOLDOWN, MINUTE, POLICY, REF, SECOND, T0, Hand, result, seen


def woken() -> Hand:
    """A sleeping service that a request has just woken; nobody answered yet."""
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    return hand


def owed(hand: Hand) -> Wake | None:
    return hand.state.wake


def test_a_wake_is_paid_by_its_own_answer_with_a_ready_replica() -> None:
    hand = woken()
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    assert (hand.state.wake, hand.state.last_wake_at, hand.state.ready_at) == (None, T0 + SECOND, T0 + SECOND)


def test_a_wake_is_paid_by_a_later_ready_and_not_by_its_acceptance() -> None:
    hand = woken()
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    wake = owed(hand)
    assert wake is not None
    assert wake.accepted_at == T0 + SECOND
    hand.result(result(Phase.READY, 5, 1, T0 + 3 * SECOND, ready=1))
    assert (owed(hand), hand.state.ready_at) == (None, T0 + 3 * SECOND)


def test_ready_replicas_before_the_answer_pay_nothing() -> None:
    """They may be those that an older zero is about to take."""
    hand = woken()
    hand.result(result(Phase.READY, 4, 1, T0 + SECOND, ready=1))
    assert hand.state.wake is not None


def test_ready_replicas_of_an_older_generation_change_nothing() -> None:
    hand = woken()
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    before = hand.state
    hand.result(result(Phase.READY, 4, 1, T0 + 2 * SECOND, ready=1))
    assert replace(hand.state, marks=()) == replace(before, marks=())


def test_after_the_target_was_gone_an_old_word_on_ready_still_pays_nothing() -> None:
    hand = woken()
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    hand.result(replace(seen(0, 0, T0 + 2 * SECOND), uid=""))
    hand.result(result(Phase.READY, 4, 1, T0 + 3 * SECOND, ready=1))
    assert hand.state.wake is not None


def test_pods_that_still_end_at_zero_are_not_ready() -> None:
    hand = woken()
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    hand.result(result(Phase.OBSERVED, 6, 0, T0 + 2 * SECOND, ready=1))
    assert hand.state.wake is not None


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SUPERSEDED])
def test_a_wake_that_was_refused_is_still_owed(phase: Phase) -> None:
    hand = woken()
    hand.answer(phase, 4, 0, T0 + SECOND)
    assert hand.state.wake is not None
    assert hand.state.wake.failed == phase.value
    assert hand.retried(T0 + 5 * SECOND).command is not None


def test_the_error_of_a_refusal_is_kept_and_the_next_acceptance_clears_it() -> None:
    hand = woken()
    refused = replace(result(Phase.FAILED, 4, 0, T0 + SECOND), command_id=hand.commands[-1].id, error="quota exceeded")
    hand.result(refused)
    assert hand.state.wake is not None
    assert hand.state.wake.failed == "quota exceeded"
    hand.retried(T0 + 5 * SECOND)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + 6 * SECOND)
    assert hand.state.wake.failed is None


def test_an_answer_that_was_taken_stays_taken() -> None:
    """A handler that died before it committed delivers the command again, and answers again."""
    hand = Hand()
    hand.cycle(T0)
    hand.answer(Phase.ACCEPTED, 4, 0, T0 + SECOND)
    hand.answer(Phase.SUPERSEDED, 4, 0, T0 + 2 * SECOND)
    assert hand.state.ask is not None
    assert hand.state.ask.answer is Phase.ACCEPTED


def test_the_answer_to_an_older_command_is_no_answer_to_the_last_one() -> None:
    hand = Hand()
    first = hand.cycle(T0).command
    hand.request(T0 + SECOND)
    assert first is not None
    hand.result(replace(result(Phase.SUPERSEDED, 3, 1, T0 + 2 * SECOND, ready=1), command_id=first.id))
    assert hand.state.ask is not None
    assert hand.state.ask.answer is None
    assert hand.state.wake is not None


def test_ready_is_not_an_answer() -> None:
    hand = woken()
    hand.answer(Phase.READY, 5, 1, T0 + SECOND, ready=1)
    assert hand.state.ask is not None
    assert hand.state.ask.answer is None


def test_a_zero_that_lands_late_is_owed_back_at_once() -> None:
    hand = woken()
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    hand.result(seen(6, 0, T0 + 2 * SECOND, OWN_MANAGER))
    assert hand.state.wake is not None
    outcome = hand.retried(T0 + 2 * SECOND)
    assert (outcome.action, outcome.reason.code) == (Action.UP, Code.UNFINISHED)
    assert outcome.command is not None


@pytest.mark.parametrize(("after", "owed_again"), [(MINUTE - SECOND, True), (MINUTE, False)])
def test_a_zero_that_nobody_is_named_for_is_owed_back_for_a_minute_after_the_up(
    after: timedelta, owed_again: bool
) -> None:
    """The handler that sent it died before it could say so, and the API keeps no name of a zero."""
    hand = woken()
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    hand.result(seen(6, 0, T0 + after))
    assert (hand.state.wake is not None) is owed_again


def test_a_target_that_is_gone_is_not_taken_for_a_zero_that_nobody_is_named_for() -> None:
    hand = woken()
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    hand.result(replace(seen(0, 0, T0 + 2 * SECOND), uid=""))
    assert hand.state.wake is None


def test_a_late_answer_of_the_overtaken_zero_is_owed_back_too() -> None:
    hand = Hand()
    zero = hand.cycle(T0).command
    hand.request(T0 + SECOND)
    hand.answer(Phase.UNCHANGED, 3, 1, T0 + 2 * SECOND, ready=1)
    assert zero is not None
    hand.result(replace(result(Phase.ACCEPTED, 4, 0, T0 + 3 * SECOND), command_id=zero.id))
    assert hand.state.wake is not None


def test_a_zero_by_somebody_else_is_left_alone() -> None:
    hand = woken()
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
    assert hand.state.wake is None
    assert hand.cycle(T0 + 3 * SECOND).reason.code is Code.ASLEEP


def test_a_zero_of_ours_after_a_zero_of_ours_owes_nothing() -> None:
    hand = Hand()
    hand.cycle(T0)
    hand.result(seen(4, 0, T0 + SECOND, OWN_MANAGER))
    assert hand.state.wake is None


def test_a_new_uid_of_the_target_starts_without_asks_but_still_owes_the_wake() -> None:
    hand = woken()
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + SECOND)
    hand.result(replace(seen(1, 1, T0 + 2 * SECOND), uid="target-2"))
    assert (hand.state.ask, hand.state.prepare) == (None, None)
    assert hand.state.wake is not None
    assert hand.state.wake.asked == 0
    assert hand.retried(T0 + 2 * SECOND).command is not None


def test_a_late_word_on_the_old_uid_does_not_bring_it_back() -> None:
    hand = Hand()
    hand.result(replace(seen(1, 1, T0), uid="target-2"))
    hand.result(seen(9, 1, T0 - SECOND))
    assert hand.state.target is not None
    assert hand.state.target.uid == "target-2"


def test_a_result_of_another_target_changes_nothing() -> None:
    hand = Hand()
    hand.result(replace(seen(9, 0, T0), target=replace(REF, name="api")))
    assert hand.state.target == AWAKE.target


def test_a_target_that_is_gone_is_not_known_any_more() -> None:
    hand = Hand()
    hand.result(replace(seen(0, 0, T0), uid=""))
    assert hand.state.target is None
    assert hand.cycle(T0).reason.fact("cause") == "target-not-observed"


def test_a_failure_that_knows_no_target_answers_and_forgets_nothing() -> None:
    hand = woken()
    gone = replace(result(Phase.FAILED, 0, 0, T0 + SECOND), uid="", command_id=hand.commands[-1].id, error="not found")
    hand.result(gone)
    assert hand.state.target == ASLEEP.target
    assert hand.state.wake is not None
    assert hand.state.wake.failed == "not found"


def test_the_first_sight_of_a_target_is_learned_even_before_its_policy() -> None:
    hand = Hand(state=replace(AWAKE, policy_uid=None, policy_hash=None, target_ref=None, target=None))
    hand.result(seen(2, 1, T0))
    hand.adopt_policy(POLICY, T0)
    assert hand.state.target is not None


def test_who_changed_the_replicas_is_remembered_until_somebody_else_does() -> None:
    hand = Hand()
    hand.result(seen(4, 2, T0, "hpa"))
    hand.result(result(Phase.NOT_READY, 4, 2, T0 + SECOND))
    assert hand.state.target is not None
    assert hand.state.target.manager == "hpa"


@pytest.mark.parametrize("manager", ["kubectl", None])
def test_a_scale_up_by_somebody_else_starts_a_cooldown(manager: str | None) -> None:
    hand = Hand(state=ASLEEP)
    hand.result(seen(5, 1, T0, manager))
    assert hand.state.foreign_up_at == T0
    assert hand.cycle(T0 + COOLDOWN - SECOND).reason.code is Code.COOLING_DOWN
    assert hand.cycle(T0 + COOLDOWN).reason.code is Code.IDLE


def test_a_wake_by_a_handler_that_ended_before_it_could_tell_is_a_wake() -> None:
    hand = Hand(state=ASLEEP)
    hand.result(replace(seen(5, 1, T0, OWN_MANAGER), ready=0))
    assert (hand.state.foreign_up_at, hand.state.last_wake_at) == (None, T0)
    assert hand.cycle(T0 + SECOND).reason.code is Code.WAITING_READY
    hand.result(result(Phase.READY, 5, 1, T0 + 2 * SECOND, ready=1))
    assert hand.cycle(T0 + 2 * SECOND + COOLDOWN - SECOND).reason.code is Code.COOLING_DOWN
    assert hand.cycle(T0 + 2 * SECOND + COOLDOWN).reason.code is Code.IDLE


def test_a_direct_wake_that_overtakes_a_command_does_not_double_it() -> None:
    hand = woken()
    hand.result(replace(result(Phase.ACCEPTED, 5, 1, T0, ready=1), direct=True, command_id=None))
    assert owed(hand) is None
    assert hand.request(T0 + SECOND).command is None
    hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
    assert hand.request(T0 + 3 * SECOND).command is not None


def test_our_own_change_seen_while_its_answer_is_still_to_come_is_no_second_wake() -> None:
    hand = woken()
    wake = owed(hand)
    hand.result(seen(5, 1, T0 + SECOND, OWN_MANAGER))
    assert owed(hand) == wake


def test_more_replicas_by_somebody_else_are_no_wake() -> None:
    hand = Hand()
    hand.result(seen(5, 4, T0, "hpa"))
    assert hand.state.foreign_up_at is None


def sleep_and_undo(hand: Hand, generation: int, after: timedelta, manager: str = "argocd") -> None:
    """Put the service to sleep in its next quiet moment; somebody undoes that after a while."""
    start = T0 + generation * timedelta(hours=1)
    hand.cycle(start)
    hand.answer(Phase.ACCEPTED, generation, 0, start)
    hand.result(seen(generation + 1, 1, start + after, manager))


@pytest.mark.parametrize(
    ("after", "contested"), [(10 * MINUTE, True), (10 * MINUTE + timedelta(milliseconds=1), False)]
)
def test_three_sleeps_undone_within_ten_minutes_each_are_contested(after: timedelta, contested: bool) -> None:
    hand = Hand()
    for generation, within in ((10, MINUTE), (20, after), (30, MINUTE)):
        sleep_and_undo(hand, generation, within)
    outcome = hand.cycle(T0 + 31 * timedelta(hours=1))
    assert (outcome.reason.code is Code.CONTESTED) is contested
    if contested:
        assert outcome.reason.fact("manager") == "argocd"


def test_two_undone_sleeps_are_no_contest_and_an_edit_ends_one() -> None:
    hand = Hand()
    sleep_and_undo(hand, 10, MINUTE)
    sleep_and_undo(hand, 20, MINUTE)
    assert hand.cycle(T0 + 21 * timedelta(hours=1)).reason.code is Code.IDLE
    hand = Hand()
    for generation in (10, 20, 30):
        sleep_and_undo(hand, generation, MINUTE)
    hand.adopt_policy(replace(POLICY, hash="hash-2"), T0 + 31 * timedelta(hours=1))
    assert hand.cycle(T0 + 31 * timedelta(hours=1)).reason.code is Code.IDLE


def test_a_sleep_that_our_own_wake_ended_was_not_undone_by_who_scales_later() -> None:
    hand = Hand()
    hand.cycle(T0)
    hand.answer(Phase.ACCEPTED, 4, 0, T0)
    hand.request(T0 + SECOND)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + 2 * SECOND)
    hand.result(seen(6, 0, T0 + 3 * SECOND, "kubectl"))
    hand.result(seen(7, 1, T0 + 4 * SECOND, "kubectl"))
    assert hand.state.sleeps[-1] == Sleep(T0, T0 + 2 * SECOND, None)


def test_a_direct_wake_is_owed_until_ready_like_any_other() -> None:
    hand = Hand(state=ASLEEP)
    direct = replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True, triggered_at=T0 - SECOND)
    hand.result(direct)
    wake = owed(hand)
    assert wake is not None
    assert (wake.code, wake.triggered_at) == (Code.ADOPTED, T0 - SECOND)
    assert hand.cycle(T0 + SECOND).reason.code is Code.WAITING_READY
    hand.result(result(Phase.READY, 5, 1, T0 + 2 * SECOND, ready=1))
    assert owed(hand) is None
    assert hand.cycle(T0 + 3 * SECOND).reason.code is Code.RECENT_TRAFFIC
    assert hand.cycle(T0 - SECOND + COOLDOWN).reason.code is Code.COOLING_DOWN


def test_a_prepare_ends_with_the_replicas_or_with_a_refusal() -> None:
    for ending in (seen(4, 0, T0, "kubectl"), None):
        hand = Hand(policy=replace(POLICY, zero_guard=ZeroGuard.RESOLVER))
        hand.cycle(T0)
        assert hand.commands[-1].direction is Direction.PREPARE
        if ending is None:
            hand.answer(Phase.SUPERSEDED, 3, 1, T0, ready=1)
        else:
            hand.result(ending)
        assert hand.state.prepare is None


def test_marks_move_with_results_that_change_nothing_else() -> None:
    hand = Hand()
    hand.result(seen(1, 0, T0))
    assert hand.state == replace(AWAKE, marks=hand.state.marks)
    assert hand.state.marks[0].offset == 1


def test_a_request_during_a_prepare_tells_whichever_handler_gets_it_to_take_that_back() -> None:
    hand = Hand(policy=replace(POLICY, zero_guard=ZeroGuard.RESOLVER))
    hand.cycle(T0)
    command = hand.request(T0 + SECOND).command
    assert command is not None
    assert command.reason.fact("prepare") == "taken back"
    assert hand.state.prepare is None
