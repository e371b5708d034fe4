"""A request without the log that found its target up: a request like any other, though nothing was done for it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consumer.core.decide import adopt
from consumer.core.inputs import ResultSeen
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import Pause, PauseKind, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Direction, Phase
from tests.core.stage import AROUND, ASLEEP, COOLDOWN, MINUTE, POLICY, SECOND, T0, Hand, result, seen

GUARDED = replace(POLICY, zero_guard=ZeroGuard.RESOLVER)


def found_up(at: datetime, generation: int = 3, ready: int = 1) -> ResultSeen:
    """What the handler tells of such a request."""
    return replace(result(Phase.UNCHANGED, generation, 1, at, ready=ready), direct=True, triggered_at=at)


def told(hand: Hand, fact: ResultSeen, now: datetime) -> Outcome:
    """The worker reads it: it is folded, then judged."""
    fact = replace(fact, origin=hand.origin("results"))
    hand.fold(fact, now)
    around = replace(hand.around, cause=fact.origin)
    return hand.taken(adopt(hand.policy, hand.state, fact, around, now))


def test_it_counts_as_traffic_from_its_own_time_on() -> None:
    hand = Hand()
    told(hand, found_up(T0), T0 + 11 * MINUTE)
    assert (hand.state.last_request_at, hand.state.last_wake_at) == (T0, None)
    assert hand.cycle(T0 + COOLDOWN - SECOND).reason.code is Code.RECENT_TRAFFIC
    assert hand.cycle(T0 + COOLDOWN).reason.code is Code.IDLE


def test_an_older_one_does_not_turn_the_time_back_and_none_lies_in_the_future() -> None:
    hand = Hand()
    hand.request(T0)
    told(hand, found_up(T0 - MINUTE), T0)
    assert hand.state.last_request_at == T0
    told(hand, found_up(T0 + MINUTE), T0 + SECOND)
    assert hand.state.last_request_at == T0 + SECOND


def test_one_of_an_older_generation_says_nothing_of_the_target_but_that_it_was_asked_for() -> None:
    hand = Hand()
    hand.result(seen(9, 2, T0, "kubectl"))
    before = hand.state.target
    told(hand, found_up(T0 + SECOND, generation=8), T0 + 2 * SECOND)
    assert (hand.state.target, hand.state.last_request_at) == (before, T0 + SECOND)


def test_it_asks_once_for_a_service_that_nothing_was_asked_of() -> None:
    hand = Hand()
    outcome = told(hand, found_up(T0), T0 + SECOND)
    assert (outcome.action, outcome.reason.code, outcome.changed) == (Action.UP, Code.REQUEST, True)
    assert outcome.reason.fact("at") == "results/0@1"
    again = told(hand, found_up(T0 + 2 * SECOND), T0 + 3 * SECOND)
    assert (again.command, again.changed) == (None, False)
    assert [command.direction for command in hand.commands] == [Direction.UP]


def test_the_request_itself_read_later_asks_for_nothing_more() -> None:
    hand = Hand()
    told(hand, found_up(T0), T0 + SECOND)
    assert hand.request(T0 + 2 * SECOND, at=T0).command is None


def test_it_overtakes_a_zero_that_was_decided_before_it_and_is_not_done() -> None:
    hand = Hand()
    assert hand.cycle(T0).command is not None
    outcome = told(hand, found_up(T0 + SECOND), T0 + MINUTE)
    assert outcome.command is not None
    zero, up = hand.commands
    assert (zero.direction, up.direction, up.seq > zero.seq) == (Direction.ZERO, Direction.UP, True)


def test_a_zero_that_lands_after_all_is_undone() -> None:
    hand = Hand()
    hand.cycle(T0)
    told(hand, found_up(T0 + SECOND), T0 + MINUTE)
    hand.answer(Phase.UNCHANGED, 3, 1, T0 + MINUTE, ready=1)
    hand.result(seen(4, 0, T0 + 2 * MINUTE, OWN_MANAGER))
    assert hand.retried(T0 + 2 * MINUTE).reason.code is Code.UNFINISHED


def test_a_zero_that_landed_before_it_was_read_is_undone_at_once() -> None:
    hand = Hand()
    hand.cycle(T0)
    hand.answer(Phase.ACCEPTED, 4, 0, T0 + 2 * SECOND)
    outcome = told(hand, found_up(T0 + SECOND), T0 + MINUTE)
    assert outcome.command is not None
    assert outcome.command.direction is Direction.UP


def test_it_takes_a_prepare_back() -> None:
    hand = Hand(policy=GUARDED)
    assert hand.cycle(T0).action is Action.PREPARE
    told(hand, found_up(T0 + SECOND), T0 + 2 * SECOND)
    assert hand.state.prepare is None
    assert hand.commands[-1].reason.fact("prepare") == "taken back"


@pytest.mark.parametrize(("age", "asked"), [(10 * MINUTE, True), (10 * MINUTE + SECOND, False)])
def test_one_that_is_older_than_a_request_may_be_asks_for_nothing_and_says_nothing(age: timedelta, asked: bool) -> None:
    hand = Hand()
    outcome = told(hand, found_up(T0), T0 + age)
    assert (outcome.command is not None, outcome.changed) == (asked, asked)
    assert hand.state.last_request_at == T0


def test_with_an_unsure_clock_nobody_knows_how_old_it_is_so_it_counts_as_fresh() -> None:
    hand = Hand(around=replace(AROUND, clock_sure=False))
    assert told(hand, found_up(T0), T0 + 20 * MINUTE).command is not None


def test_of_a_service_that_is_paused_since_nothing_is_asked() -> None:
    hand = Hand(policy=replace(POLICY, pause=Pause(PauseKind.ALL, None)))
    assert told(hand, found_up(T0), T0 + SECOND).command is None


def test_a_target_that_a_dead_handler_of_ours_brought_up_was_woken() -> None:
    hand = Hand(state=ASLEEP)
    fact = replace(found_up(T0, generation=5), manager=OWN_MANAGER)
    told(hand, fact, T0 + 11 * MINUTE)
    assert (hand.state.wake, hand.state.last_wake_at, hand.state.ready_at) == (None, T0, T0)


def test_a_woken_one_counts_as_traffic_too() -> None:
    hand = Hand(state=ASLEEP)
    fact = replace(result(Phase.ACCEPTED, 5, 1, T0 + SECOND), direct=True, triggered_at=T0)
    outcome = told(hand, fact, T0 + MINUTE)
    assert (outcome.reason.code, hand.state.last_request_at) == (Code.ADOPTED, T0)


@pytest.mark.parametrize("ready", [1, 0], ids=["ready by then", "still starting"])
def test_the_wake_before_it_that_the_log_gets_after_it_is_paid_if_a_replica_was_ready_by_then(ready: int) -> None:
    # 12:00 a direct wake, 12:05 another request finds it up; the log gets the second one first.
    woken = replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True, triggered_at=T0, manager=OWN_MANAGER)
    hand, read = Hand(state=ASLEEP), T0 + 30 * MINUTE
    told(hand, found_up(T0 + 5 * MINUTE, generation=5, ready=ready), read)
    told(hand, woken, read)
    assert (hand.state.wake is None) is bool(ready)
    assert hand.state.target is not None
    assert hand.state.target.ready == ready


def test_a_direct_wake_that_is_told_twice_is_owed_once() -> None:
    woken = replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True, triggered_at=T0, manager=OWN_MANAGER)
    hand = Hand(state=ASLEEP)
    told(hand, woken, T0)
    assert hand.state.wake is not None
    hand.result(result(Phase.READY, 5, 1, T0 + SECOND, ready=1))
    told(hand, woken, T0 + 2 * SECOND)
    assert hand.state.wake is None
