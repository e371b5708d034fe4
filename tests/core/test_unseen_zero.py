"""A request that came after a zero by somebody else, and before anybody reported it, is not lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.decide import retry
from consumer.core.outcome import Action
from consumer.core.policy import Pause, PauseKind
from consumer.core.reasons import Code, because
from consumer.core.sentences import sentence
from consumer.core.service import OWN_MANAGER, Phase
from consumer.core.state import Wake
from tests.core.stage import AROUND, ASLEEP, MINUTE, POLICY, SECOND, T0, Hand, result, seen


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


def told_why(hand: Hand) -> str:
    """What is said of the wake that is owed now."""
    wake = hand.state.wake
    assert wake is not None
    return sentence(hand.retried(wake.since).reason)


def test_what_is_undone_for_a_request_names_the_request_and_whose_zero_it_was() -> None:
    hand, came = settled(), T0 + 20 * MINUTE
    hand.request(came)
    hand.result(seen(6, 0, came + 10 * SECOND, "kubectl"))
    assert told_why(hand) == (
        "a wake is owed since 2026-03-01T12:20:10.000Z because of a zero by kubectl that the request of "
        "2026-03-01T12:20:00.000Z may have met: at zero; attempts: 0, next 2026-03-01T12:20:10.000Z"
    )
    # It says so still once it was asked for, and the target is up.
    hand.answer(Phase.ACCEPTED, 7, 1, came + 11 * SECOND)
    waiting = sentence(hand.cycle(came + 12 * SECOND).reason)
    assert "because of a zero by kubectl that the request of 2026-03-01T12:20:00.000Z may have met, and no" in waiting


@pytest.mark.parametrize(
    ("manager", "whose"),
    [
        (OWN_MANAGER, "an older zero of ours that landed"),
        (None, "a zero by nobody named, maybe an older one of ours, that landed"),
    ],
)
def test_what_is_undone_since_it_is_or_may_be_ours_names_the_wake_that_it_landed_after(
    manager: str | None, whose: str
) -> None:
    hand = settled()
    hand.result(seen(6, 0, T0 + 30 * SECOND, manager))
    assert f"because of {whose} after the wake asked for at 2026-03-01T12:00:00.000Z: at zero;" in told_why(hand)


def test_a_debt_written_down_before_there_were_words_for_it_is_told_all_the_same() -> None:
    old = Wake(T0, Code.UNFINISHED, AROUND.cause, T0)
    reason = retry(POLICY, replace(ASLEEP, wake=old), AROUND, T0).reason
    assert "because of a zero that was to be undone: at zero;" in sentence(reason)
    assert "because of request:" in sentence(because(Code.UNFINISHED, due="request"))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (Code.REQUEST, "the request of 2026-03-01T12:00:00.000Z"),
        (Code.NO_POLICY, "the request of 2026-03-01T12:00:00.000Z"),
        (Code.ADOPTED, "the wake without Kafka at 2026-03-01T12:00:00.000Z"),
        (Code.BUSY, "a busy trigger"),
        (Code.OUTSIDE_PERIOD, "its enabled period"),
        (Code.INVALID_PERIOD, "its enabled period"),
        (Code.POLICY_DELETED, "policy-deleted"),
    ],
)
def test_every_other_debt_says_what_it_is_owed_for(code: Code, why: str) -> None:
    wake = Wake(T0, code, AROUND.cause, T0, asked=1, asked_at=T0)
    assert retry(POLICY, replace(ASLEEP, wake=wake), AROUND, T0).reason.fact("why") == why
