"""A server that speaks Prometheus' API and misbehaves as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]

EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}
ONE = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "4.5"]}]}}


@dataclass(slots=True)
class FaultServer:
    """Its address, what it was sent, and how it behaves from now on."""

    url: str = ""
    behaviour: Behaviour | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        posted = await request.post()
        self.forms.append({name: str(value) for name, value in posted.items()})
        self.headers.append(dict(request.headers))
        if request.transport is not None:
            self.clients.add(request.transport.get_extra_info("peername"))
        self.arrived.set()
        if self.behaviour is None:
            return web.json_response(ONE)
        return await self.behaviour(request)

    def say(self, body: object, status: int = 200) -> None:
        async def said(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status)

        self.behaviour = said

    def send(self, body: bytes, status: int = 200) -> None:
        async def sent(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status)

        self.behaviour = sent

    def hang(self) -> None:
        async def never(_: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            return web.Response()

        self.behaviour = never


@asynccontextmanager
async def serving() -> AsyncIterator[FaultServer]:
    """Run a fault server on a free port."""
    server = FaultServer()
    app = web.Application()
    app.router.add_post("/prom/api/v1/query", server.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/prom"
    try:
        yield server
    finally:
        await runner.cleanup()
