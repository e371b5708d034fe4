"""Whatever a server answers is a reading or a failure in our words, of bounded size, and judged all the same."""

import asyncio
import gzip
import json
import zlib
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.adapters.prometheus.configuration import interval_in
from consumer.adapters.prometheus.reading import understood
from consumer.core.answers import Answers, No, TriggerAnswers, Unknown, Yes
from consumer.core.inputs import CycleCause, PolicySeen, Surroundings
from consumer.core.observe import observe
from consumer.core.readings import Failure, Question, Reading, Source
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.state import ServiceState
from consumer.scalers.verdict import Measured, below, number, reached, with_constant
from consumer.wire.decision import decision_message
from consumer.wire.state import state_to_bytes
from schemas.topics import MAX_VALUE_BYTES
from tests.fuzz.poison import Shown, anything, changed, places
from tests.worker.bed import T0, WEB, policy

Json = Any
# Far below what a record may hold, wherever it is told.
DETAIL = 2_000
LARGEST = 200_000

_numbers = st.sampled_from(
    ("NaN", "+Inf", "-Inf", "1", "-0", "1e308", "1e309", "0x10", "1_0", " 1 ", "١", "", "inf", "nan", "x" * 50_000)
)
_labels = st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.just("l" * 50_000), max_size=3)
_series = st.fixed_dictionaries(
    {"metric": _labels, "value": st.tuples(st.integers(), _numbers | anything).map(list)}
) | st.fixed_dictionaries({"metric": _labels, "histogram": anything})


def _answer(result: Json, kind: str, warnings: Json) -> Json:
    return {"status": "success", "data": {"resultType": kind, "result": result}, "warnings": warnings}


_near = st.builds(
    _answer,
    st.lists(_series | anything, max_size=5) | st.tuples(st.integers(), _numbers).map(list) | anything,
    st.sampled_from(("vector", "scalar", "matrix", "string", "", "Vector")),
    st.none() | st.lists(st.text(max_size=5) | st.just("w" * 50_000), max_size=20) | anything,
)
_errors = st.fixed_dictionaries(
    {"status": st.just("error"), "errorType": anything, "error": anything | st.just("e" * 50_000)}
)
_written = st.one_of(_near, _near, _errors, anything).map(lambda content: json.dumps(content).encode())


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    content = _answer([{"metric": {"a": "b"}, "value": [1, "1"]}], "vector", None)
    place = draw(st.sampled_from(tuple(places(content))))
    return json.dumps(changed(content, place, draw(anything))).encode()


_large = st.sampled_from(
    (
        json.dumps(_answer([{"metric": {"n": str(n)}, "value": [1, "1"]} for n in range(5_000)], "vector", None)),
        json.dumps(_answer([], "vector", ["w" * 300] * 5_000)),
        "[" * 50_000,
        '{"status":' * 20_000,
    )
).map(str.encode)
bodies = st.one_of(_written, _written, _spoilt(), st.binary(max_size=50), _large).map(Shown)
statuses = st.sampled_from((200, 200, 200, 204, 301, 400, 401, 422, 429, 500, 503, 999))


def _two(label: str, warnings: Json = None) -> bytes:
    series = [{"metric": {"path": label * n}, "value": [1, "1"]} for n in (1, 2)]
    return Shown(json.dumps(_answer(series, "vector", warnings)).encode())


@given(bodies, statuses)
@example(_two("l" * 50_000), 200)
@example(_two("l", ["w" * 300] * 500), 200)
@example(Shown(json.dumps(_answer([1, "1_0"], "scalar", None)).encode()), 200)
def test_any_answer_is_judged_and_what_is_said_of_it_is_short(body: bytes, status: int) -> None:
    outcome = understood(status, bytes(body))
    for seen in (outcome, with_constant(outcome, 0.0)):
        value = number(seen, T0)
        if isinstance(value, Measured):
            assert abs(value.value) < float("inf")
            assert isinstance(outcome, Reading)
        else:
            assert len(value.detail) <= DETAIL
        _judged(value)


@given(bodies)
def test_a_configuration_says_how_often_it_evaluates_or_nothing(body: bytes) -> None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = {"data": {"yaml": body.decode(errors="replace")}}
    assert isinstance(interval_in(answer), timedelta | None)


def _judged(value: Measured | Unknown) -> None:
    """Nothing that follows from it is too large for a record, and nobody sleeps by what is not known."""
    healthy, to_zero, from_zero = reached(value, 1.0, T0), below(value, 1.0, T0), reached(value, 1.0, T0)
    assert isinstance(to_zero, Unknown) == isinstance(from_zero, Unknown) == isinstance(value, Unknown)
    assert isinstance(to_zero, Yes) == isinstance(from_zero, No)
    mine, around = policy(), Surroundings(CycleCause("owner", 1))
    state = observe(ServiceState(WEB, first_seen_at=T0 - timedelta(days=1)), PolicySeen(mine, T0), T0)
    answers = Answers((TriggerAnswers("prometheus#0", healthy, to_zero, from_zero),))
    judged = Judged(Occasion.CYCLE, mine, state, around, T0, answers)
    outcome = judge(judged)
    assert len(state_to_bytes(outcome.state, "default")) < MAX_VALUE_BYTES // 10
    assert len(decision_message(judged, outcome, "default").encode()) < MAX_VALUE_BYTES // 10


_HEADS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"h" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000 + b"\r\n",
    b"HTTP/9.9 abc\r\n\r\n",
    b"\x16\x03\x01 not HTTP\r\n\r\n",
    b"",
)
_packed = st.sampled_from(
    (gzip.compress(b"0" * 20_000_000), zlib.compress(b"0" * 20_000_000), gzip.compress(b"{}")[:-4])
)
_answers = st.builds(
    lambda head, body: Shown(head.replace(b"%d", str(len(body)).encode()) + body),
    st.sampled_from(_HEADS) | st.binary(max_size=40),
    bodies | _packed,
)


@asynccontextmanager
async def _serving(said: bytes) -> Any:  # noqa: ANN401 - a generator of an address
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@settings(max_examples=max(settings().max_examples // 2, 1))
@given(_answers)
def test_any_bytes_on_the_wire_are_a_reading_or_a_failure(said: bytes) -> None:
    outcome = asyncio.run(_asked(bytes(said)))
    assert isinstance(outcome, Reading) or len(outcome.detail) <= DETAIL


async def _asked(said: bytes) -> Reading | Failure:
    measurements = PrometheusMeasurements(largest=LARGEST)
    try:
        async with _serving(said) as url:
            # Generous: nothing of this waits for it, each answer is cut off at its end.
            return await measurements.ask(Question(Source(url), "up"), T0, timedelta(seconds=30))
    finally:
        await measurements.close()
