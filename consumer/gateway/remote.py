"""The way to a direct wake that another process carries out: any handler behind the address does it."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp
import structlog

from consumer.core.service import ServiceKey
from consumer.gateway.wakes import WAKE, WakeCall, decode_error
from consumer.ports import TargetBusyError, TargetError, TargetForbiddenError

log = structlog.get_logger(__name__)

_TRIES: Final = 3
"""A handler that ended a moment ago is still among the addresses; the next connection goes to another one."""
_CONNECTIONS: Final = 100
_PATIENCE = timedelta(seconds=5)
_CONNECTING = timedelta(seconds=1)


class RemoteWake:
    """Asks the handlers behind one address; a wake is conditional there, so that asking twice does no harm."""

    def __init__(self, url: str, *, token: str | None = None, patience: timedelta = _PATIENCE) -> None:
        self._url = url.rstrip("/") + WAKE
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Be ready to ask; connections are made when they are needed, and kept."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECTING.total_seconds()),
            # The cluster's own handlers are never behind a proxy, whatever the environment says.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; what is still asked fails."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def wake(self, key: ServiceKey, trace: str | None) -> None:
        """Return once the cluster took it, or had it already; raises TargetError, busy when no handler answers."""
        body = WakeCall(key, trace).encode()
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                error = await self._asked(key, body)
        except TimeoutError:
            error = TargetBusyError(f"{key}: no handler at {self._url} answered within {self._patience}; do they run?")
        if error is not None:
            raise error

    async def _asked(self, key: ServiceKey, body: bytes) -> TargetError | None:
        cause = ""
        for _ in range(_TRIES):
            try:
                return await self._ask(key, body)
            except (aiohttp.ClientError, OSError) as broken:
                cause = str(broken) or type(broken).__name__
                log.info("handler not reached", service=str(key), url=self._url, cause=cause)
        return TargetBusyError(f"{key}: no handler at {self._url} can be reached ({cause}); see that one runs")

    async def _ask(self, key: ServiceKey, body: bytes) -> TargetError | None:
        if self._session is None:
            return TargetBusyError(f"{key}: this gateway is not up (yet, or any more); ask again")
        async with self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as answer:
            told = await answer.read()
            if answer.status == HTTPStatus.UNAUTHORIZED:
                return TargetForbiddenError(
                    f"{key}: the handler at {self._url} does not take our token; give it and this gateway the same one"
                )
            return None if answer.ok else decode_error(told, _retry_after(answer.headers.get("Retry-After", "")))


def _retry_after(value: str) -> timedelta | None:
    # The other form of this header, a date, is none that our handlers send.
    return timedelta(seconds=int(value)) if value.isascii() and value.isdigit() and len(value) < 7 else None  # noqa: PLR2004
