"""An HTTP proxy before a real API server that breaks calls on demand: refused, held, cut off before or after."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from enum import Enum, auto

import aiohttp
from aiohttp import web

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.control_plane.calls import trusting

_PASSED = frozenset({"authorization", "content-type", "accept"})
_LINE = 16 * 1024 * 1024
_STAMP = re.compile(rb'("(?:creationTimestamp|deletionTimestamp|time)":")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')
"""The times that a server writes into objects by its own clock; ours have milliseconds, or other names."""


class Cut(Enum):
    """Where in a call the connection is reset."""

    BEFORE = auto()
    """The server never sees it."""
    AFTER = auto()
    """The server did it, and nobody hears of that."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered in the server's place."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"kind":"Status","message":"the bed says no"}'


@dataclass(frozen=True, slots=True)
class Hold:
    """The call is on its way until the test lets it arrive."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


Trouble = Cut | Refusal | Hold | None


@dataclass(slots=True)
class Proxy:
    """Its address, the troubles that are next for each method or path, and every call so far as (method, path)."""

    url: str = ""
    skew: timedelta = timedelta()
    """By so much the server's clock seems to be ahead of everybody else's."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    _troubles: dict[str, deque[Trouble]] = field(default_factory=dict)
    _lasting: dict[str, Trouble] = field(default_factory=dict)
    _open: set[asyncio.Transport] = field(default_factory=set)

    def plan(self, method: str, *troubles: Trouble) -> None:
        """Let the next calls of this method end so, one each; None: that one is passed on."""
        self._troubles.setdefault(method, deque()).extend(troubles)

    def spoil(self, ending: str, trouble: Trouble) -> None:
        """Let every call whose path ends so end so, from now on; None: it is passed on again."""
        self._lasting[ending] = trouble

    def take(self, method: str, path: str = "") -> Trouble:
        """What is to become of this call."""
        for ending, lasting in self._lasting.items():
            if lasting is not None and path.endswith(ending):
                return lasting
        planned = self._troubles.get(method)
        return planned.popleft() if planned else None

    def break_off(self) -> None:
        """Reset every call that is being answered: the watches."""
        for transport in tuple(self._open):
            transport.abort()

    @contextmanager
    def answering(self, request: web.Request) -> Iterator[None]:
        """Meanwhile the call can be broken off."""
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._open.add(transport)
        try:
            yield
        finally:
            self._open.discard(transport)


@dataclass(frozen=True, slots=True)
class _Passing:
    """Passes calls on to the server behind."""

    proxy: Proxy
    session: aiohttp.ClientSession
    behind: str

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.proxy.calls.append((request.method, request.path))
        trouble = self.proxy.take(request.method, request.path)
        if isinstance(trouble, Refusal):
            return web.Response(status=trouble.status, headers=trouble.headers, body=trouble.body)
        if trouble is Cut.BEFORE:
            return _cut(request)
        if isinstance(trouble, Hold):
            trouble.came.set()
            await trouble.go.wait()
        async with self.session.request(
            request.method,
            f"{self.behind}{request.raw_path}",
            # An empty body would be one of a type that the server does not know.
            data=await request.read() or None,
            headers={name: value for name, value in request.headers.items() if name.lower() in _PASSED},
        ) as answer:
            if trouble is Cut.AFTER:
                await answer.read()
                return _cut(request)
            with self.proxy.answering(request):
                return await _poured(request, answer, self.proxy.skew)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _poured(request: web.Request, answer: aiohttp.ClientResponse, skew: timedelta) -> web.StreamResponse:
    headers = {"Content-Type": "application/json"}
    if skew and "Date" in answer.headers:
        headers["Date"] = format_datetime(parsedate_to_datetime(answer.headers["Date"]) + skew, usegmt=True)
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    # Line by line, where times are to be changed: a piece may end within one.
    async for data in answer.content if skew else answer.content.iter_any():
        await response.write(_skewed(data, skew) if skew else data)
    await response.write_eof()
    return response


def _skewed(line: bytes, skew: timedelta) -> bytes:
    def moved(found: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(found[2].decode()) + skew
        return found[1] + moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode() + b'"'

    return _STAMP.sub(moved, line)


@asynccontextmanager
async def before(plane: ControlPlane) -> AsyncIterator[Proxy]:
    """Stand before this API server, on a free port."""
    proxy = Proxy()
    forever = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, ssl=trusting(plane.ca))
    async with aiohttp.ClientSession(connector=connector, timeout=forever, read_bufsize=_LINE) as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", _Passing(proxy, session, plane.url).answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()
