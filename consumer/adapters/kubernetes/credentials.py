"""Who we are: asked for again when it grows old, and early when the server no longer takes it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from consumer.adapters.kubernetes.identity import Identity
from consumer.ports import Clock, TargetBusyError, TargetError

_log = structlog.get_logger(__name__)

_RENEW: Final = timedelta(minutes=5)
"""Tokens of cloud providers' plugins live for a quarter of an hour or more."""
_AGAIN: Final = timedelta(seconds=10)
"""Between two attempts that something forced: a failure before, or a server that refused us."""
_HELD_UP: Final = timedelta(seconds=2)
"""So long a call waits for new credentials while it has some: the old ones are good for a while longer."""

Load = Callable[[], Awaitable[Identity]]


class Credentials:
    """The token of one way in; however many calls need a new one, its source is asked once.

    A renewal that fails changes nothing: what was there is used on, for as long as the server takes it.
    """

    def __init__(self, identity: Identity, load: Load, clock: Clock) -> None:
        self._identity = identity
        self._load = load
        self._clock = clock
        self._tried_at = clock.read().now
        self._trouble: TargetError | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def token(self) -> str | None:
        """Return the bearer token, without the word in front of it; None where a certificate says who we are."""
        if self._is_due(_AGAIN if self._trouble else _RENEW):
            await asyncio.wait({self._begun()}, timeout=_HELD_UP.total_seconds())
        return self._token()

    async def renew(self, refused: str | None) -> bool:
        """The server does not take this token: ask for another, and return whether there is one.

        Raises:
            TargetBusyError: there may be one, but its source fails; the message says how.
        """
        if self._token() == refused and self._is_due(_AGAIN):
            self._begun()
        if self._renewal is not None:
            await asyncio.wait({self._renewal})
        if self._token() != refused:
            return True
        if self._trouble is not None:
            told = f"the API takes our credentials no more, and new ones are not to be had: {self._trouble}"
            raise TargetBusyError(told) from self._trouble
        return False

    async def close(self) -> None:
        """End a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    def _token(self) -> str | None:
        return self._identity.token

    def _is_due(self, after: timedelta) -> bool:
        # A clock that was put back must not keep a token in use that was to be renewed long ago.
        return self._renewal is None and not timedelta() <= self._clock.read().now - self._tried_at < after

    def _begun(self) -> asyncio.Task[None]:
        """Begin to renew; who began it may go on, or be cancelled, before it ends."""
        if self._renewal is None:
            self._tried_at = self._clock.read().now
            self._renewal = asyncio.get_running_loop().create_task(self._renewed(), name="credentials")
        return self._renewal

    async def _renewed(self) -> None:
        try:
            self._identity = await self._load()
        except TargetError as error:
            self._trouble = error
            _log.warning("credentials not renewed", error=str(error), again=_AGAIN.total_seconds())
        else:
            if self._trouble is not None:
                _log.info("credentials renewed")
            self._trouble = None
        finally:
            self._renewal = None
