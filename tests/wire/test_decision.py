"""A decision keeps everything it was made from, so that whoever reads the log can make it again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.inputs import CycleCause, RecordCause, RequestSeen, ResultSeen, Surroundings
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import Policy, Trigger
from consumer.core.reasons import Code, because
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.sentences import sentence
from consumer.core.service import Phase, ServiceKey, TargetRef
from consumer.core.state import ServiceState, TargetFacts, Wake
from consumer.wire.decision import Logged, decision_message, logged_from
from consumer.wire.shapes import json_of
from schemas.codec import Undecodable, decode
from schemas.decision import Decision, Judgement
from schemas.parts import CycleCause as WireCycle
from schemas.topics import MAX_VALUE_BYTES
from tests.wire.core_values import values

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
JUDGED = cast("st.SearchStrategy[Judged]", values(Judged))
OUTCOMES = cast("st.SearchStrategy[Outcome]", values(Outcome))
POLICY = Policy(
    key=ServiceKey("shop", "web"),
    name="web",
    uid="u1",
    hash="h1",
    created_at=T0,
    target=TargetRef("apps/v1", "Deployment", "web"),
    triggers=(Trigger("prometheus", (("query", "up"),), (("Authorization", "Bearer s3cret"),)),),
)


def through_the_log(judged: Judged, outcome: Outcome, *, policy_is_new: bool) -> Logged:
    message = decision_message(judged, outcome, "default", policy_is_new=policy_is_new)
    read = decode(Decision, message.encode())
    assert isinstance(read, Decision), read
    logged = logged_from(read)
    assert isinstance(logged, Logged), logged
    return logged


@given(JUDGED, OUTCOMES, st.booleans())
def test_a_judgement_comes_back_exactly(judged: Judged, outcome: Outcome, policy_is_new: bool) -> None:
    logged = through_the_log(judged, outcome, policy_is_new=policy_is_new)
    policy = judged.policy if policy_is_new else None
    # Why a release took place is the reason of what came of it.
    assert logged.judged == replace(judged, policy=policy, code=outcome.reason.code)
    assert (logged.id, logged.action, logged.reason) == (outcome.decision_id, outcome.action, outcome.reason)
    assert (logged.after, logged.withheld, logged.cause) == (outcome.state, outcome.withheld, outcome.cause)
    assert logged.command_id == (outcome.command.id if outcome.command else None)


@given(JUDGED, OUTCOMES)
def test_the_same_judgement_gives_the_same_bytes(judged: Judged, outcome: Outcome) -> None:
    first, second = (decision_message(judged, outcome, "default").encode() for _ in range(2))
    assert first == second


def simple(*, policy_is_new: bool = False, **given: object) -> Decision:
    state = ServiceState(ServiceKey("shop", "web"), T0)
    judged = Judged(Occasion.CYCLE, None, state, Surroundings(CycleCause("7:0", 3)), T0)
    outcome = Outcome(state, Action.HOLD, because(Code.CLOCK), CycleCause("7:0", 3))
    judged = replace(judged, **given)  # type: ignore[arg-type]
    return decision_message(judged, outcome, "default", policy_is_new=policy_is_new)


def test_a_decision_names_its_cause_in_one_form() -> None:
    decision = simple()
    assert decision.model_dump(mode="json", by_alias=True)["cause"] == {"cycle": "7:0#3"}
    assert decision.reason.message == sentence(because(Code.CLOCK))


def test_the_policy_is_logged_only_when_it_is_new() -> None:
    assert simple(policy=POLICY).inputs.policy is None
    assert simple(policy=POLICY).inputs.policy_hash == "h1"
    new = simple(policy=POLICY, policy_is_new=True).inputs.policy
    assert new is not None
    assert new.triggers[0].metadata == {"query": "up"}


def test_no_header_value_ever_reaches_the_log() -> None:
    encoded = simple(policy=POLICY, policy_is_new=True).encode()
    assert b"Authorization" in encoded
    assert b"s3cret" not in encoded


def test_a_decision_that_is_too_large_is_cut_and_says_so() -> None:
    large = replace(POLICY, triggers=(Trigger("prometheus", (("query", "x" * MAX_VALUE_BYTES),)),))
    read = decode(Decision, simple(policy=large, policy_is_new=True).encode())
    assert isinstance(read, Decision)
    assert (read.cut, read.inputs.policy) == (True, None)
    assert read.after is not None
    assert isinstance(logged_from(read), Undecodable)


def test_cutting_goes_on_until_the_record_fits() -> None:
    large = RequestSeen(1, T0, HERE, trace="x" * MAX_VALUE_BYTES)
    read = decode(Decision, simple(event=large).encode())
    assert isinstance(read, Decision)
    assert (read.cut, read.inputs.event) == (True, None)
    huge = ServiceState(ServiceKey("shop", "web"), T0, policy_uid="x" * MAX_VALUE_BYTES)
    encoded = simple(state=huge).encode()
    read = decode(Decision, encoded)
    assert isinstance(read, Decision)
    assert (read.cut, read.before, read.after) == (True, None, None)
    assert len(encoded) <= MAX_VALUE_BYTES


def test_a_decision_of_an_event_that_is_not_known_here_can_not_be_repeated() -> None:
    event = RequestSeen(1, T0, RecordCause("elasti.request-counts", 3, 1042))
    decision = simple(event=event)
    assert isinstance(logged_from(decision), Logged)
    odd = decision.model_copy(update={"reason": decision.reason.model_copy(update={"code": "unheard-of"})})
    assert isinstance(logged_from(odd), Undecodable)
    stray = decision.model_copy(update={"cause": WireCycle(cycle="7:0")})
    assert isinstance(logged_from(stray), Undecodable)


LOW = Evidence(0.1, threshold=0.5)
QUIET = Answers((TriggerAnswers("prometheus#0", healthy=Yes(LOW, T0), to_zero=Yes(LOW, T0), from_zero=No(LOW, T0)),))
AWAKE = ServiceState(
    ServiceKey("shop", "web"), T0 - timedelta(days=1), target=TargetFacts("u", 4, replicas=2, ready=2, at=T0)
)
OLD = replace(POLICY, created_at=T0 - timedelta(days=1))
HERE = RecordCause("elasti.request-counts", 3, 1042)
DIRECT = ResultSeen(Phase.ACCEPTED, None, POLICY.target, "u", 5, replicas=1, ready=0, at=T0, origin=HERE, direct=True)
NOON = T0 + timedelta(hours=1)
DEBT = Wake(T0, Code.REQUEST, HERE, T0, asked=1, asked_at=T0)


@pytest.mark.parametrize(
    ("judged", "code"),
    [
        (Judged(Occasion.CYCLE, OLD, AWAKE, Surroundings(HERE), T0, QUIET), Code.IDLE),
        (Judged(Occasion.CYCLE, OLD, AWAKE, Surroundings(HERE), T0), Code.BLIND),
        (Judged(Occasion.CYCLE, None, AWAKE, Surroundings(HERE), T0), Code.INVALID_POLICY),
        (Judged(Occasion.REQUEST, OLD, AWAKE, Surroundings(HERE), T0, event=RequestSeen(3, T0, HERE)), Code.REQUEST),
        (Judged(Occasion.RETRY, OLD, replace(AWAKE, wake=DEBT), Surroundings(HERE), NOON), Code.UNFINISHED),
        (Judged(Occasion.ADOPTION, OLD, AWAKE, Surroundings(HERE), T0, event=DIRECT), Code.ADOPTED),
        (Judged(Occasion.RELEASE, OLD, AWAKE, Surroundings(HERE), T0), Code.POLICY_DELETED),
        (Judged(Occasion.RELEASE, OLD, AWAKE, Surroundings(HERE), T0, code=Code.TARGET_CHANGED), Code.TARGET_CHANGED),
    ],
    ids=lambda part: part.occasion if isinstance(part, Judged) else part,
)
def test_a_judgement_made_again_from_the_log_gives_the_same_bytes(judged: Judged, code: Code) -> None:
    first = judge(judged)
    assert first.reason.code is code
    raw = decision_message(judged, first, "default").encode()
    read = decode(Decision, raw)
    assert isinstance(read, Decision)
    logged = logged_from(read)
    assert isinstance(logged, Logged)
    again = replace(logged.judged, policy=judged.policy)
    assert decision_message(again, judge(again), "default").encode() == raw


def test_the_log_and_the_core_have_the_same_words_for_what_made_the_worker_judge() -> None:
    assert {each.value for each in Judgement} == {each.value for each in Occasion}


def test_who_we_are_to_a_server_is_in_no_record() -> None:
    trigger = Trigger(
        "prometheus", (("query", 'up{a="b@c"}'), ("serveraddress", "https://user:s3cret@prometheus:9090"))
    )
    spelled = json_of(trigger)
    assert spelled["metadata"] == {"query": 'up{a="b@c"}', "serveraddress": "https://********@prometheus:9090"}
