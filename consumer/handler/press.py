"""Writes to the log until the log has it; the offset behind a record moves only then."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import structlog

from consumer.handler.backoff import Backoff
from consumer.handler.wiring import HandlerTelemetry
from consumer.ports import Clock, LogError, Output, Publisher

_SAY_AGAIN: Final = timedelta(minutes=1)
_log = structlog.get_logger(__name__)


class Press:
    """Publishes one record after all; who stops it cancels the task that waits."""

    def __init__(
        self,
        publisher: Publisher,
        clock: Clock,
        telemetry: HandlerTelemetry,
        backoff: Backoff,
        chance: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._telemetry = telemetry
        self._backoff = backoff
        self._chance = chance
        self._said_at: datetime | None = None
        self._unsaid = 0

    async def print(self, make: Callable[[], Output]) -> None:
        """Return when the log has it; made when it is sent, for what it is made with may be known only then."""
        for attempt in count(1):
            sent = self._clock.read()
            try:
                placed = await self._publisher.publish(make())
            except LogError as error:
                self._telemetry.unpublished()
                self._say(error, self._clock.read().now)
            else:
                # In a process of handlers alone nothing else tells the broker's time.
                self._clock.learn(placed.at, sent, self._clock.read())
                return
            await self._clock.sleep(self._backoff.delay(attempt, self._chance()))

    def _say(self, error: LogError, now: datetime) -> None:
        """Say it at once, then now and then: each result that waits is tried every few seconds, for hours maybe."""
        self._unsaid += 1
        if self._said_at is None or now - self._said_at >= _SAY_AGAIN:
            _log.warning("not published", failures=self._unsaid, error=str(error))
            self._said_at, self._unsaid = now, 0
