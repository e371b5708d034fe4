"""What results teach of sleeps: which zero is one of ours, each of them once; whoever counts sleeps goes by that."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Phase
from consumer.core.state import Sleep
from tests.core.stage import ASLEEP, MINUTE, SECOND, T0, Hand, result, seen

MS = timedelta(milliseconds=1)


def test_an_accepted_zero_is_a_sleep_and_remembers_what_was_there() -> None:
    hand = Hand()
    hand.result(seen(4, 3, T0 - 20 * MINUTE))
    hand.cycle(T0)
    hand.answer(Phase.ACCEPTED, 5, 0, T0 + SECOND)
    assert (hand.state.sleeps, hand.state.before_sleep) == ((Sleep(T0 + SECOND),), 3)
    assert hand.cycle(T0 + MINUTE).reason.code is Code.ASLEEP


def test_a_zero_that_a_wake_has_overtaken_is_a_sleep_too_and_the_wake_ended_it() -> None:
    """Forgotten, it would be missing in what the next owner of the partition counts against the sleep budget."""
    hand = Hand()
    zero = hand.cycle(T0).command
    assert zero is not None
    hand.request(T0 + SECOND)
    hand.result(replace(result(Phase.ACCEPTED, 4, 0, T0 + 2 * SECOND), command_id=zero.id))
    assert hand.state.sleeps == (Sleep(T0 + 2 * SECOND),)
    hand.answer(Phase.ACCEPTED, 5, 1, T0 + 3 * SECOND)
    assert hand.state.sleeps == (Sleep(T0 + 2 * SECOND, T0 + 3 * SECOND),)


def test_an_accepted_wake_that_a_newer_ask_has_overtaken_is_no_sleep() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    first = hand.state.ask
    assert first is not None
    hand.retried(T0 + 5 * SECOND)
    hand.result(replace(result(Phase.ACCEPTED, 5, 1, T0 + 6 * SECOND), command_id=first.command_id))
    assert hand.state.sleeps == ()


def test_a_zero_that_was_not_accepted_is_no_sleep() -> None:
    hand = Hand()
    hand.cycle(T0)
    hand.answer(Phase.SUPERSEDED, 4, 1, T0 + SECOND, ready=1)
    assert hand.state.sleeps == ()


def test_a_zero_that_landed_before_its_answer_was_lost_is_a_sleep_too() -> None:
    """The handler died between the call and the answer; the next one finds the target at zero already."""
    hand = Hand()
    for generation in (10, 20, 30):
        start = T0 + generation * timedelta(hours=1)
        zero = hand.cycle(start).command
        assert zero is not None
        hand.result(seen(generation, 0, start, OWN_MANAGER))
        landed = replace(result(Phase.UNCHANGED, generation, 0, start + SECOND), manager=OWN_MANAGER)
        hand.result(replace(landed, command_id=zero.id))
        assert hand.state.sleeps[-1] == Sleep(start + SECOND)
        hand.result(seen(generation + 1, 1, start + MINUTE, "argocd"))
    assert len(hand.state.sleeps) == 3
    assert hand.cycle(T0 + 31 * timedelta(hours=1)).reason.code is Code.CONTESTED


def test_a_zero_that_found_somebody_elses_zero_is_no_sleep_of_ours() -> None:
    hand = Hand()
    zero = hand.cycle(T0).command
    assert zero is not None
    found = replace(result(Phase.UNCHANGED, 4, 0, T0 + SECOND), manager="kubectl", command_id=zero.id)
    hand.result(found)
    assert hand.state.sleeps == ()


@pytest.mark.parametrize("cut", [timedelta(), 3 * MS])
def test_a_zero_that_is_told_twice_is_one_sleep_also_when_a_request_came_in_between(cut: timedelta) -> None:
    """Whoever publishes it anew can not know that it arrived; a time ahead of the log's is cut at each for itself."""
    hand = Hand()
    zero = hand.cycle(T0).command
    assert zero is not None
    told = replace(result(Phase.ACCEPTED, 4, 0, T0 + SECOND), command_id=zero.id)
    hand.result(told)
    hand.request(T0 + 2 * SECOND)
    hand.result(replace(told, at=told.at + cut))
    assert hand.state.sleeps == (Sleep(T0 + SECOND),)
