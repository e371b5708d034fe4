"""Whatever an API server answers, or does not, becomes one of our errors, and says which call it was."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from consumer.adapters.kubernetes.api import Access, Api, ExpiredError, PatchKind
from consumer.ports import (
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)


class Server:
    """Answers every call in one way."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.body = b"{}"
        self.hanging = False
        self.seen: list[web.Request] = []
        self.awaited = 0
        self.all_came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if len(self.seen) == self.awaited:
            self.all_came.set()
        if self.hanging:
            await asyncio.Event().wait()
        return web.Response(status=self.status, body=self.body)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def token() -> str:
    return "ours"


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    made = Api(Access(server.url, token=token), limit=timedelta(seconds=0.5))
    yield made
    await made.close()


async def test_a_call_says_who_we_are(server: Server, api: Api) -> None:
    await api.patch("/x", {}, PatchKind.MERGE)
    (request,) = server.seen
    assert request.headers["Authorization"] == "Bearer ours"
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.query["fieldManager"] == "elasti"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, TargetInvalidError),
        (401, TargetForbiddenError),
        (403, TargetForbiddenError),
        (404, TargetGoneError),
        (405, TargetInvalidError),
        (409, TargetMovedError),
        (410, ExpiredError),
        (422, TargetInvalidError),
        (429, TargetBusyError),
        (500, TargetBusyError),
        (503, TargetBusyError),
        (504, TargetBusyError),
    ],
)
async def test_each_refusal_is_one_of_our_errors(
    server: Server, api: Api, status: int, error: type[TargetError]
) -> None:
    server.status, server.body = status, b'{"kind":"Status","message":"because"}'
    with pytest.raises(error, match="GET /x: because"):
        await api.get("/x")


async def test_a_condition_of_a_patch_that_fails_is_no_fault_of_the_patch(server: Server, api: Api) -> None:
    server.status = 422
    with pytest.raises(TargetMovedError):
        await api.patch("/x", [], PatchKind.JSON)
    with pytest.raises(TargetInvalidError):
        await api.patch("/x", {}, PatchKind.MERGE)
    server.body = b'{"message":"spec.size is too large","details":{"causes":[{"field":"spec.size"}]}}'
    with pytest.raises(TargetInvalidError, match=r"spec\.size"):
        await api.patch("/x", [], PatchKind.JSON)


@pytest.mark.parametrize("body", [b"<html>", b""])
async def test_a_proxy_that_answers_in_its_place_is_a_server_that_is_away(
    server: Server, api: Api, body: bytes
) -> None:
    server.body = body
    with pytest.raises(TargetBusyError, match="no JSON"):
        await api.get("/x")
    server.status = 502
    with pytest.raises(TargetBusyError, match="502"):
        await api.get("/x")


async def test_a_server_that_does_not_answer_is_away(server: Server, api: Api) -> None:
    server.hanging = True
    with pytest.raises(TargetBusyError, match="in time"):
        await api.get("/x")


async def test_a_server_that_is_not_there_is_away() -> None:
    api = Api(Access("http://127.0.0.1:1"))
    with pytest.raises(TargetBusyError, match="broke off GET /x"):
        await api.get("/x")
    await api.close()


async def test_watches_leave_connections_to_calls_however_many_there_are(server: Server, api: Api) -> None:
    server.hanging, server.awaited = True, 100
    async with asyncio.TaskGroup() as tasks:
        watches = [tasks.create_task(_watch(api)) for _ in range(server.awaited)]
        await server.all_came.wait()
        server.hanging = False
        assert await api.get("/apis") == {}
        for watch in watches:
            watch.cancel()


async def _watch(api: Api) -> None:
    async for _ in api.lines("/api/v1/pods", {"watch": "1"}, timedelta(minutes=1)):
        pass


async def test_what_comes_after_the_end_opens_nothing_any_more(api: Api) -> None:
    await api.close()
    with pytest.raises(TargetBusyError, match="closed"):
        await api.get("/apis")


async def test_a_watch_that_is_refused_or_speaks_no_json_is_told(server: Server, api: Api) -> None:
    server.status, server.body = 403, b'{"message":"not yours"}'
    with pytest.raises(TargetForbiddenError, match="not yours"):
        [line async for line in api.lines("/x", {}, timedelta(seconds=5))]
    server.status, server.body = 200, b"<html>\n"
    with pytest.raises(TargetBusyError, match="no JSON"):
        [line async for line in api.lines("/x", {}, timedelta(seconds=5))]
    server.body = b'{"a":1}\n{"a":2}\n'
    assert [line async for line in api.lines("/x", {}, timedelta(seconds=5))] == [{"a": 1}, {"a": 2}]
