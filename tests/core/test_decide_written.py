"""What a mode keeps back, what is written, and how a target is given back or adopted."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from consumer.core.decide import adopt, due_at, release, respond
from consumer.core.inputs import CycleCause, RecordCause, RequestSeen
from consumer.core.outcome import Action, derived_id
from consumer.core.policy import Pause, PauseKind, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Direction, Mode, Phase, TargetRef
from consumer.core.state import ServiceState
from tests.core.stage import (
    AROUND,
    ASLEEP,
    AWAKE,
    KEY,
    MINUTE,
    POLICY,
    REF,
    SECOND,
    T0,
    Hand,
    busy,
    idle,
    judged,
    result,
    seen,
)

GUARDED = replace(POLICY, zero_guard=ZeroGuard.RESOLVER)


@pytest.mark.parametrize(("mode", "sent"), [(Mode.FULL, True), (Mode.WAKE_ONLY, False), (Mode.OBSERVE, False)])
@pytest.mark.parametrize("policy", [POLICY, GUARDED])
def test_sleeps_are_carried_out_in_mode_full_only(policy: object, mode: Mode, sent: bool) -> None:
    assert policy in (POLICY, GUARDED)
    hand = Hand(policy=GUARDED if policy == GUARDED else POLICY, around=replace(AROUND, mode=mode))
    before = hand.state
    outcome = hand.cycle(T0)
    assert outcome.action is (Action.PREPARE if policy == GUARDED else Action.ZERO)
    assert (outcome.command is not None, outcome.withheld) == (sent, not sent)
    if not sent:
        assert hand.state == replace(before, said=hand.state.said)


@pytest.mark.parametrize(("mode", "sent"), [(Mode.FULL, True), (Mode.WAKE_ONLY, True), (Mode.OBSERVE, False)])
def test_wakes_are_withheld_in_mode_observe_only(mode: Mode, sent: bool) -> None:
    for cycle in (True, False):
        hand = Hand(state=ASLEEP, around=replace(AROUND, mode=mode))
        outcome = hand.cycle(T0, busy(T0)) if cycle else hand.request(T0)
        assert outcome.action is Action.UP
        assert (outcome.command is not None, outcome.withheld) == (sent, not sent)
        if not sent:
            assert (hand.state.seq, hand.state.ask, hand.state.wake) == (0, None, None)


def test_the_stricter_of_two_modes_wins() -> None:
    for of_service, around in ((Mode.OBSERVE, Mode.WAKE_ONLY), (Mode.WAKE_ONLY, Mode.OBSERVE)):
        hand = Hand(replace(POLICY, mode=of_service), ASLEEP, replace(AROUND, mode=around))
        assert hand.request(T0).withheld


def test_in_mode_observe_a_service_that_is_up_needs_no_wake() -> None:
    hand = Hand(around=replace(AROUND, mode=Mode.OBSERVE))
    assert not hand.request(T0).changed
    outcome = hand.cycle(T0 + SECOND, busy(T0 + SECOND))
    assert (outcome.reason.code, outcome.withheld) == (Code.BUSY, False)


def test_a_debt_from_before_mode_observe_is_kept_and_looked_at_again_later() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.around = replace(AROUND, mode=Mode.OBSERVE)
    early = hand.retried(T0 + SECOND)
    late = hand.retried(T0 + 5 * SECOND)
    assert (early.withheld, late.withheld, late.command) == (True, True, None)
    assert due_at(hand.state, POLICY) == T0 + 10 * SECOND
    hand.around = AROUND
    assert hand.retried(T0 + 10 * SECOND).command is not None


def test_a_debt_that_was_never_asked_for_ends_where_wakes_are_withheld() -> None:
    hand = Hand(policy=None, state=ServiceState(KEY, T0), around=replace(AROUND, mode=Mode.OBSERVE))
    hand.request(T0)
    assert hand.state.wake is not None
    hand.adopt_policy(POLICY, T0 + SECOND)
    outcome = hand.retried(T0 + SECOND)
    assert (outcome.reason.code, outcome.withheld, outcome.state.wake) == (Code.UNFINISHED, True, None)


def test_a_flip_of_the_mode_is_written() -> None:
    hand = Hand(around=replace(AROUND, mode=Mode.WAKE_ONLY))
    assert hand.cycle(T0).changed
    assert not hand.cycle(T0 + SECOND).changed
    hand.around = AROUND
    outcome = hand.cycle(T0 + 2 * SECOND)
    assert (outcome.changed, outcome.withheld, outcome.command is not None) == (True, False, True)


def test_a_decision_is_written_when_its_action_or_code_changes_and_counts_requests_anew() -> None:
    hand = Hand()
    hand.request(T0)
    hand.answer(Phase.UNCHANGED, 3, 1, T0, ready=1)
    first = hand.cycle(T0 + SECOND)
    assert (first.changed, hand.state.requests) == (True, 0)
    hand.request(T0 + 2 * SECOND)
    second = hand.cycle(T0 + 3 * SECOND)
    assert (second.changed, hand.state.requests, second.reason) == (False, 1, first.reason)
    assert hand.state.said is not None
    assert (hand.state.said.id, hand.state.said.at) == (first.decision_id, T0 + SECOND)


def test_traffic_for_a_service_that_is_up_writes_nothing() -> None:
    hand = Hand()
    hand.request(T0)
    hand.answer(Phase.UNCHANGED, 3, 1, T0, ready=1)
    hand.cycle(T0 + SECOND)
    for number in range(2, 50):
        assert not hand.request(T0 + number * SECOND).changed
        assert not hand.cycle(T0 + number * SECOND).changed


def test_every_command_has_its_decision() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    hand.retried(T0 + 5 * SECOND)
    again = hand.retried(T0 + 15 * SECOND)
    assert (again.changed, again.reason.code) == (True, Code.UNFINISHED)
    assert hand.state.said is not None
    assert hand.state.said.command_id == hand.commands[-1].id


def test_the_sequence_is_the_time_in_milliseconds_and_grows_even_when_time_does_not() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    milliseconds = int((T0 - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    assert hand.commands[-1].seq == milliseconds
    hand.answer(Phase.ACCEPTED, 5, 1, T0, ready=1)
    hand.result(seen(6, 0, T0, "kubectl"))
    hand.request(T0 - SECOND)
    assert hand.commands[-1].seq == milliseconds + 1


def test_ids_follow_from_the_cause() -> None:
    one = judged(AWAKE, T0)
    same = judged(AWAKE, T0)
    other = judged(AWAKE, T0, around=replace(AROUND, cause=CycleCause("producer-1/1", 1)))
    assert one.command is not None
    assert other.command is not None
    assert one == same
    assert one.decision_id == derived_id("decision", KEY, AROUND.cause) != one.command.id
    assert one.command.id != other.command.id


def test_a_deleted_policy_gives_its_target_back_whatever_freeze_and_pause_say() -> None:
    policy = replace(POLICY, pause=Pause(PauseKind.ALL), min_replicas=2)
    outcome = release(policy, ASLEEP, replace(AROUND, frozen="maria"), T0)
    assert (outcome.action, outcome.reason.code) == (Action.UP, Code.POLICY_DELETED)
    assert outcome.command is not None
    assert (outcome.command.direction, outcome.command.replicas, outcome.command.target) == (Direction.UP, 2, REF)


def test_a_changed_target_gives_the_old_one_back() -> None:
    elsewhere = replace(POLICY, target=TargetRef("apps/v1", "StatefulSet", "web"))
    outcome = release(elsewhere, ASLEEP, AROUND, T0, code=Code.TARGET_CHANGED)
    assert outcome.reason.code is Code.TARGET_CHANGED
    assert outcome.command is not None
    assert outcome.command.target == REF


def test_in_mode_observe_only_what_was_taken_is_given_back() -> None:
    around = replace(AROUND, mode=Mode.OBSERVE)
    assert release(POLICY, AWAKE, around, T0).command is None
    hand = Hand()
    hand.cycle(T0)
    assert release(POLICY, hand.state, around, T0).command is not None


def test_a_direct_wake_is_written_as_adopted() -> None:
    direct = replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True)
    hand = Hand(state=ASLEEP)
    hand.result(direct)
    outcome = adopt(POLICY, hand.state, direct, AROUND, T0 + MINUTE)
    assert (outcome.action, outcome.reason.code, outcome.command) == (Action.UP, Code.ADOPTED, None)
    assert outcome.changed
    assert outcome.reason.fact("woken") == "2026-03-01T12:00:00.000Z"


def test_a_direct_wake_that_is_lost_again_is_asked_for() -> None:
    hand = Hand(state=ASLEEP)
    hand.result(replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True))
    hand.result(seen(6, 0, T0 + SECOND, OWN_MANAGER))
    outcome = hand.retried(T0 + SECOND)
    assert (outcome.reason.code, outcome.reason.fact("trouble")) == (Code.UNFINISHED, "at zero")
    assert outcome.command is not None


def test_a_request_is_judged_by_the_time_it_came_in() -> None:
    request = RequestSeen(1, T0, RecordCause("requests", 0, 1))
    outcome = respond(POLICY, ASLEEP, request, replace(AROUND, cause=request.origin), T0)
    assert outcome.reason.facts == (
        ("count", 1),
        ("requested", "2026-03-01T12:00:00.000Z"),
        ("at", "requests/0@1"),
    )


def test_a_cycle_that_sees_a_wake_under_way_sends_nothing() -> None:
    hand = Hand(state=ASLEEP)
    hand.request(T0)
    outcome = hand.cycle(T0 + SECOND, idle(T0 + SECOND))
    assert (outcome.action, outcome.reason.code, outcome.command) == (Action.UP, Code.UNFINISHED, None)
