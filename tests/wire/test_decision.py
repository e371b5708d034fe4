"""A decision keeps everything it was made from, so that whoever reads the log can make it again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.inputs import CycleCause, PolicySeen, RecordCause, RequestSeen, Surroundings
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import Policy, Trigger
from consumer.core.reasons import Code, because
from consumer.core.replay import judge_again
from consumer.core.sentences import sentence
from consumer.core.service import ServiceKey, TargetRef
from consumer.core.state import ServiceState, TargetFacts, Wake
from consumer.wire.decision import Judged, Judgement, Logged, decision_message, judgement_of, logged_from
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
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


def through_the_log(judged: Judged, outcome: Outcome) -> Logged:
    read = decode(Decision, decision_message(judged, outcome, "default").encode())
    assert isinstance(read, Decision), read
    logged = logged_from(read)
    assert isinstance(logged, Logged), logged
    return logged


@given(JUDGED, OUTCOMES)
def test_a_judgement_comes_back_exactly(judged: Judged, outcome: Outcome) -> None:
    logged = through_the_log(judged, outcome)
    known = judged.policy is not None and judged.new_policy
    assert logged.judged == replace(judged, policy=judged.policy if known else None, new_policy=known)
    assert (logged.id, logged.action, logged.reason) == (outcome.decision_id, outcome.action, outcome.reason)
    assert (logged.after, logged.withheld, logged.cause) == (outcome.state, outcome.withheld, outcome.cause)
    assert logged.command_id == (outcome.command.id if outcome.command else None)


@given(JUDGED, OUTCOMES)
def test_the_same_judgement_gives_the_same_bytes(judged: Judged, outcome: Outcome) -> None:
    first, second = (decision_message(judged, outcome, "default").encode() for _ in range(2))
    assert first == second


def simple(**given: object) -> Decision:
    before = ServiceState(ServiceKey("shop", "web"), T0)
    judged = Judged(Judgement.CYCLE, before=before, surroundings=Surroundings(CycleCause("7:0", 3)), now=T0)
    outcome = Outcome(before, Action.HOLD, because(Code.CLOCK), CycleCause("7:0", 3))
    return decision_message(replace(judged, **given), outcome, "default")  # type: ignore[arg-type]


def test_a_decision_names_its_cause_in_one_form() -> None:
    decision = simple()
    assert decision.model_dump(mode="json", by_alias=True)["cause"] == {"cycle": "7:0#3"}
    assert decision.reason.message == sentence(because(Code.CLOCK))


def test_the_policy_is_logged_only_when_it_is_new() -> None:
    assert simple(policy=POLICY).inputs.policy is None
    assert simple(policy=POLICY).inputs.policy_hash == "h1"
    new = simple(policy=POLICY, new_policy=True).inputs.policy
    assert new is not None
    assert new.triggers[0].metadata == {"query": "up"}


def test_no_header_value_ever_reaches_the_log() -> None:
    for decision in (simple(policy=POLICY, new_policy=True), simple(event=PolicySeen(POLICY, T0))):
        assert b"Authorization" in decision.encode()
        assert b"s3cret" not in decision.encode()


def test_a_decision_that_is_too_large_is_cut_and_says_so() -> None:
    large = replace(POLICY, triggers=(Trigger("prometheus", (("query", "x" * MAX_VALUE_BYTES),)),))
    read = decode(Decision, simple(policy=large, new_policy=True).encode())
    assert isinstance(read, Decision)
    assert (read.cut, read.inputs.policy) == (True, None)
    assert read.after is not None
    assert isinstance(logged_from(read), Undecodable)


def test_cutting_goes_on_until_the_record_fits() -> None:
    large = replace(POLICY, triggers=(Trigger("prometheus", (("query", "x" * MAX_VALUE_BYTES),)),))
    read = decode(Decision, simple(event=PolicySeen(large, T0)).encode())
    assert isinstance(read, Decision)
    assert (read.cut, read.inputs.event) == (True, None)
    huge = ServiceState(ServiceKey("shop", "web"), T0, policy_uid="x" * MAX_VALUE_BYTES)
    encoded = simple(before=huge).encode()
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
NOON = T0 + timedelta(hours=1)
DEBT = Wake(T0, Code.REQUEST, HERE, T0, asked=1, asked_at=T0)


def as_if_logged(judged: Judged, code: Code) -> Logged:
    return Logged(judged, "d0", Action.HOLD, because(code), HERE, judged.before, command_id=None, withheld=False)


@pytest.mark.parametrize(
    ("judged", "code"),
    [
        (Judged(Judgement.CYCLE, AWAKE, Surroundings(HERE), T0, OLD, answers=QUIET), Code.IDLE),
        (Judged(Judgement.CYCLE, AWAKE, Surroundings(HERE), T0, OLD, answers=None), Code.BLIND),
        (Judged(Judgement.CYCLE, AWAKE, Surroundings(HERE), T0, None), Code.INVALID_POLICY),
        (Judged(Judgement.REQUEST, AWAKE, Surroundings(HERE), T0, OLD, RequestSeen(3, T0, HERE)), Code.REQUEST),
        (Judged(Judgement.RETRY, replace(AWAKE, wake=DEBT), Surroundings(HERE), NOON, OLD), Code.UNFINISHED),
        (Judged(Judgement.RELEASE, AWAKE, Surroundings(HERE), T0, OLD), Code.POLICY_DELETED),
    ],
    ids=lambda part: part.judgement if isinstance(part, Judged) else part,
)
def test_a_judgement_made_again_from_the_log_gives_the_same_bytes(judged: Judged, code: Code) -> None:
    first = judge_again(judgement_of(as_if_logged(judged, code), judged.policy))
    assert first.reason.code is code
    raw = decision_message(judged, first, "default").encode()
    read = decode(Decision, raw)
    assert isinstance(read, Decision)
    logged = logged_from(read)
    assert isinstance(logged, Logged)
    second = judge_again(judgement_of(logged, judged.policy))
    assert decision_message(replace(logged.judged, policy=judged.policy), second, "default").encode() == raw
