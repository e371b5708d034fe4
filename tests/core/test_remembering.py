"""What a state keeps of its policy wakes and gives back exactly as the policy itself would."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.asks import due_at
from consumer.core.decide import release, respond, retry
from consumer.core.inputs import PolicySeen, RecordCause, RequestSeen
from consumer.core.observe import observe
from consumer.core.policy import Pause, PauseKind, Policy, WakeReplicas
from consumer.core.remembering import remembered
from consumer.core.service import Autoscaler, Mode
from consumer.core.state import ServiceState
from tests.core.stage import AROUND, AWAKE, KEY, MINUTE, POLICY, T0

POLICIES = st.builds(
    replace,
    st.just(POLICY),
    min_replicas=st.integers(0, 5),
    wake_replicas=st.sampled_from(WakeReplicas),
    start_timeout=st.sampled_from([MINUTE, 60 * MINUTE]),
    mode=st.sampled_from(Mode),
    pause=st.none() | st.builds(Pause, st.sampled_from(PauseKind), st.sampled_from([None, T0, T0 + MINUTE])),
    autoscaler=st.none() | st.just(Autoscaler("keda", "web")),
)
TARGETS = st.none() | st.builds(replace, st.just(AWAKE.target), replicas=st.integers(0, 3))
STATES = st.builds(replace, st.just(AWAKE), target=TARGETS, before_sleep=st.sampled_from([None, 7]))


@given(POLICIES, STATES, st.integers(0, 4_000))
def test_a_remembered_policy_wakes_and_gives_back_as_the_policy_does(
    policy: Policy, before: ServiceState, seconds: int
) -> None:
    state = observe(replace(before, ask=None, wake=None), PolicySeen(policy, T0), T0)
    known = remembered(state)
    assert known is not None
    request = RequestSeen(1, T0, RecordCause("requests", 0, 9))
    asked = respond(known, state, request, AROUND, T0)
    assert asked == respond(policy, state, request, AROUND, T0)
    later = T0 + timedelta(seconds=seconds)
    assert due_at(asked.state, known) == due_at(asked.state, policy)
    assert retry(known, asked.state, AROUND, later) == retry(policy, asked.state, AROUND, later)
    assert release(known, asked.state, AROUND, later) == release(policy, asked.state, AROUND, later)


def test_a_state_that_never_had_a_policy_remembers_none() -> None:
    assert remembered(ServiceState(KEY, T0)) is None


def test_a_state_of_an_older_version_remembers_its_target_and_wakes_it() -> None:
    state = replace(observe(AWAKE, PolicySeen(POLICY, T0), T0), waking=None)
    known = remembered(state)
    assert known is not None
    assert (known.target, known.uid, known.min_replicas, known.mode) == (POLICY.target, POLICY.uid, 1, Mode.FULL)
