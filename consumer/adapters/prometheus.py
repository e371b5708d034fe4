"""Prometheus over HTTP: one POST a question, pooled connections, every failure told in our words."""

import asyncio
import math
from datetime import datetime, timedelta
from typing import Final

import aiohttp
import orjson

from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape

_LARGEST: Final = 32 * 1024 * 1024
"""Bytes of an answer; a query that gives more gives too many series anyway."""
# Longer than the 30 s between two sweeps, so that the next one finds the connections open.
_KEPT_OPEN: Final = 75.0
_CONNECTIONS: Final = 32
_OK: Final = 200
_SHOWN: Final = 300
_REDIRECTS: Final = range(300, 400)
_SERVER_ERROR: Final = 500

_SERVERS_OWN: Final = frozenset({401, 403, 404, 405, 407, 429})
"""Refusals that every query of that source would get."""


class PrometheusMeasurements:
    """Implements `Measurements` for every server that speaks Prometheus' HTTP API."""

    def __init__(self, *, largest: int = _LARGEST) -> None:
        self._largest = largest
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        """Evaluate the query at that time, within `limit`; never raises for what a server does or says."""
        server = question.source.server
        try:
            return await self._posted(question, at, limit)
        except TimeoutError:
            seconds = limit.total_seconds()
            return Failure(UnknownCause.TIMEOUT, Blame.EITHER, f"{server} did not answer within {seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return Failure(UnknownCause.UNREACHABLE, Blame.SERVER, f"{server} can not be reached: {_why(error)}")
        except aiohttp.InvalidURL:
            return Failure(UnknownCause.UNREACHABLE, Blame.SERVER, f"{server} is not an address")
        except ValueError:
            return Failure(
                UnknownCause.UNREACHABLE, Blame.SERVER, f"a header for {server} holds a line break; remove it"
            )
        except (aiohttp.ClientError, OSError) as error:
            # Only the kind of the error: its text may hold what was sent, headers included.
            return Failure(UnknownCause.UNREACHABLE, Blame.EITHER, f"{server} broke off: {type(error).__name__}")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _posted(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        seconds = limit.total_seconds()
        form = {"query": question.query, "time": f"{at.timestamp():.3f}", "timeout": f"{math.ceil(seconds * 1000)}ms"}
        async with asyncio.timeout(seconds):
            try:
                return await self._once(question, form)
            except aiohttp.ServerDisconnectedError:
                # The server closed a pooled connection just as it was used again; a query may be asked twice.
                return await self._once(question, form)

    async def _once(self, question: Question, form: dict[str, str]) -> Reading | Failure:
        # A redirect is not followed: it would carry the headers to a server that they were not meant for.
        async with self._open().post(
            f"{question.source.server}/api/v1/query",
            data=form,
            headers=dict(question.source.headers),
            timeout=aiohttp.ClientTimeout(total=None),
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > self._largest:
                    response.close()
                    return Failure(
                        UnknownCause.HTTP_ERROR, Blame.QUERY, f"the answer is larger than {self._largest} bytes"
                    )
            return understood(response.status, bytes(body))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_OPEN)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def _why(error: aiohttp.ClientConnectorError) -> str:
    return error.strerror or type(error).__name__


def understood(status: int, body: bytes) -> Reading | Failure:
    """Say what an HTTP answer of Prometheus' query API means."""
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    match answer:
        case {"status": "success", "data": {"resultType": str(kind), "result": result}, **more} if status == _OK:
            return _reading(kind, result, more.get("warnings"))
        case {"errorType": "timeout", "error": str(error)}:
            return Failure(UnknownCause.TIMEOUT, Blame.QUERY, error[:_SHOWN])
        case {"error": str(error)}:
            cause = UnknownCause.NOT_SUCCESS if status == _OK else UnknownCause.HTTP_ERROR
            return Failure(cause, _blame(status, told=True), f"HTTP {status}: {error[:_SHOWN]}")
        case _ if status == _OK:
            return Failure(UnknownCause.NOT_SUCCESS, Blame.EITHER, "HTTP 200 without a result")
        case _:
            return Failure(UnknownCause.HTTP_ERROR, _blame(status, told=False), f"HTTP {status}")


def _blame(status: int, *, told: bool) -> Blame:
    if status in _SERVERS_OWN or status in _REDIRECTS:
        return Blame.SERVER
    # Without Prometheus' own words a 5xx is a proxy's, and says nothing about the query.
    return Blame.QUERY if told or status < _SERVER_ERROR else Blame.EITHER


def _reading(kind: str, result: object, warnings: object) -> Reading | Failure:
    match kind, result:
        case "vector", list(elements):
            series = tuple(_series(element) for element in elements)
            return Reading(Shape.VECTOR, series, _partial(warnings))
        case "scalar", [_, str(value)]:
            return Reading(Shape.SCALAR, (Series((), value),), _partial(warnings))
        case (("matrix" | "string"), _):
            return Reading(Shape.OTHER, (), _partial(warnings))
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


def _partial(warnings: object) -> tuple[str, ...]:
    """Warnings of the language ("PromQL warning: …") speak of the query's text; all others of missing data."""
    if not isinstance(warnings, list):
        return ()
    return tuple(str(text)[:_SHOWN] for text in warnings if not str(text).startswith("PromQL "))
