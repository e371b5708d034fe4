"""What an HTTP answer of Prometheus' query API means: a reading, or a failure in our words."""

from collections.abc import Collection
from typing import Final

import orjson

from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Reading, Series, Shape

_OK: Final = 200
_SHOWN: Final = 300
_HIDDEN: Final = "********"
_WORTH_HIDING: Final = 4
"""Characters; what is shorter is no secret, and would have to be hidden everywhere."""
_REDIRECTS: Final = range(300, 400)
_SERVER_ERROR: Final = 500

_SERVERS_OWN: Final = frozenset({401, 403, 404, 405, 407, 429})
"""Refusals that every query of that source would get."""


def understood(status: int, body: bytes, sent: Collection[str] = ()) -> Reading | Failure:
    """Say what an HTTP answer of Prometheus' query API means.

    `sent` are the values of the headers that it was asked with: servers and proxies repeat them in their errors, and
    what they say goes into decisions and logs.
    """
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    match answer:
        case {"status": "success", "data": {"resultType": str(kind), "result": result}, **more} if status == _OK:
            return _reading(kind, result, _partial(more.get("warnings"), sent))
        case {"errorType": "timeout", "error": str(error)}:
            return Failure(UnknownCause.TIMEOUT, Blame.QUERY, _told(error, sent))
        case {"error": str(error)}:
            cause = UnknownCause.NOT_SUCCESS if status == _OK else UnknownCause.HTTP_ERROR
            return Failure(cause, _blame(status, told=True), f"HTTP {status}: {_told(error, sent)}")
        case _ if status == _OK:
            return Failure(UnknownCause.NOT_SUCCESS, Blame.EITHER, "HTTP 200 without a result")
        case _:
            return Failure(UnknownCause.HTTP_ERROR, _blame(status, told=False), f"HTTP {status}")


def _blame(status: int, *, told: bool) -> Blame:
    if status in _SERVERS_OWN or status in _REDIRECTS:
        return Blame.SERVER
    # Without Prometheus' own words a 5xx is a proxy's, and says nothing about the query.
    return Blame.QUERY if told or status < _SERVER_ERROR else Blame.EITHER


def _reading(kind: str, result: object, warnings: tuple[str, ...]) -> Reading | Failure:
    match kind, result:
        case "vector", list(elements):
            series = tuple(_series(element) for element in elements)
            return Reading(Shape.VECTOR, series, warnings)
        case "scalar", [_, str(value)]:
            return Reading(Shape.SCALAR, (Series((), value),), warnings)
        case (("matrix" | "string"), _):
            return Reading(Shape.OTHER, (), warnings)
        case _:
            return Failure(UnknownCause.NOT_SUCCESS, Blame.QUERY, f"a result of an unknown kind: {kind[:40]}")


def _series(element: object) -> Series:
    match element:
        case {"metric": dict(labels), "value": [_, str(value)]}:
            return Series(_labels(labels), value)
        case {"metric": dict(labels)}:
            return Series(_labels(labels), None)
        case _:
            return Series((), None)


def _labels(labels: dict[object, object]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in labels.items())


def _partial(warnings: object, sent: Collection[str]) -> tuple[str, ...]:
    """Warnings of the language ("PromQL warning: …") speak of the query's text; all others of missing data."""
    if not isinstance(warnings, list):
        return ()
    return tuple(_told(str(text), sent) for text in warnings if not str(text).startswith("PromQL "))


def _told(text: str, sent: Collection[str]) -> str:
    """Return a server's words without what we sent it; hidden before it is cut, or half of a value would be left."""
    # Of "Bearer abc" a server may repeat the second word alone.
    parts = {part for value in sent for part in (value, value.rpartition(" ")[2]) if len(part) >= _WORTH_HIDING}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, _HIDDEN)
    return text[:_SHOWN]
