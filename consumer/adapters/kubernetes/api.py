"""The Kubernetes API over plain HTTP: JSON in, JSON out, every refusal one of our errors."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import aiohttp
import orjson

from consumer.core.service import OWN_MANAGER
from consumer.ports import (
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)

_LIMIT: Final = timedelta(seconds=10)
_CONNECTIONS: Final = 64
_SHOWN: Final = 1000
_BAD: Final = 400
_WHO_IS_THAT: Final = 401
_EXPIRED: Final = 410
_UNPROCESSABLE: Final = 422
_OVERLOADED: Final = frozenset({408, 429})
_BROKEN: Final = 500
_LINE: Final = 16 * 1024 * 1024
"""Bytes of one line of a watch: etcd holds no object above 1.5 MB, and JSON may write it longer."""

Parameters = Mapping[str, str]


class PatchKind(StrEnum):
    """How a patch is written; the API applies each all or not at all."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"


class ExpiredError(TargetError):
    """The version to go on from is too old (410): list anew."""

    code = "expired"


async def _no_token() -> str | None:
    return None


async def _no_other(refused: str | None) -> bool:  # noqa: ARG001 - the contract of `renew`
    return False


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is, whom to trust and who we are; `token` is asked before each call, since tokens are renewed.

    `renew` is told a token that the server refused, and says whether there is another; it may raise TargetError.
    """

    server: str
    secure: ssl.SSLContext | bool = True
    token: Callable[[], Awaitable[str | None]] = field(default=_no_token, repr=False)
    renew: Callable[[str | None], Awaitable[bool]] = field(default=_no_other, repr=False)
    close: Callable[[], Awaitable[None]] = field(default=_nothing, repr=False)


@dataclass(frozen=True, slots=True)
class _Call:
    """One request."""

    method: str
    path: str
    parameters: Parameters
    timeout: aiohttp.ClientTimeout
    data: bytes | None = None
    content_type: str = "application/json"
    endless: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Api:
    """The connections to one API server; every call raises TargetError, and only that.

    Watches have connections of their own: two for each namespace, they would leave none of a bounded pool to calls.
    """

    def __init__(self, access: Access, *, limit: timedelta = _LIMIT) -> None:
        self._access = access
        self._limit = aiohttp.ClientTimeout(total=limit.total_seconds())
        self._calls: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(self, path: str, parameters: Parameters | None = None) -> object:
        """Read an object or a list."""
        return await self._called("GET", path, parameters or {})

    async def patch(self, path: str, body: object, kind: PatchKind) -> object:
        """Change an object in our name; returns it as it is then."""
        named = {"fieldManager": OWN_MANAGER}
        return await self._called("PATCH", path, named, body=body, kind=kind)

    async def post(self, path: str, body: object) -> object:
        """Create an object; returns it as it is then."""
        return await self._called("POST", path, {"fieldManager": OWN_MANAGER}, body=body)

    async def delete(self, path: str) -> object:
        """Delete an object."""
        return await self._called("DELETE", path, {})

    async def lines(self, path: str, parameters: Parameters, quiet: timedelta) -> AsyncIterator[object]:
        """Yield each line of a watch as JSON until the server ends it; TargetBusyError after `quiet` without any."""
        waiting = aiohttp.ClientTimeout(total=None, sock_connect=quiet.total_seconds(), sock_read=quiet.total_seconds())
        call = _Call("GET", path, parameters, waiting, endless=True)
        async with self._asked(call) as response:
            if response.status >= _BAD:
                raise _refusal(call, response, await response.read())
            async for line in response.content:
                yield _json(call, line)

    async def time(self) -> datetime:
        """Return what the server takes for the present time, to the second, as it stamps every answer."""
        call = _Call("GET", "/version", {}, self._limit)
        async with self._asked(call) as response:
            try:
                return parsedate_to_datetime(response.headers.get("Date", "")).astimezone(UTC)
            except ValueError:
                raise TargetInvalidError(f"the API answered {call} without a date") from None

    async def close(self) -> None:
        """Close every connection, for good."""
        self._closed = True
        for session in (self._calls, self._watches):
            if session is not None:
                await session.close()
        await self._access.close()

    async def _called(
        self, method: str, path: str, parameters: Parameters, *, body: object = None, kind: PatchKind | None = None
    ) -> object:
        data = None if body is None else orjson.dumps(body)
        call = _Call(method, path, parameters, self._limit, data, kind or "application/json")
        async with self._asked(call) as response:
            content = await response.read()
            if response.status >= _BAD:
                raise _refusal(call, response, content)
            return _json(call, content)

    @asynccontextmanager
    async def _asked(self, call: _Call) -> AsyncIterator[aiohttp.ClientResponse]:
        token = await self._access.token()
        async with self._sent(call, token) as response:
            if response.status != _WHO_IS_THAT:
                yield response
                return
            refusal = _refusal(call, response, await response.read())
        # Revoked before its time, or the server's keys were changed: there may be a new one already.
        if not await self._access.renew(token):
            raise refusal
        async with self._sent(call, await self._access.token()) as response:
            yield response

    @asynccontextmanager
    async def _sent(self, call: _Call, token: str | None) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {} if call.data is None else {"Content-Type": call.content_type}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session_for(call).request(
                call.method,
                f"{self._access.server}{call.path}",
                params=call.parameters,
                data=call.data,
                headers=headers,
                timeout=call.timeout,
                allow_redirects=False,
            ) as response:
                yield response
        except TimeoutError:
            raise TargetBusyError(f"the API did not answer {call} in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TargetBusyError(f"the API broke off {call}: {type(error).__name__}") from error

    def _session_for(self, call: _Call) -> aiohttp.ClientSession:
        if self._closed:
            raise TargetBusyError(f"{call} came too late: the way to the API is closed already")
        if call.endless:
            self._watches = self._watches or self._opened(limit=0)
            return self._watches
        self._calls = self._calls or self._opened(limit=_CONNECTIONS)
        return self._calls

    def _opened(self, *, limit: int) -> aiohttp.ClientSession:
        """Open a pool of so many connections; 0: of as many as are asked for."""
        connector = aiohttp.TCPConnector(limit=limit, ssl=self._access.secure)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_LINE)


_REFUSALS: Final[Mapping[int, type[TargetError]]] = {
    401: TargetForbiddenError,
    403: TargetForbiddenError,
    404: TargetGoneError,
    409: TargetMovedError,
    _EXPIRED: ExpiredError,
    _UNPROCESSABLE: TargetInvalidError,
}


def _refusal(call: _Call, response: aiohttp.ClientResponse, content: bytes) -> TargetError:
    told = f"the API refused {call}: {_told(content) or response.reason} (HTTP {response.status})"
    if response.status in _OVERLOADED or response.status >= _BROKEN:
        return TargetBusyError(told, _retry_after(response.headers.get("Retry-After", "")))
    if response.status == _UNPROCESSABLE and call.content_type == PatchKind.JSON and not _is_invalid(content):
        # A condition of the patch did not hold.
        return TargetMovedError(told)
    return _REFUSALS.get(response.status, TargetInvalidError)(told)


def _is_invalid(content: bytes) -> bool:
    """Whether it is the object that would be wrong: only then its fields are named as causes."""
    match _status(content):
        case {"details": {"causes": [_, *_]}}:
            return True
        case _:
            return False


def _retry_after(text: str) -> timedelta | None:
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() else None


def _status(content: bytes) -> object:
    try:
        status: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return status


def _told(content: bytes) -> str:
    match _status(content):
        case {"message": str(message)}:
            return message[:_SHOWN]
        case _:
            return ""


def _json(call: _Call, content: bytes) -> object:
    try:
        read: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise TargetBusyError(f"the API answered {call} with something that is no JSON") from None
    return read
