"""Writes to the log until the log has it; the offset behind a record moves only then."""

from collections.abc import Callable
from itertools import count

import structlog

from consumer.handler.backoff import Backoff
from consumer.handler.wiring import HandlerTelemetry
from consumer.ports import Clock, LogError, Output, Publisher

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

    async def print(self, make: Callable[[], Output]) -> None:
        """Return when the log has it; made when it is sent, for what it is made with may be known only then."""
        for attempt in count(1):
            sent = self._clock.read()
            try:
                placed = await self._publisher.publish(make())
            except LogError as error:
                self._telemetry.unpublished()
                _log.warning("not published", attempt=attempt, error=str(error))
            else:
                # In a process of handlers alone nothing else tells the broker's time.
                self._clock.learn(placed.at, sent, self._clock.read())
                return
            await self._clock.sleep(self._backoff.delay(attempt, self._chance()))
