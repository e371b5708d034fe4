"""A server that repeats what it was sent: its words go into decisions and logs, the secrets in them do not."""

import orjson
import pytest

from consumer.adapters.prometheus.reading import understood
from consumer.core.readings import Failure, Reading

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
