"""A request that came after a zero by somebody else, and before anybody reported it, is not lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.outcome import Action
from consumer.core.policy import Pause, PauseKind
from consumer.core.reasons import Code
from consumer.core.service import Phase
from tests.core.stage import ASLEEP, MINUTE, POLICY, SECOND, T0, Hand, result, seen


def settled() -> Hand:
    """A service that a request woke, known to be up since T0 + 1 s."""
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.answer(Phase.UNCHANGED, 5, 1, T0 + SECOND, ready=1)
    return hand


def test_a_request_after_a_zero_that_was_not_known_yet_is_owed() -> None:
    """12:00:02 a person scales to zero, 12:00:03 a request comes, and only then the result of 12:00:02 is read."""
    for came, expected in ((2 * SECOND, True), (2 * SECOND - SECOND, False)):
        hand = settled()
        assert hand.request(T0 + came).command is None
        hand.result(seen(6, 0, T0 + 2 * SECOND, "kubectl"))
        assert (hand.state.wake is not None) is expected


@pytest.mark.parametrize(
    ("reported_after", "is_owed"),
    [(timedelta(), True), (29 * SECOND, True), (MINUTE, True), (MINUTE + timedelta(milliseconds=1), False)],
)
def test_a_request_between_a_hand_made_zero_and_its_late_report_ends_in_a_wake(
    reported_after: timedelta, is_owed: bool
) -> None:
    """The handler is away: a person scales to zero, a request finds nobody there, and the report comes later."""
    hand, came = settled(), T0 + 20 * MINUTE
    assert hand.request(came).command is None
    hand.result(seen(6, 0, came + reported_after, "kubectl"))
    assert (hand.state.wake is not None) is is_owed
    outcome = hand.retried(came + reported_after)
    assert (outcome.command is not None) is is_owed
    if is_owed:
        assert (outcome.action, outcome.reason.code) == (Action.UP, Code.UNFINISHED)


def test_a_request_undoes_one_hand_made_zero_and_not_the_next() -> None:
    """Once it was known to be up after the request, whoever came was served."""
    hand, came = settled(), T0 + 20 * MINUTE
    hand.request(came)
    hand.result(seen(6, 0, came + SECOND, "kubectl"))
    hand.retried(came + SECOND)
    hand.answer(Phase.ACCEPTED, 7, 1, came + 2 * SECOND, ready=1)
    hand.result(seen(8, 0, came + 10 * SECOND, "kubectl"))
    assert hand.state.wake is None
    assert hand.cycle(came + 11 * SECOND).reason.code is Code.ASLEEP


def test_a_hand_made_zero_after_the_target_was_known_up_behind_the_last_request_stays() -> None:
    hand, came = settled(), T0 + 20 * MINUTE
    hand.request(came)
    hand.result(result(Phase.READY, 5, 1, came + SECOND, ready=1))
    hand.result(seen(6, 0, came + 2 * SECOND, "kubectl"))
    assert hand.state.wake is None


def test_a_request_that_a_lost_zero_swallowed_waits_for_the_end_of_a_pause() -> None:
    hand, came = settled(), T0 + 20 * MINUTE
    hand.policy = replace(POLICY, pause=Pause(PauseKind.ALL, came + MINUTE))
    hand.request(came)
    hand.result(seen(6, 0, came + 30 * SECOND, "kubectl"))
    assert hand.retried(came + 31 * SECOND).command is None
    assert hand.retried(came + MINUTE).command is not None
