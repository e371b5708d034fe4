"""A server that repeats what it was sent: its words go into decisions and logs, the secrets in them do not."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from aiohttp import encode_basic_auth

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.adapters.prometheus.reading import understood
from consumer.core.readings import Failure, Question, Reading, Source
from tests.adapters.prometheus_faults import serving

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
LIMIT = timedelta(seconds=10)

SENT = ("Bearer canary-token", "canary-header", "abc")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "who is Bearer canary-token?"}),
        (401, {"status": "error", "error": "canary-token of canary-header is too old"}),
        (200, {"status": "error", "errorType": "timeout", "error": "canary-header waited"}),
        (422, {"error": "x" * 290 + "canary-token"}),
    ],
)
def test_an_error_is_told_without_what_the_server_was_sent(status: int, body: object) -> None:
    failure = understood(status, orjson.dumps(body), SENT)
    assert isinstance(failure, Failure)
    assert "canary" not in failure.detail
    assert "********" in failure.detail


def test_a_warning_is_told_without_what_the_server_was_sent() -> None:
    result = {"resultType": "vector", "result": []}
    body = {"status": "success", "data": result, "warnings": ["store refused canary-token", "PromQL warning: no"]}
    reading = understood(200, orjson.dumps(body), SENT)
    assert isinstance(reading, Reading)
    assert reading.partial == ("store refused ********",)


def test_words_as_short_as_no_secret_stay() -> None:
    failure = understood(400, b'{"error": "parse error at abc"}', SENT)
    assert isinstance(failure, Failure)
    assert failure.detail == "HTTP 400: parse error at abc"


async def test_an_address_is_told_without_its_password_and_so_is_the_header_that_it_becomes() -> None:
    async with serving() as server:
        address = server.url.replace("://", "://user:canary-word@")
        repeated = encode_basic_auth("user", "canary-word")
        server.say({"status": "error", "error": f"who is {repeated}, canary-word?"}, 400)
        measurements = PrometheusMeasurements()
        question = Question(Source(address), "up")
        refused = await measurements.ask(question, T0, LIMIT)
        await measurements.close()
    assert isinstance(refused, Failure)
    assert refused.detail == "HTTP 400: who is ********, ********?"
    assert server.headers[0]["Authorization"] == repeated


async def test_an_address_that_can_not_be_reached_is_told_without_its_password() -> None:
    measurements = PrometheusMeasurements()
    failure = await measurements.ask(Question(Source("http://user:canary-word@127.0.0.1:9"), "up"), T0, LIMIT)
    await measurements.close()
    assert isinstance(failure, Failure)
    assert failure.detail.startswith("http://********@127.0.0.1:9 can not be reached")
