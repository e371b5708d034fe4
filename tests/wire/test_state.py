"""A state comes back from the log exactly as it went in, and foreign bytes never get past the door."""

from datetime import UTC, datetime
from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.service import ServiceKey
from consumer.core.state import ServiceState
from consumer.wire.state import state_from_bytes, state_to_bytes
from schemas.codec import Undecodable, decode
from schemas.state import ServiceState as Published
from tests.wire.core_values import values

STATES = cast("st.SearchStrategy[ServiceState]", values(ServiceState))
T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@given(STATES)
def test_a_state_comes_back_exactly(state: ServiceState) -> None:
    again = state_from_bytes(state_to_bytes(state, "default"))
    assert again == state
    assert repr(again) == repr(state)


@given(STATES)
def test_the_quick_writer_writes_what_the_published_message_writes(state: ServiceState) -> None:
    raw = state_to_bytes(state, "default")
    published = decode(Published, raw)
    assert isinstance(published, Published), published
    assert published.encode() == raw


def test_a_new_service_takes_little_room() -> None:
    raw = state_to_bytes(ServiceState(ServiceKey("shop", "web"), first_seen_at=T0), "default")
    assert orjson.loads(raw) == {
        "cluster": "default",
        "v": 1,
        "namespace": "shop",
        "service": "web",
        "firstSeenAt": "2026-01-31T09:30:00.000Z",
        "seq": 0,
        "hosts": [],
        "marks": [],
        "requests": 0,
        "sleeps": [],
    }


def test_what_a_newer_worker_added_is_ignored() -> None:
    raw = b'{"v":1,"namespace":"shop","service":"web","firstSeenAt":"2026-01-31T09:30:00.000Z","moodSwings":3}'
    assert state_from_bytes(raw) == ServiceState(ServiceKey("shop", "web"), first_seen_at=T0)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"", "not a state: Input is a zero-length"),
        (b"[]", "not a state: "),
        (b"{}", "not a state: 'v'"),
        (b'{"v":2}', "not a state: its format is 2, this version knows 1"),
        (b'{"v":1,"namespace":"shop","service":"web"}', "not a state: firstSeenAt: Field required"),
        (b'{"v":1,"namespace":"shop","service":"web","firstSeenAt":7}', "not a state: "),
        (b'{"v":1,"namespace":"shop","service":"web","firstSeenAt":"2026-01-31T09:30:00"}', "not a state: 2026"),
        (b'{"v":1,"namespace":"shop","service":"web","firstSeenAt":"2026-01-31T09:30:00Z","wake":{}}', "not a state: "),
        (b'{"v":1,"namespace":"shop","service":"web","firstSeenAt":"2026-01-31T09:30:00Z","ask":[1]}', "not a state: "),
    ],
)
def test_what_is_no_state_says_so(raw: bytes, cause: str) -> None:
    read = state_from_bytes(raw)
    assert isinstance(read, Undecodable)
    assert read.cause.startswith(cause)
    assert read.raw == raw


@given(STATES, st.data())
def test_a_damaged_record_never_raises(state: ServiceState, data: st.DataObject) -> None:
    json = orjson.loads(state_to_bytes(state, "default"))
    name = data.draw(st.sampled_from(sorted(json)))
    json[name] = data.draw(st.sampled_from([None, 3, "x", [], [1], {}, {"at": 1}, {"cause": 1, "reason": {}}, True]))
    assert isinstance(state_from_bytes(orjson.dumps(json)), (ServiceState, Undecodable))


SAID = {
    "id": "d1",
    "action": "hold",
    "reason": {"code": "asleep", "message": "asleep", "facts": {"by": "elasti"}},
    "at": "2026-01-31T09:30:00.000Z",
    "cause": {"cycle": "7:0#3"},
}


def with_said(**changes: object) -> bytes:
    state = {"v": 1, "namespace": "shop", "service": "web", "firstSeenAt": "2026-01-31T09:30:00.000Z"}
    return orjson.dumps({**state, "said": {**SAID, **changes}})


def test_what_was_said_last_is_read() -> None:
    assert isinstance(state_from_bytes(with_said()), ServiceState)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"at": "2026-01-31T09:30:00+02:00"}, "is not in UTC; write it with a Z"),
        ({"cause": {"cycle": "7:0"}}, "invalid literal for int"),
        ({"cause": {"topic": "t", "partition": "3", "offset": 1}}, "a cause is a topic, a partition and an offset"),
        ({"reason": {"code": "asleep", "facts": {"by": ["elasti"]}}}, "a reason's facts are texts, numbers and truths"),
        ({"reason": {"code": "unheard-of", "facts": {}}}, "'unheard-of' is not a valid Code"),
    ],
)
def test_what_was_said_wrongly_is_named(changes: dict[str, object], problem: str) -> None:
    read = state_from_bytes(with_said(**changes))
    assert isinstance(read, Undecodable)
    assert problem in read.cause
