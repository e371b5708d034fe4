"""Tells people by Kubernetes Events: aggregated, rate-limited, beside everything else; what fails is counted."""

from collections.abc import Iterable
from datetime import timedelta

import structlog

from consumer.handler.errands import Errands
from consumer.handler.notices import Allowance, Outbox, Pending
from consumer.ports import Notice, Notices, TargetBusyError, TargetError

# An object may have ten Events at once and 120 an hour; all of them together 10 a second.
_EACH = Allowance(burst=10, every=timedelta(seconds=30))
_TOGETHER = Allowance(burst=200, every=timedelta(milliseconds=100))
_ROOM = 5_000
_TRIES = 3
_LOOK_AGAIN = timedelta(seconds=1)
_log = structlog.get_logger(__name__)


class Herald:
    """The way to `Notices`; None: nobody is told."""

    def __init__(self, notices: Notices | None, errands: Errands) -> None:
        self._notices = notices
        self._errands = errands
        self._outbox = Outbox(_EACH, _TOGETHER, _ROOM)
        self._at_work = False

    def tell(self, told: Iterable[Notice]) -> None:
        """Have these told when it is their turn; never waits."""
        if self._notices is None:
            return
        now = self._errands.clock.read().now
        for notice in told:
            if not self._outbox.put(notice, now):
                self._errands.telemetry.wrote("event", "dropped")
        if len(self._outbox) and not self._at_work:
            self._at_work = True
            self._errands.spawn(self._run(self._notices))

    async def _run(self, notices: Notices) -> None:
        try:
            while len(self._outbox):
                pending = self._outbox.take(self._errands.clock.read().now)
                if pending is None:
                    await self._errands.clock.sleep(_LOOK_AGAIN)
                else:
                    await self._write(notices, pending)
        finally:
            self._at_work = False

    async def _write(self, notices: Notices, pending: Pending) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                call = notices.tell(pending.notice, count=pending.count, first=pending.first, last=pending.last)
                await self._errands.call("event", call)
            except TargetError as error:
                _log.warning("event not written", about=str(pending.notice.about), attempt=attempt, error=str(error))
                if not isinstance(error, TargetBusyError):
                    return
                await self._errands.clock.sleep(self._errands.delay(attempt, error))
            else:
                return
