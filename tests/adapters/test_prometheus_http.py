"""Everything that a server can do wrong is told in our words, and no header's value with it."""

import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape, Source
from tests.adapters.prometheus_faults import EMPTY, FaultServer, serving

T0 = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
LIMIT = timedelta(seconds=10)
HIDDEN = "Bearer not-to-be-seen"


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving() as running:
        yield running


@pytest.fixture
async def measurements() -> AsyncIterator[PrometheusMeasurements]:
    made = PrometheusMeasurements(largest=100_000)
    yield made
    await made.close()


@pytest.fixture
def served(server: FaultServer, measurements: PrometheusMeasurements) -> tuple[FaultServer, PrometheusMeasurements]:
    return server, measurements


def question(url: str) -> Question:
    return Question(Source(url, (("Authorization", HIDDEN),)), "sum(load) # é + &")


async def test_a_query_is_posted_with_its_time_its_limit_and_its_headers(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert outcome == Reading(Shape.VECTOR, (Series((), "4.5"),))
    assert server.forms == [{"query": "sum(load) # é + &", "time": "1767614400.250", "timeout": "10000ms"}]
    assert server.headers[0]["Authorization"] == HIDDEN


async def test_one_connection_serves_many_questions(server: FaultServer, measurements: PrometheusMeasurements) -> None:
    for _ in range(5):
        await measurements.ask(question(server.url), T0, LIMIT)
    assert len(server.clients) == 1


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "1:4: parse error"}, ("http-error", Blame.QUERY)),
        (422, {"status": "error", "errorType": "execution", "error": "many-to-many"}, ("http-error", Blame.QUERY)),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, ("timeout", Blame.QUERY)),
        (500, {"status": "error", "errorType": "internal", "error": "no"}, ("http-error", Blame.QUERY)),
        (200, {"status": "error", "errorType": "execution", "error": "odd"}, ("not-success", Blame.QUERY)),
        (200, {"status": "success"}, ("not-success", Blame.EITHER)),
        (200, {}, ("not-success", Blame.EITHER)),
        (200, {"status": "success", "data": {"resultType": "new", "result": 1}}, ("not-success", Blame.QUERY)),
        (200, {"status": "success", "data": {"resultType": "vector", "result": 1}}, ("not-success", Blame.QUERY)),
        (401, {"status": "error", "error": "no token"}, ("http-error", Blame.SERVER)),
        (404, "no such page", ("http-error", Blame.SERVER)),
        (429, "slow down", ("http-error", Blame.SERVER)),
        (413, "too large", ("http-error", Blame.QUERY)),
        (502, "bad gateway", ("http-error", Blame.EITHER)),
        (307, "elsewhere", ("http-error", Blame.SERVER)),
    ],
)
async def test_an_answer_that_is_no_success_is_a_failure_with_its_cause(
    served: tuple[FaultServer, PrometheusMeasurements],
    status: int,
    body: object,
    told: tuple[str, Blame],
) -> None:
    server, measurements = served
    server.say(body, status)
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause.value, outcome.blame) == told


async def test_words_that_are_no_json_are_no_success(server: FaultServer, measurements: PrometheusMeasurements) -> None:
    server.send(b"<html>\xff")
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert outcome.cause is UnknownCause.NOT_SUCCESS


async def test_an_answer_without_end_is_cut_off(server: FaultServer, measurements: PrometheusMeasurements) -> None:
    server.send(b"x" * 200_000)
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.blame) == (UnknownCause.HTTP_ERROR, Blame.QUERY)
    assert "larger" in outcome.detail


async def test_a_histogram_and_a_strange_element_have_no_number(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    elements = [{"metric": {"a": "b"}, "histogram": [1, {"count": "3"}]}, "strange"]
    server.say({"status": "success", "data": {"resultType": "vector", "result": elements}})
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert outcome == Reading(Shape.VECTOR, (Series((("a", "b"),), None), Series((), None)))


@pytest.mark.parametrize(
    ("warnings", "partial"),
    [
        (["remote read: timeout"], ("remote read: timeout",)),
        (["PromQL warning: quantile value should be between 0 and 1"], ()),
        ("no list", ()),
    ],
)
async def test_only_warnings_about_missing_data_make_a_reading_partial(
    server: FaultServer, measurements: PrometheusMeasurements, warnings: object, partial: tuple[str, ...]
) -> None:
    server.say(EMPTY | {"warnings": warnings})
    assert await measurements.ask(question(server.url), T0, LIMIT) == Reading(Shape.VECTOR, (), partial)


async def test_a_server_that_hangs_is_given_up_after_the_limit(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    server.hang()
    outcome = await measurements.ask(question(server.url), T0, timedelta(milliseconds=50))
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.blame) == (UnknownCause.TIMEOUT, Blame.EITHER)


async def test_a_pooled_connection_that_was_closed_is_replaced_once(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    async def break_first(request: web.Request) -> web.StreamResponse:
        if len(server.forms) == 1 and request.transport is not None:
            request.transport.close()
        return web.json_response(EMPTY)

    server.behaviour = break_first
    assert await measurements.ask(question(server.url), T0, LIMIT) == Reading(Shape.VECTOR, ())
    assert len(server.forms) == 2


async def test_a_server_that_breaks_off_each_time_is_unreachable(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    server.behaviour = break_off
    outcome = await measurements.ask(question(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.blame) == (UnknownCause.UNREACHABLE, Blame.EITHER)


async def test_a_port_where_nobody_listens_is_unreachable(measurements: PrometheusMeasurements) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        outcome = await measurements.ask(question(f"http://127.0.0.1:{held.getsockname()[1]}"), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.blame) == (UnknownCause.UNREACHABLE, Blame.SERVER)


@pytest.mark.parametrize("url", ["http://", "no scheme", "http://[::1", "ftp://host"])
async def test_what_is_no_address_is_unreachable(measurements: PrometheusMeasurements, url: str) -> None:
    outcome = await measurements.ask(question(url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert outcome.cause is UnknownCause.UNREACHABLE


async def test_no_message_shows_a_headers_value(server: FaultServer, measurements: PrometheusMeasurements) -> None:
    shown = [repr(question(server.url)), str(question(server.url).source)]
    for behave in (server.hang, lambda: server.say({"error": "x"}, 500), lambda: server.send(b"?", 401)):
        behave()
        shown.append(repr(await measurements.ask(question(server.url), T0, timedelta(milliseconds=50))))
    bad = Question(Source(server.url, (("Authorization", HIDDEN + "\n"),)), "1")
    shown.append(repr(await measurements.ask(bad, T0, LIMIT)))
    assert not [text for text in shown if "not-to-be-seen" in text]
