"""An HTTP proxy before a real Prometheus whose answers can be wrong, late, in part, empty, NaN, or no answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from consumer.children import HOST
from tests.chaos.deeds import Lie

Series = dict[str, Any]
_SLOW = timedelta(seconds=3)
_BUSY = "9"


@dataclass(slots=True)
class Liar:
    """Passes queries on; `told` counts what was answered otherwise, by kind."""

    behind: str
    port: int = 0
    lie: Lie | None = None
    told: dict[Lie, int] = field(default_factory=dict)
    asked: int = 0

    async def lying(self, lie: Lie, length: timedelta) -> None:
        """Lie for that long."""
        self.lie = lie
        try:
            await asyncio.sleep(length.total_seconds())
        finally:
            self.lie = None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one query."""
        self.asked += 1
        form = {name: str(value) for name, value in (await request.post()).items()}
        lie = self.lie
        if lie is not None:
            self.told[lie] = self.told.get(lie, 0) + 1
        if lie is Lie.ERROR:
            return web.Response(status=500, text="the chaos says no")
        if lie is Lie.GARBAGE:
            return web.Response(text="<html>not what was asked for", content_type="text/html")
        if lie is Lie.SLOW:
            await asyncio.sleep(_SLOW.total_seconds())
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{self.behind}/api/v1/query", data=form) as answer,
            ):
                body, status = await answer.read(), answer.status
        except aiohttp.ClientError:
            return web.Response(status=503, text="the server behind is away")
        if lie is not None and lie in _BENDS and status == 200:
            body = bent(body, lie)
        return web.Response(body=body, status=status, content_type="application/json")


def bent(body: bytes, lie: Lie) -> bytes:
    """Return an answer as the lie has it."""
    answer: Series = orjson.loads(body)
    if answer.get("data", {}).get("resultType") == "vector":
        answer["data"]["result"] = _BENDS[lie](answer["data"]["result"])
    if lie is Lie.WARNED:
        answer["warnings"] = ["the chaos left a part out"]
    return orjson.dumps(answer)


def _each(value: Callable[[float], str]) -> Callable[[list[Series]], list[Series]]:
    def bend(series: list[Series]) -> list[Series]:
        return [{**one, "value": [one["value"][0], value(float(one["value"][1]))]} for one in series]

    return bend


_BENDS: Mapping[Lie, Callable[[list[Series]], list[Series]]] = {
    # What says 1 says that Prometheus was there: a lie that nobody believes would be none.
    Lie.IDLE: _each(lambda value: "0" if value > 1 else str(value)),
    Lie.BUSY: _each(lambda value: _BUSY if value == 0 else str(value)),
    Lie.NAN: _each(lambda _: "NaN"),
    Lie.EMPTY: lambda _: [],
    Lie.PARTIAL: lambda series: series[::2],
    Lie.WARNED: lambda series: series[::2],
}


@asynccontextmanager
async def liar(behind: str) -> AsyncIterator[Liar]:
    """Stand before the Prometheus at this address, on a free port."""
    made = Liar(behind)
    app = web.Application()
    app.router.add_post("/api/v1/query", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        made.port = int(runner.addresses[0][1])
        yield made
    finally:
        await runner.cleanup()
