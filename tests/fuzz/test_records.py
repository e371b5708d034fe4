"""Each record that anybody writes is used, forwarded or told about exactly once, and what is kept of it is bounded."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.asks import due_at
from consumer.core.control import Controls
from consumer.core.inputs import CycleCause, Event, PolicySeen, RequestSeen, ResultSeen, Surroundings
from consumer.core.observe import observe
from consumer.core.outcome import Outcome
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.service import Mode
from consumer.core.state import ServiceState
from consumer.core.window import Window
from consumer.ports import Headers, Record
from consumer.wire.commands import command_of
from consumer.wire.controls import switched
from consumer.wire.decision import decision_message
from consumer.wire.messages import command_message, status_message
from consumer.wire.state import state_from_bytes, state_to_bytes
from consumer.worker.intake import Place, read, request_seen
from consumer.worker.outputs import Outputs, forward
from consumer.worker.settings import INPUTS, Input, WorkerSettings
from schemas.cloudevents import trace_of
from schemas.codec import MAX_CAUSE, Undecodable, decode
from schemas.scale_command import ScaleCommand
from schemas.service_status import ServiceStatus
from schemas.topics import MAX_MESSAGE_BYTES, MAX_VALUE_BYTES, Topic
from tests.fuzz.poison import FIRST, GOOD, LAST, each_spoilt, headers, keys, values
from tests.worker.bed import T0, WEB, policy

MINE = policy()
# A state is written at each change, several in a transaction: this is far from what a record may hold.
STATE_BYTES = 100_000
OUTPUTS = Outputs(WorkerSettings(), 0, "owner")
moments = st.sampled_from((T0, T0 - timedelta(hours=1), T0 + timedelta(seconds=5), FIRST, LAST))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Topic, list[Record]]:
    """Records of one topic's partition, in the order of the log."""
    topic = draw(st.sampled_from(INPUTS))
    name = topic.under("elasti.")
    parts = draw(st.lists(st.tuples(keys, values(topic), moments, headers), min_size=1, max_size=6))
    return topic, [
        Record(name, 0, offset, key, value, at, around) for offset, (key, value, at, around) in enumerate(parts)
    ]


@given(batches(), st.sampled_from((Place(0, 1), Place(0, 2), Place(0, 1_000))))
def test_each_record_is_used_or_forwarded_or_told_about_once(found: tuple[Topic, list[Record]], place: Place) -> None:
    topic, records = found
    batch = read(Input(topic), records, place, "default")
    requests = [record.offset for of_one in batch.requests.values() for record, _ in of_one]
    aside = [stray.record.offset for stray in batch.strays] + [poison.record.offset for poison in batch.poisons]
    assert len({*requests, *aside}) == len(requests) + len(aside) == len(records) - len(batch.facts)
    assert all(poison.cause for poison in batch.poisons)
    for output in (*map(OUTPUTS.dead_letter, batch.poisons), *map(forward, batch.strays)):
        around = sum(len(name) + len(value) for name, value in output.headers)
        assert len(output.key or b"") + len(output.value or b"") + around < MAX_MESSAGE_BYTES


@pytest.mark.parametrize("topic", INPUTS)
def test_no_single_odd_value_of_an_input_harms_what_is_kept_or_written(topic: Topic) -> None:
    for good in GOOD[topic]:
        for value in each_spoilt(good):
            record = Record(topic.under("elasti."), 0, 7, b"shop/web", json.dumps(value).encode(), T0)
            try:
                _believed(_known(), topic, [record], idle=True)
            except Exception as error:
                raise AssertionError(f"{value!r:.1500}") from error


@given(st.lists(batches(), min_size=1, max_size=3), st.booleans())
def test_whatever_is_believed_can_be_judged_and_written_and_read_again(
    found: Sequence[tuple[Topic, list[Record]]], idle: bool
) -> None:
    state = _known()
    for topic, records in found:
        state = _believed(state, topic, records, idle=idle)


def _known() -> ServiceState:
    new = ServiceState(WEB, first_seen_at=T0 - timedelta(days=1))
    return replace(observe(new, PolicySeen(MINE, T0), T0), window=Window(timedelta(minutes=5), since=T0))


def _believed(state: ServiceState, topic: Topic, records: Sequence[Record], *, idle: bool) -> ServiceState:
    batch = read(Input(topic), records, Place(0, 1), "default")
    requests = [request_seen(*request) for of_one in batch.requests.values() for request in of_one]
    for event in (*(fact for _, fact in batch.facts), *requests):
        state = _judged(observe(state, event, T0), event, _answers(idle=idle))
    return state


def _answers(*, idle: bool) -> Answers:
    evidence = Evidence(0.0 if idle else 9.0, 1.0)
    yes, no = Yes(evidence, T0), No(evidence, T0)
    return Answers((TriggerAnswers("prometheus#0", yes, *((yes, no) if idle else (no, yes))),))


def _judged(state: ServiceState, event: Event, answers: Answers) -> ServiceState:
    """Judge as a worker might after this event, and write all that comes of it."""
    seen = event if isinstance(event, RequestSeen | ResultSeen) else None
    for occasion in Occasion:
        if occasion is Occasion.REQUEST and not isinstance(event, RequestSeen):
            continue
        if occasion is Occasion.ADOPTION and not isinstance(event, ResultSeen):
            continue
        around = Surroundings(CycleCause("owner", 1) if seen is None else seen.origin)
        judged = Judged(occasion, MINE, state, around, T0, answers, seen)
        outcome = judge(judged)
        _written(judged, outcome)
        due_at(outcome.state, MINE)
        state = outcome.state if occasion is not Occasion.RELEASE else state
    return state


def _written(judged: Judged, outcome: Outcome) -> None:
    written = state_to_bytes(outcome.state, "default")
    assert len(written) < STATE_BYTES
    assert state_from_bytes(written) == outcome.state
    assert len(decision_message(judged, outcome, "default", policy_is_new=True).encode()) <= MAX_VALUE_BYTES
    if outcome.command is not None:
        assert len(command_message(outcome.command, "default").encode()) <= MAX_VALUE_BYTES
    status = status_message(outcome.state, MINE, MINE.mode, "default")
    assert status is None or len(status.encode()) <= MAX_VALUE_BYTES


@pytest.mark.parametrize(
    "topic", [Topic.SCALE_COMMANDS, Topic.CONTROL, Topic.SERVICE_STATUS, Topic.STATE], ids=lambda topic: topic.value
)
def test_no_single_odd_value_of_our_own_messages_is_more_than_unreadable(topic: Topic) -> None:
    for good in GOOD[topic]:
        for value in each_spoilt(good):
            try:
                CHECKS[topic](json.dumps(value).encode())
            except Exception as error:
                raise AssertionError(f"{value!r:.1500}") from error


@given(values(Topic.SCALE_COMMANDS), headers)
def test_a_command_is_one_or_says_what_is_wrong_with_it(value: bytes | None, around: Headers) -> None:
    _command(value, around)


@given(st.lists(st.tuples(keys, values(Topic.CONTROL)), max_size=4))
def test_a_switch_is_one_or_says_what_is_wrong_with_it(written: Sequence[tuple[bytes | None, bytes | None]]) -> None:
    book = Controls()
    for key, value in written:
        book = _switch(value, key, book)


@given(values(Topic.SERVICE_STATUS))
def test_a_status_is_one_or_says_what_is_wrong_with_it(value: bytes | None) -> None:
    _status(value)


@given(values(Topic.STATE).filter(lambda value: value is not None))
def test_a_state_is_one_or_says_what_is_wrong_with_it(value: bytes) -> None:
    _state(value)


def _command(value: bytes | None, around: Headers = ()) -> None:
    command = command_of(value, "default", trace_of(around))
    if isinstance(command, Undecodable):
        assert command.cause
    else:
        assert isinstance(decode(ScaleCommand, command_message(command, "default").encode()), ScaleCommand)


def _switch(value: bytes | None, key: bytes | None = None, book: Controls | None = None) -> Controls:
    before = book or Controls()
    after = switched(before, Record("elasti.control", 0, 0, key, value, T0))
    if isinstance(after, Undecodable):
        assert after.cause
        return before
    # Who froze what is told in every decision and state that follows from it.
    assert len((after.frozen(WEB, T0) or "").encode()) < STATE_BYTES // 10
    assert after.mode(WEB, T0) in Mode
    return after


def _status(value: bytes | None) -> None:
    status = decode(ServiceStatus, value)
    assert isinstance(status, ServiceStatus) or 0 < len(status.cause) <= MAX_CAUSE


def _state(value: bytes | None) -> None:
    state = state_from_bytes(value or b"")
    if isinstance(state, Undecodable):
        assert 0 < len(state.cause) <= MAX_CAUSE
    else:
        assert state_from_bytes(state_to_bytes(state, "default")) == state


CHECKS: Mapping[Topic, Callable[[bytes], object]] = {
    Topic.SCALE_COMMANDS: _command,
    Topic.CONTROL: _switch,
    Topic.SERVICE_STATUS: _status,
    Topic.STATE: _state,
}
