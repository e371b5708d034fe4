"""When a zero or prepare goes out, when not, and what takes a prepare back."""

from dataclasses import replace

import pytest

from consumer.core.outcome import Action, Expect
from consumer.core.policy import Pause, PauseKind, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.service import Autoscaler, Direction, Mode, Phase
from consumer.core.state import TargetFacts
from tests.core.stage import (
    AROUND,
    AWAKE,
    DAY,
    MINUTE,
    POLICY,
    SECOND,
    T0,
    Hand,
    blind,
    busy,
    judged,
)

GUARDED = replace(POLICY, zero_guard=ZeroGuard.RESOLVER)


def test_a_zero_says_what_it_expects_of_the_target() -> None:
    command = judged(AWAKE, T0, replace(POLICY, autoscaler=Autoscaler("keda", "web"))).command
    assert command is not None
    assert (command.direction, command.replicas) == (Direction.ZERO, 0)
    assert command.expect == Expect("target-1", 3, 1)
    assert (command.autoscaler, command.policy_uid, command.policy_hash) == (
        Autoscaler("keda", "web"),
        "policy-1",
        "hash-1",
    )
    assert (command.triggered_at, command.decided_at, command.cause) == (T0, T0, AROUND.cause)


@pytest.mark.parametrize("answer", [None, Phase.FAILED])
def test_a_zero_without_success_goes_out_again_after_thirty_seconds_doubling_up_to_five_minutes(
    answer: Phase | None,
) -> None:
    hand, now = Hand(), T0
    hand.cycle(now)
    for wait in (30, 60, 120, 240, 300, 300):
        if answer is not None:
            hand.answer(answer, 3, 1, now, ready=1)
        assert hand.cycle(now + (wait - 1) * SECOND).command is None
        now += wait * SECOND
        assert hand.cycle(now).command is not None
    assert hand.state.ask is not None
    assert hand.state.ask.attempts == 7


def test_a_superseded_zero_is_judged_anew_at_the_next_cycle() -> None:
    hand = Hand()
    hand.cycle(T0)
    hand.answer(Phase.SUPERSEDED, 4, 2, T0 + SECOND, ready=2)
    again = hand.cycle(T0 + 30 * SECOND).command
    assert again is not None
    assert again.expect == Expect("target-1", 4, 2)
    hand.answer(Phase.SUPERSEDED, 5, 2, T0 + 31 * SECOND, ready=2)
    assert hand.cycle(T0 + MINUTE, busy(T0 + MINUTE)).action is Action.UP


def test_a_prepare_is_followed_by_zero_when_every_host_has_moved() -> None:
    hand = Hand(policy=GUARDED)
    assert hand.cycle(T0).action is Action.PREPARE
    hand.answer(Phase.DRAINING, 3, 1, T0 + SECOND, ready=1)
    assert hand.cycle(T0 + 30 * SECOND).command is None
    hand.host("shop.example", T0 + 31 * SECOND)
    outcome = hand.cycle(T0 + 45 * SECOND)
    assert (outcome.action, outcome.reason.code) == (Action.ZERO, Code.IDLE)
    hand.answer(Phase.ACCEPTED, 4, 0, T0 + 46 * SECOND)
    assert hand.state.prepare is None


def test_a_repeated_prepare_keeps_the_time_of_the_first() -> None:
    hand = Hand(policy=replace(GUARDED, guard_timeout=5 * MINUTE))
    hand.cycle(T0)
    hand.answer(Phase.FAILED, 3, 1, T0 + SECOND, ready=1)
    hand.cycle(T0 + 30 * SECOND)
    assert len(hand.commands) == 2
    assert hand.state.prepare is not None
    assert (hand.state.prepare.command_id, hand.state.prepare.since) == (hand.commands[-1].id, T0)


def prepared() -> Hand:
    hand = Hand(policy=GUARDED, state=replace(AWAKE, target=TargetFacts("target-1", 3, 4, 4, T0 - DAY)))
    hand.cycle(T0)
    hand.answer(Phase.DRAINING, 3, 4, T0 + SECOND, ready=4)
    return hand


def test_a_request_takes_a_prepare_back() -> None:
    hand = prepared()
    assert hand.request(T0 + 2 * SECOND).command is not None
    assert (hand.state.prepare, hand.commands[-1].direction, hand.commands[-1].replicas) == (None, Direction.UP, 4)


@pytest.mark.parametrize("kind", list(PauseKind))
def test_a_pause_takes_a_prepare_back(kind: PauseKind) -> None:
    hand = prepared()
    hand.policy = replace(GUARDED, pause=Pause(kind))
    outcome = hand.cycle(T0 + 2 * SECOND)
    assert (outcome.action, outcome.reason.code) == (Action.HOLD, Code.PAUSED)
    assert (hand.state.prepare, hand.state.wake) == (None, None)
    assert (hand.commands[-1].direction, hand.commands[-1].replicas) == (Direction.UP, 4)
    assert hand.commands[-1].reason.fact("prepare") == "taken back"


def test_a_freeze_takes_a_prepare_back_once() -> None:
    hand = prepared()
    hand.around = replace(AROUND, frozen="maria")
    assert hand.cycle(T0 + 2 * SECOND).command is not None
    assert hand.cycle(T0 + 3 * SECOND).command is None


@pytest.mark.parametrize("mode", [Mode.WAKE_ONLY, Mode.OBSERVE])
def test_a_mode_that_withholds_sleeps_takes_a_prepare_back(mode: Mode) -> None:
    hand = prepared()
    hand.around = replace(AROUND, mode=mode)
    outcome = hand.cycle(T0 + 2 * SECOND)
    assert (outcome.action, outcome.withheld) == (Action.PREPARE, True)
    assert (hand.commands[-1].direction, hand.state.prepare) == (Direction.UP, None)
    assert hand.cycle(T0 + 3 * SECOND).command is None


def test_after_a_thaw_the_resolver_is_asked_anew() -> None:
    hand = prepared()
    hand.around = replace(AROUND, frozen="maria")
    hand.cycle(T0 + 2 * SECOND)
    hand.answer(Phase.RELEASED, 3, 4, T0 + 3 * SECOND, ready=4)
    hand.around = AROUND
    assert hand.cycle(T0 + 4 * SECOND).action is Action.PREPARE
    assert hand.commands[-1].direction is Direction.PREPARE


def test_another_hold_leaves_a_prepare_as_it_is() -> None:
    hand = prepared()
    assert hand.cycle(T0 + 2 * SECOND, blind(T0 + 2 * SECOND)).command is None
    assert hand.state.prepare is not None


def test_a_wake_that_was_only_answered_with_a_release_is_asked_again() -> None:
    hand = prepared()
    hand.request(T0 + 2 * SECOND)
    hand.answer(Phase.RELEASED, 3, 4, T0 + 3 * SECOND, ready=4)
    assert hand.state.wake is not None
    assert hand.retried(T0 + 7 * SECOND).command is not None
