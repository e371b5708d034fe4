"""Poison for every topic: bytes that are nothing, messages that are nearly right, headers and keys of any kind."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from consumer.ports import Headers
from schemas.cloudevents import TRACEPARENT
from schemas.control import Control
from schemas.host import Host
from schemas.message import Message
from schemas.origin import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TIME, ORIGIN_TOPIC
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.service_status import ServiceStatus
from schemas.state import ServiceState
from schemas.topics import Topic

Json = dict[Any, Any]

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def _example(model: type[Message] | type[Host]) -> Json:
    extra: Any = model.model_config["json_schema_extra"]
    example: Json = extra["examples"][0]
    return example


_RESULT = _example(ScaleResult)
_DIRECT = {**_RESULT, "commandId": None, "cause": "direct"}
_OBSERVED = {**_RESULT, "commandId": None, "cause": "observed", "phase": "observed", "manager": "kubectl"}

GOOD: Mapping[Topic, tuple[Json, ...]] = {
    Topic.REQUEST_COUNTS: ({"count": 1, "svc": "web", "namespace": "shop"},),
    Topic.HOSTS: (_example(Host),),
    Topic.SCALE_RESULTS: (_RESULT, _DIRECT, _OBSERVED, {**_OBSERVED, "replicas": 0, "readyReplicas": 0}),
    Topic.SCALE_COMMANDS: (_example(ScaleCommand),),
    Topic.SERVICE_STATUS: (_example(ServiceStatus),),
    Topic.CONTROL: (_example(Control),),
    Topic.STATE: (_example(ServiceState),),
}
"""Messages of each topic that somebody reads, most of them as their own documentation has them."""

_TIMES = (
    "0001-01-01T00:00:00.000Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-01-31T12:00:00",
    "1e400",
)
_TEXTS = ("", " ", "*", "..", "web", "a" * 64, "\x00", "\x7f\x1b[2J", "ünïcödé", "\U0001f4a9" * 50, "9" * 5_000)
_LONG = "y" * 120_000
_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308)


class Shown(bytes):
    """Bytes that a failure shows the beginning of; `bytes` makes them what a parser takes."""

    def __repr__(self) -> str:
        return f"{bytes(self[:400])!r} ({len(self)} bytes)"


leaves: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_TIMES),
    st.sampled_from(_TEXTS),
    st.just(_LONG),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
)
"""A value that fits hardly anywhere."""

anything: SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON, and what Python writes beyond it."""


def kin(value: object) -> Sequence[Any]:
    """Values of the same kind that nobody expects; those of another kind are refused sooner."""
    match value:
        case bool():
            return (True, False)
        case int():
            return _NUMBERS
        case str() if value.endswith("Z") and value[:1] == "2":
            return _TIMES
        case str():
            return (*_TEXTS, _LONG)
        case _:
            return (None, _LONG, 0, [], {}, {"": None}, *_TIMES[:3])


def places(message: Json) -> Iterator[tuple[Any, ...]]:
    """Where in a message there is something."""
    for step, inner in message.items():
        yield (step,)
        if isinstance(inner, dict):
            yield from ((step, *below) for below in places(inner))
        elif isinstance(inner, list):
            yield from ((step, *below) for below in places(dict(enumerate(inner))))


def changed(message: Json, place: Sequence[Any], value: object) -> Json:
    """Return the message with another value there."""
    copy: Json = json.loads(json.dumps(message))
    at: Any = copy
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return copy


def each_spoilt(good: Json) -> Iterator[Json]:
    """Every message that differs from a good one in one place, by a value that is unexpected there."""
    for place in places(good):
        value: Any = good
        for step in place:
            value = value[step]
        for other in (*kin(value), None, "", -1, [], {}):
            yield changed(good, place, other)


@st.composite
def spoilt(draw: Callable[..., Any], good: Json) -> Json:
    """A message with a few of its values replaced, or one left out."""
    message = good
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(tuple(places(message))))
        value: Any = message
        for step in place:
            value = value[step]
        message = changed(message, place, draw(st.one_of(*[st.sampled_from(kin(value))] * 3, anything)))
    if not draw(st.integers(0, 9)) and len(message) > 1:
        gone = draw(st.sampled_from(sorted(message)))
        message = {name: value for name, value in message.items() if name != gone}
    return message


def _written(message: Json, spelling: str) -> bytes:
    text = json.dumps(message, ensure_ascii=spelling != "unicode")
    match spelling:
        case "twice":
            return (text[:-1] + ", " + text[1:]).encode()
        case "wrapped":
            return f"[{text}]".encode()
        case "two":
            return (text + text).encode()
        case "surrogate":
            return text.replace('": "', '": "\\ud800', 1).encode()
        case "shouted":
            return json.dumps({name.upper(): value for name, value in message.items()}).encode()
        case "marked":
            return b"\xef\xbb\xbf" + text.encode()
        case _:
            return text.encode(errors="surrogatepass")


_SPELLINGS = ("plain", "unicode", "twice", "wrapped", "two", "surrogate", "shouted", "marked")


@st.composite
def _torn(draw: Callable[..., Any], value: bytes) -> bytes:
    """A value with a piece of it cut out, or replaced by other bytes."""
    start = draw(st.integers(0, max(len(value), 1)))
    end = draw(st.integers(start, start + 4))
    piece: bytes = draw(st.binary(max_size=4))
    return value[:start] + piece + value[end:]


_NOTHING = (
    b"",
    b"\x00" * 100,
    b"null",
    b"NaN",
    b"-",
    b"{}",
    b"[]",
    b'"' * 1_000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 1_000 + b"]" * 1_000,
    b"1" * 100_000,
    b"1e999999999",
    b'{"count":' + b"9" * 5_000 + b',"svc":"web","namespace":"shop"}',
    b'{"count":1e2,"svc":"web","namespace":"shop"}',
    b'{"count":NaN,"svc":"web","namespace":"shop"}',
    b'{"count":Infinity,"svc":"web","namespace":"shop"}',
    b'{"svc":"we\xff","namespace":"shop"}',
    b"z" * 900_000,
)


def values(topic: Topic) -> SearchStrategy[bytes | None]:
    """What somebody may write to a topic."""
    good = st.sampled_from(GOOD[topic])
    spelled = st.builds(_written, good.flatmap(spoilt), st.sampled_from(_SPELLINGS))
    right = st.builds(_written, good, st.sampled_from(_SPELLINGS))
    return st.one_of(
        st.none(),
        st.binary(max_size=40),
        st.sampled_from(_NOTHING),
        spelled,
        right,
        right.flatmap(_torn),
        st.builds(lambda content: json.dumps(content).encode(), anything),
    )


_ORIGIN = st.tuples(
    st.sampled_from(("elasti.request-counts", "elasti.hosts", "elasti.scale-results", "", "x" * 300)),
    st.sampled_from(("0", "1", "7", "1023", "1024", "-1", "", "٣", "9" * 30, "1_0")),
    st.sampled_from(("0", "5", str(2**62), "9" * 19, "9" * 20, "-1", "1e3", "")),
    st.sampled_from(_TIMES),
).map(
    lambda place: tuple(
        (name, text.encode())
        for name, text in zip((ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_TIME), place, strict=True)
    )
)
_NAMES = (ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_TIME, TRACEPARENT, "content-type", "", "ce_id", "\x00")
_ANY = st.lists(st.tuples(st.sampled_from(_NAMES), st.binary(max_size=30)), max_size=4).map(tuple)

headers: SearchStrategy[Headers] = st.one_of(
    st.just(()), _ORIGIN, _ANY, st.builds(lambda few, more: few + more, _ORIGIN, _ANY)
)
"""What may stand around a record: origins that no forwarder of ours wrote, and bytes that are no text."""

keys: SearchStrategy[bytes | None] = st.one_of(
    st.none(), st.binary(max_size=20), st.sampled_from((b"shop/web", b"/clock", b"k" * 100_000))
)
"""The keys of records."""
