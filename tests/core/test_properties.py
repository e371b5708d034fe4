"""What holds for every state, policy, answer and surroundings that can be."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.answers import Answer, Answers, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.decide import decide, respond, retry
from consumer.core.inputs import RecordCause, RequestSeen, Surroundings
from consumer.core.observe import observe
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, WakeReplicas, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.service import Direction, Mode, Phase, ServiceKey
from consumer.core.state import Ask, HostFacts, Prepare, ServiceState, Sleep, TargetFacts, Wake
from tests.core.stage import AROUND, AWAKE, LOUD, POLICY, QUIET, T0

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
states = st.builds(
    ServiceState,
    st.just(POLICY.key),
    past,
    seq=st.integers(0, 9),
    target_ref=st.just(POLICY.target),
    target=st.none()
    | st.builds(TargetFacts, st.just("u"), st.integers(1, 5), st.integers(0, 3), st.integers(0, 3), past),
    before_sleep=st.none() | st.integers(0, 3),
    ask=st.none() | asks,
    wake=st.none() | wakes,
    prepare=st.none() | st.builds(Prepare, st.just("c"), past, st.booleans()),
    hosts=st.lists(st.builds(HostFacts, st.sampled_from("ab"), st.booleans(), past), max_size=2).map(tuple),
    last_request_at=maybe_past,
    last_wake_at=maybe_past,
    ready_at=maybe_past,
    foreign_up_at=maybe_past,
    sleeps=st.lists(st.builds(Sleep, past, maybe_past, st.none() | st.just("argocd")), max_size=3).map(tuple),
    contested_since=maybe_past,
)
policies = st.builds(
    replace,
    st.just(POLICY),
    created_at=past,
    min_replicas=st.integers(0, 3),
    wake_replicas=st.sampled_from(WakeReplicas),
    period=st.none() | st.just(InvalidPeriod("six fields")),
    pause=st.none()
    | st.builds(Pause, st.sampled_from(PauseKind), st.sampled_from([None, T0, T0 + timedelta(seconds=1)])),
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
calm = st.builds(Surroundings, cause, mode=st.sampled_from(Mode), clock_sure=st.booleans(), inputs_read=st.booleans())


def cycle(policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings) -> Outcome:
    policy = replace(policy, triggers=POLICY.triggers * len(found))
    return decide(policy, state, Answers(found), around, T0)


@given(policies, states, triggers, surroundings, st.randoms(use_true_random=False))
def test_the_order_of_triggers_does_not_matter(
    policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings, dice: Random
) -> None:
    shuffled = list(found)
    dice.shuffle(shuffled)
    assert cycle(policy, state, tuple(shuffled), around) == cycle(policy, state, found, around)


@given(st.just(POLICY) | policies, st.just(AWAKE) | states, triggers, calm | surroundings)
def test_nothing_sleeps_while_anything_is_unknown_unhealthy_old_or_unsure(
    policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
    outcome = cycle(policy, state, found, around)
    if outcome.action not in (Action.ZERO, Action.PREPARE):
        return
    every = [one for each in found for one in each.each()]
    assert not any(isinstance(one, Unknown) for one in every)
    assert all(isinstance(each.healthy, Yes) and isinstance(each.to_zero, Yes) for each in found)
    assert all(T0 - one.at <= around.stale_after for one in every)
    assert around.clock_sure
    assert around.inputs_read
    assert state.target is not None


@given(policies, states, triggers, surroundings)
def test_a_wake_that_is_owed_is_never_put_to_sleep(
    policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
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


@given(policies, states, triggers, surroundings)
def test_a_command_fits_what_is_known_and_grows_in_sequence(
    policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
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


@given(policies, states, triggers, surroundings)
def test_what_a_mode_withholds_leaves_no_trace_but_the_decision(
    policy: Policy, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
    outcome = cycle(policy, state, found, around)
    if outcome.withheld and outcome.command is None:
        after = outcome.state
        assert (after.seq, after.ask, after.prepare) == (state.seq, state.ask, state.prepare)
        assert after.wake is None or state.wake is not None


@given(policies | st.none(), states, triggers, surroundings)
def test_a_decision_that_was_written_is_not_written_again(
    policy: Policy | None, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
    policy = policy and replace(policy, triggers=POLICY.triggers * len(found))
    first = decide(policy, state, Answers(found), around, T0)
    again = decide(policy, first.state, Answers(found), around, T0)
    if again.reason.code is first.reason.code and again.withheld == first.withheld and again.action == first.action:
        assert not again.changed
        assert again.state == first.state
    assert not (again.command and first.command and again.command.direction is first.command.direction)


@given(policies | st.none(), states, triggers, surroundings)
def test_the_same_inputs_give_the_same_outcome_also_in_a_replay(
    policy: Policy | None, state: ServiceState, found: tuple[TriggerAnswers, ...], around: Surroundings
) -> None:
    judged = Judged(Occasion.CYCLE, policy, state, around, T0, Answers(found))
    assert judge(judged) == decide(policy, state, Answers(found), around, T0)
    again = Judged(Occasion.RETRY, policy, state, around, T0)
    assert judge(again) == retry(policy, state, around, T0)


def test_the_strategies_reach_a_sleep() -> None:
    """Guards the properties above against never looking at what they speak of."""
    idle = TriggerAnswers("prometheus#0", Yes(QUIET, T0), Yes(QUIET, T0), No(QUIET, T0))
    assert cycle(POLICY, AWAKE, (idle,), AROUND).action is Action.ZERO
