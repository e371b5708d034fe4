"""A listing that works is no progress where the watch behind it never does: nobody lists a fleet once a second."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import pytest
from aiohttp import web

from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.watching import Watching
from consumer.ports import Moment

ROUNDS: Final = 6
BOOKMARK: Final = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2"}}}\n'
EXPIRED: Final = b'{"type":"ERROR","object":{"code":410}}\n'


class Pauses:
    """A clock that notes how long it was asked to wait, and waits for nothing."""

    def __init__(self) -> None:
        self.lengths: list[float] = []
        self.enough = asyncio.Event()

    def read(self) -> Moment:
        raise AssertionError("whoever watches does not ask for the time")

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        raise AssertionError(f"whoever watches appends nothing: {appended} {sent} {received}")

    async def sleep(self, length: timedelta) -> None:
        self.lengths.append(length.total_seconds())
        if len(self.lengths) == ROUNDS:
            self.enough.set()
        await asyncio.sleep(0)


class Server:
    """Lists nothing, and answers every watch in one way."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.body = b""

    async def answer(self, request: web.Request) -> web.Response:
        if "watch" in request.query:
            return web.Response(status=self.status, body=self.body)
        return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def pauses(server: Server) -> list[float]:
    """Return how long it waited before each new listing."""
    api, clock = Api(Access(server.url)), Pauses()

    async def follow() -> None:
        async for _ in Watching(api, clock, lambda: 1.0).follow("/all"):
            pass

    task = asyncio.create_task(follow())
    try:
        await clock.enough.wait()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await api.close()
    return clock.lengths[:ROUNDS]


@pytest.mark.parametrize(("status", "body"), [(403, b"{}"), (410, b"{}"), (200, EXPIRED)])
async def test_a_watch_that_never_works_has_everything_listed_more_and_more_seldom(
    server: Server, status: int, body: bytes
) -> None:
    server.status, server.body = status, body
    assert await pauses(server) == [1, 2, 4, 8, 16, 30]


async def test_a_watch_that_went_on_for_a_while_is_made_up_for_soon(server: Server) -> None:
    server.body = BOOKMARK + EXPIRED
    assert await pauses(server) == [1] * ROUNDS
