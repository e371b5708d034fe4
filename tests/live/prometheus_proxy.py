"""A proxy before a real Prometheus that can fall silent, or answer one whole cycle with nothing."""

import asyncio
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_NOTHING = {"status": "success", "data": {"resultType": "vector", "result": []}}


@dataclass(slots=True)
class _Cycle:
    """One evaluation: all of its queries name the same time."""

    time: str | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class PrometheusProxy:
    """Passes queries on; `url` is its own from the first start on, so that it can go away and come back."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._empty: _Cycle | None = None

    @property
    def url(self) -> str:
        """What policies name."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Serve, at the port that it had before if it had one."""
        application = web.Application()
        application.router.add_post("/api/v1/query", self._query)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = int(self._runner.addresses[0][1])
        self._session = aiohttp.ClientSession()

    async def stop(self) -> None:
        """Be unreachable from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def answer_one_cycle_with_nothing(self) -> None:
        """Return when a cycle was answered with nothing and the next one asked again."""
        self._empty = _Cycle()
        await self._empty.over.wait()

    async def _query(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if self._is_to_be_empty(form["time"]):
            return web.json_response(_NOTHING)
        if self._session is None:
            return web.Response(status=503)
        async with self._session.post(f"{self._behind}/api/v1/query", data=form) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

    def _is_to_be_empty(self, time: str) -> bool:
        empty = self._empty
        if empty is None:
            return False
        empty.time = empty.time or time
        if empty.time == time:
            return True
        self._empty = None
        empty.over.set()
        return False
