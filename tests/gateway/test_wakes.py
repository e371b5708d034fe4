"""Wakes between processes over real sockets: what a gateway asks of a handler elsewhere, and what it is told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from aiohttp import web

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.core.service import ServiceKey
from consumer.gateway import RemoteWake
from consumer.ports import (
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)
from tests.gateway.bed import SETTINGS, TRACE, WEB, AwayPublisher, Caller, Direct, calls, ports, running

WAKE = "/internal/wake"
CALL = b'{"namespace":"shop","svc":"web"}'
ERRORS: list[tuple[TargetError, int]] = [
    (TargetGoneError("404: there is no shop/Deployment/web"), 404),
    (TargetForbiddenError("may not scale shop/Deployment/web; grant it"), 403),
    (TargetMovedError("422: it was changed meanwhile"), 409),
    (TargetInvalidError("shop/web is paused altogether"), 422),
    (TargetBusyError("the API server is overloaded"), 503),
    (TargetError("something else"), 502),
]


class Refusing:
    """A handler that the cluster refuses everything."""

    def __init__(self, error: TargetError) -> None:
        self._error = error

    async def wake(self, key: ServiceKey, trace: str | None) -> None:  # noqa: ARG002 - the port's contract
        raise self._error


@asynccontextmanager
async def handlers(log: MemoryLog, handler: Direct | Refusing) -> AsyncIterator[Caller]:
    """A process with a handler."""
    async with running(replace(ports(MemoryPublisher(log)), direct=handler, handler=handler)) as process:
        yield process


async def test_a_gateway_without_a_handler_has_one_elsewhere_wake(log: MemoryLog) -> None:
    handler = Direct()
    async with handlers(log, handler) as process, RemoteWake(process.base) as remote:
        given = replace(ports(AwayPublisher()), direct=remote)
        async with running(given) as caller:
            assert (await caller.call(headers={"traceparent": TRACE}))[0] == 200
            assert (await caller.call())[0] == 200
    assert handler.asked == [(WEB, TRACE), (WEB, None)]
    assert calls(given) == {"woken-directly": 2}


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_each_error_has_a_status_and_comes_out_as_what_it_was(
    log: MemoryLog, error: TargetError, status: int
) -> None:
    async with handlers(log, Refusing(error)) as process, RemoteWake(process.base + "/") as remote:
        answered, text, headers = await process.call(path=WAKE, body=CALL)
        with pytest.raises(type(error), match=str(error)) as told:
            await remote.wake(WEB, None)
    assert (answered, orjson.loads(text)) == (status, {"code": error.code, "message": str(error)})
    assert (headers.get("Retry-After"), type(told.value)) == ("1" if status == 503 else None, type(error))


async def test_how_long_to_wait_is_passed_on_in_whole_seconds(log: MemoryLog) -> None:
    busy = TargetBusyError("429: slow down", timedelta(seconds=7))
    async with handlers(log, Refusing(busy)) as process, RemoteWake(process.base) as remote:
        with pytest.raises(TargetBusyError) as told:
            await remote.wake(WEB, None)
    assert told.value.retry_after == timedelta(seconds=7)


async def test_a_cluster_that_does_not_answer_in_time_is_busy(log: MemoryLog) -> None:
    handler = Direct(hangs=True)
    given = replace(ports(MemoryPublisher(log)), handler=handler)
    async with running(given, replace(SETTINGS, direct_patience=timedelta(milliseconds=10))) as process:
        status, text, _ = await process.call(path=WAKE, body=CALL)
    assert (status, orjson.loads(text)["code"]) == (503, "busy")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"svc":"web"}', b'{"namespace":"shop","svc":7}', b'{"namespace":"a/b","svc":"web"}', b"\xff"],
)
async def test_a_call_that_names_no_service_is_refused(log: MemoryLog, body: bytes) -> None:
    handler = Direct()
    async with handlers(log, handler) as process:
        assert (await process.call(path=WAKE, body=body))[:2] == (400, "Invalid request body\n")
    assert handler.asked == []


async def test_a_trace_that_is_none_is_not_passed_on_to_the_handler(log: MemoryLog) -> None:
    handler = Direct()
    async with handlers(log, handler) as process:
        await process.call(path=WAKE, body=b'{"namespace":"shop","svc":"web","traceparent":"nothing"}')
        await process.call(path=WAKE, body=b'{"namespace":"shop","svc":"web","traceparent":7}')
    assert handler.asked == [(WEB, None), (WEB, None)]


async def test_a_call_is_bounded_like_every_other(log: MemoryLog) -> None:
    async with handlers(log, Direct()) as process:
        assert (await process.call(path=WAKE, body=b" " * (SETTINGS.body_limit + 1)))[0] == 413
        assert (await process.call("GET", WAKE))[:2] == (405, "Invalid request method\n")


async def test_a_process_without_a_handler_passes_no_wakes_on(log: MemoryLog) -> None:
    # It would go round between two gateways that name one another.
    direct = Direct()
    async with running(replace(ports(MemoryPublisher(log)), direct=direct)) as process, RemoteWake(process.base) as way:
        with pytest.raises(TargetBusyError, match="has no handler"):
            await way.wake(WEB, None)
    assert direct.asked == []


async def test_a_handler_that_is_away_is_said_with_its_address() -> None:
    async with RemoteWake(f"http://127.0.0.1:{_free_port()}") as remote:
        with pytest.raises(TargetBusyError, match=r"http://127\.0\.0\.1:\d+/internal/wake can be reached"):
            await remote.wake(WEB, None)
    with pytest.raises(TargetBusyError, match="not up"):
        await remote.wake(WEB, None)


async def test_a_handler_that_never_answers_is_not_waited_for_for_ever(log: MemoryLog) -> None:
    async with (
        handlers(log, Direct(hangs=True)) as process,
        RemoteWake(process.base, patience=timedelta(milliseconds=20)) as remote,
    ):
        with pytest.raises(TargetBusyError, match="answered within"):
            await remote.wake(WEB, None)


@pytest.mark.parametrize("answer", [b'{"code":"never-heard-of","message":"no"}', b'"no"', b"no", b"{}"])
async def test_an_answer_that_is_no_handlers_counts_as_one_that_is_away(answer: bytes) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=500, body=answer)

    async with _serving(refuse) as base, RemoteWake(base) as remote:
        with pytest.raises(TargetBusyError, match=r"no|\{\}"):
            await remote.wake(WEB, None)


async def test_a_connection_that_breaks_is_made_anew_and_the_wake_asked_again() -> None:
    asked: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.read())
        if len(asked) == 1 and request.transport is not None:
            request.transport.abort()
        return web.Response()

    async with _serving(answer) as base, RemoteWake(base) as remote:
        await remote.wake(WEB, None)
    assert asked == [CALL, CALL]


async def test_a_hundred_wakes_at_once_share_few_connections(log: MemoryLog) -> None:
    handler = Direct()
    keys = [ServiceKey("shop", f"web-{number}") for number in range(300)]
    async with handlers(log, handler) as process, RemoteWake(process.base) as remote:
        await asyncio.gather(*(remote.wake(key, None) for key in keys))
    assert sorted(key for key, _ in handler.asked) == sorted(keys)


@asynccontextmanager
async def _serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(WAKE, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = _free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
