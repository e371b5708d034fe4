"""What holds for every state, policy, answer and surroundings that can be."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.core.answers import Answer, Answers, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.decide import decide, respond, retry
from consumer.core.inputs import RecordCause, RequestSeen, Surroundings
from consumer.core.observe import observe
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, WakeReplicas, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.schedule import EnabledPeriod, parse_schedule
from consumer.core.service import Direction, Mode, Phase, ServiceKey
from consumer.core.state import Ask, HostFacts, Prepare, ServiceState, Sleep, TargetFacts, Wake
from tests.core.stage import AROUND, AWAKE, LOUD, POLICY, QUIET, T0, idle

# Around and on both sides of every boundary: 5 s, 30 s, a minute, ten and fifteen minutes, half an hour, a day.
AGES = st.sampled_from([0, 1, 5, 29, 30, 59, 60, 61, 600, 601, 899, 900, 901, 1799, 1800, 86_399, 86_400, 90_000])
past = AGES.map(lambda seconds: T0 - timedelta(seconds=seconds))
maybe_past = st.none() | past
cause = st.builds(RecordCause, st.just("requests"), st.just(0), st.integers(0, 9))

answered = st.builds(Yes, st.just(QUIET), past) | st.builds(No, st.just(LOUD), past)
fresh = st.sampled_from([Yes(QUIET, T0), No(LOUD, T0)])
unknown = st.builds(Unknown, st.sampled_from(UnknownCause), past)
answer: st.SearchStrategy[Answer] = st.one_of(fresh, answered, unknown)
triggers = st.lists(st.builds(TriggerAnswers, st.just(""), answer, answer, answer), min_size=1, max_size=3).map(
    lambda found: tuple(replace(each, name=f"prometheus#{place}") for place, each in enumerate(found))
)

asks = st.builds(
    Ask,
    st.just("c"),
    st.integers(1, 9),
    st.sampled_from(Direction),
    st.integers(0, 3),
    past,
    st.integers(1, 9),
    st.none() | st.sampled_from(Phase),
    maybe_past,
    st.none() | st.integers(1, 5),
)
wakes = st.builds(
    Wake,
    past,
    st.sampled_from([Code.REQUEST, Code.BUSY, Code.NO_POLICY]),
    cause,
    past,
    st.none(),
    st.integers(0, 9),
    maybe_past,
    maybe_past,
    st.none() | st.integers(1, 5),
    st.none() | st.just("quota"),
)
targets = st.builds(TargetFacts, st.just("u"), st.integers(1, 5), st.integers(0, 3), st.integers(0, 3), past)
prepares = st.builds(Prepare, st.just("c"), past, st.booleans())
states = st.builds(
    ServiceState,
    st.just(POLICY.key),
    past,
    seq=st.integers(0, 9),
    target_ref=st.just(POLICY.target),
    target=st.none() | targets,
    before_sleep=st.none() | st.integers(0, 3),
    ask=st.none() | asks,
    wake=st.none() | wakes,
    prepare=st.none() | prepares,
    hosts=st.lists(st.builds(HostFacts, st.sampled_from("ab"), st.booleans(), past), max_size=2).map(tuple),
    last_request_at=maybe_past,
    last_wake_at=maybe_past,
    ready_at=maybe_past,
    foreign_up_at=maybe_past,
    sleeps=st.lists(st.builds(Sleep, past, maybe_past, st.none() | st.just("argocd")), max_size=3).map(tuple),
    contested_since=maybe_past,
)
NIGHTS = EnabledPeriod(parse_schedule("0 22 * * *"), timedelta(hours=8))
DAYS = EnabledPeriod(parse_schedule("0 8 * * *"), timedelta(hours=10))
pauses = st.builds(Pause, st.sampled_from(PauseKind), st.sampled_from([None, T0, T0 + timedelta(seconds=1)]))
policies = st.builds(
    replace,
    st.just(POLICY),
    created_at=past,
    min_replicas=st.integers(0, 3),
    wake_replicas=st.sampled_from(WakeReplicas),
    period=st.sampled_from([None, InvalidPeriod("six fields"), NIGHTS, DAYS]),
    pause=st.none() | pauses,
    mode=st.sampled_from(Mode),
    zero_guard=st.sampled_from(ZeroGuard),
)
surroundings = st.builds(
    Surroundings,
    cause,
    mode=st.sampled_from(Mode),
    frozen=st.none() | st.just("maria"),
    clock_sure=st.booleans(),
    inputs_read=st.booleans(),
    conflict=st.none() | st.just(ServiceKey("shop", "old")),
    budget_left=st.integers(0, 1),
)
Case = tuple[Policy, ServiceState, tuple[TriggerAnswers, ...], Surroundings]
OF_POLICY = {
    "created_at": past,
    "period": st.sampled_from([InvalidPeriod("six fields"), NIGHTS, DAYS]),
    "pause": pauses,
    "mode": st.sampled_from(Mode),
}
OF_STATE = {
    "target": targets,
    "ask": asks,
    "wake": wakes,
    "prepare": prepares,
    **dict.fromkeys(("first_seen_at", "last_request_at", "last_wake_at", "ready_at", "foreign_up_at"), past),
    "contested_since": past,
}
OF_AROUND = {
    "mode": st.sampled_from(Mode),
    "frozen": st.just("maria"),
    "clock_sure": st.just(False),
    "inputs_read": st.just(False),
    "conflict": st.just(ServiceKey("shop", "old")),
    "budget_left": st.just(0),
}
OF_ANSWER = dict.fromkeys(("healthy", "to_zero", "from_zero"), answer)
Value = TypeVar("Value", Policy, ServiceState, Surroundings, TriggerAnswers)


def _but_for(draw: st.DrawFn, good: Value, fields: Mapping[str, st.SearchStrategy[Any]]) -> Value:
    """What is good but for one field."""
    name = draw(st.sampled_from(sorted(fields)))
    return replace(good, **{name: draw(fields[name])})


@st.composite
def nearly_asleep(draw: st.DrawFn) -> Case:
    """A service that goes to sleep but for one thing or two: drawn freely, hardly one in thousands would."""
    policy, state, around = replace(POLICY, zero_guard=draw(st.sampled_from(ZeroGuard))), AWAKE, AROUND
    found = [idle(T0, f"prometheus#{place}") for place in range(draw(st.integers(1, 3)))]
    for what in draw(st.lists(st.sampled_from(("policy", "state", "answer", "around")), max_size=2)):
        match what:
            case "policy":
                policy = _but_for(draw, policy, OF_POLICY)
            case "state":
                state = _but_for(draw, state, OF_STATE)
            case "answer":
                place = draw(st.integers(0, len(found) - 1))
                found[place] = _but_for(draw, found[place], OF_ANSWER)
            case _:
                around = _but_for(draw, around, OF_AROUND)
    return policy, state, tuple(found), around


cases = nearly_asleep() | nearly_asleep() | st.tuples(policies, states, triggers, surroundings)


def cycle(policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings) -> Outcome:
    policy = replace(policy, triggers=POLICY.triggers * len(found))
    return decide(policy, state, Answers(found), around, T0)


@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_triggers_does_not_matter(case: Case, dice: Random) -> None:
    policy, state, found, around = case
    shuffled = list(found)
    dice.shuffle(shuffled)
    assert cycle(policy, state, tuple(shuffled), around) == cycle(policy, state, found, around)


def _against_a_sleep(policy: Policy, state: ServiceState, around: Surroundings) -> dict[str, bool]:
    """Every condition of the design that a sleep must not meet, but for the answers, each by itself."""
    pause, ask = policy.pause, state.ask
    warm = (state.first_seen_at, state.last_wake_at, state.ready_at, state.foreign_up_at, state.last_request_at)
    under_way = ask is not None and ask.direction is Direction.ZERO and ask.answer in (None, Phase.FAILED)
    contested = state.contested_since
    return {
        "paused": pause is not None and (pause.until is None or pause.until > T0),
        "frozen": around.frozen is not None,
        "conflict": around.conflict is not None,
        "no period": isinstance(policy.period, InvalidPeriod) or policy.period is NIGHTS,
        "owed": state.wake is not None and state.wake.code is not Code.NO_POLICY,
        "newborn": T0 - policy.created_at < policy.cooldown,
        "unsure": not around.clock_sure,
        "behind": not around.inputs_read,
        "warm": any(at is not None and T0 - at < policy.cooldown for at in warm),
        "contested": contested is not None and T0 - contested < timedelta(hours=24),
        "budget": around.budget_left <= 0 and not under_way,
        "unseen or asleep": state.target is None or not state.target.replicas,
    }


@settings(max_examples=10 * settings().max_examples)
@given(cases)
def test_nothing_sleeps_unless_every_condition_is_true(case: Case) -> None:
    policy, state, found, around = case
    outcome = cycle(policy, state, found, around)
    if outcome.action not in (Action.ZERO, Action.PREPARE):
        return
    every = [one for each in found for one in each.each()]
    assert not any(isinstance(one, Unknown) for one in every)
    assert all(isinstance(each.healthy, Yes) and isinstance(each.to_zero, Yes) for each in found)
    assert not any(isinstance(each.from_zero, Yes) for each in found)
    assert all(T0 - one.at <= around.stale_after for one in every)
    assert [what for what, holds in _against_a_sleep(policy, state, around).items() if holds] == []


@given(cases)
def test_a_wake_that_is_owed_is_never_put_to_sleep(case: Case) -> None:
    policy, state, found, around = case
    outcome = cycle(policy, state, found, around)
    expired = state.wake is not None and state.wake.code is Code.NO_POLICY and outcome.state.wake is None
    if state.wake is not None and not expired:
        assert outcome.action not in (Action.ZERO, Action.PREPARE)


@given(policies | st.none(), states, surroundings, AGES)
def test_a_fresh_request_ends_in_a_wake_or_a_wake_owed_or_is_withheld_by_the_mode(
    policy: Policy | None, state: ServiceState, around: Surroundings, age: int
) -> None:
    request = RequestSeen(1, T0 - timedelta(seconds=age), RecordCause("requests", 0, 10))
    around = replace(around, cause=request.origin)
    state = observe(state, request, T0)
    outcome = respond(policy, state, request, around, T0)
    if around.clock_sure and age > around.max_request_age.total_seconds():
        assert outcome.command is None or outcome.reason.code is Code.PAUSED
        return
    up = state.target is not None and state.target.replicas > 0
    owed = outcome.state.wake is not None
    assert owed or outcome.withheld or (up and outcome.command is None) or _is_asked(state)


def _is_asked(state: ServiceState) -> bool:
    """An up was asked for and taken, and nothing later shows the target at zero."""
    taken = state.ask is not None and state.ask.answer in (Phase.ACCEPTED, Phase.UNCHANGED)
    return taken and state.ask is not None and state.ask.direction is Direction.UP


@given(cases)
def test_a_command_fits_what_is_known_and_grows_in_sequence(case: Case) -> None:
    policy, state, found, around = case
    outcome = cycle(policy, state, found, around)
    command = outcome.command
    if command is None:
        assert outcome.state.seq == state.seq
        assert outcome.state.ask == state.ask
        return
    assert command.seq > state.seq
    assert outcome.changed
    present = state.target.replicas if state.target is not None else 0
    match command.direction:
        case Direction.UP:
            assert command.replicas >= max(1, present)
        case Direction.ZERO:
            assert command.replicas == 0
            assert present > 0
            assert command.expect is not None
        case Direction.PREPARE:
            assert present > 0


@given(cases)
def test_what_a_mode_withholds_leaves_no_trace_but_the_decision(case: Case) -> None:
    policy, state, found, around = case
    outcome = cycle(policy, state, found, around)
    if outcome.withheld and outcome.command is None:
        after = outcome.state
        assert (after.seq, after.ask, after.prepare) == (state.seq, state.ask, state.prepare)
        assert after.wake is None or state.wake is not None


@given(cases | st.tuples(st.none(), states, triggers, surroundings))
def test_a_decision_that_was_written_is_not_written_again(
    case: tuple[Policy | None, ServiceState, tuple[TriggerAnswers, ...], Surroundings],
) -> None:
    policy, state, found, around = case
    policy = policy and replace(policy, triggers=POLICY.triggers * len(found))
    first = decide(policy, state, Answers(found), around, T0)
    again = decide(policy, first.state, Answers(found), around, T0)
    if again.reason.code is first.reason.code and again.withheld == first.withheld and again.action == first.action:
        assert not again.changed
        assert again.state == first.state
    assert not (again.command and first.command and again.command.direction is first.command.direction)


@given(cases | st.tuples(st.none(), states, triggers, surroundings))
def test_the_same_inputs_give_the_same_outcome_also_in_a_replay(
    case: tuple[Policy | None, ServiceState, tuple[TriggerAnswers, ...], Surroundings],
) -> None:
    policy, state, found, around = case
    judged = Judged(Occasion.CYCLE, policy, state, around, T0, Answers(found))
    assert judge(judged) == decide(policy, state, Answers(found), around, T0)
    again = Judged(Occasion.RETRY, policy, state, around, T0)
    assert judge(again) == retry(policy, state, around, T0)


@pytest.mark.parametrize("action", Action)
def test_the_cases_reach_every_action_often(action: Action) -> None:
    """Guards the properties above against never looking at what they speak of."""
    reached = 0

    @given(cases)
    def look(case: Case) -> None:
        nonlocal reached
        reached += cycle(*case).action is action

    look()
    assert reached >= 5
