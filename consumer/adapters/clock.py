"""The one reader of the clock: broker time, learned from the append times of our own records."""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from consumer.ports import Moment

SURE_WITHIN = timedelta(seconds=1)
# Crystals differ by up to 100 millionths from the truth; two clocks by twice that: 0.72 s in an hour.
DRIFT = 200e-6
# Brokers without a good time service differ by seconds, and each tells its own: that is no clock set anew.
SET_ANEW = timedelta(seconds=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def chance() -> float:
    """Draw from 0 up to 1, for the jitter of retries."""
    return random.random()  # noqa: S311 - spreads load, guards nothing


def _cut(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000)


class BrokerClock:
    """Local monotonic time plus the offset to the broker's clock; until the first lesson, the machine's time, unsure.

    An append time lies between the moments at which its record was sent and acknowledged, so it tells the offset to
    within half of that span; what it told grows old by the drift of the two clocks.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._origin = datetime.now(UTC)
        self._started = monotonic()
        self._offset = timedelta()
        self._error: timedelta | None = None
        self._learned = 0.0
        self._set_at: datetime | None = None

    def read(self) -> Moment:
        """Return broker time, in milliseconds, and whether it is sure within a second."""
        return Moment(_cut(self._local() + self._offset), self._uncertainty() <= SURE_WITHIN, self._set_at)

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Take an append time into account, unless what is known is already better."""
        span = received.now - sent.now
        if span < timedelta():
            return
        # The two readings and the append time are each cut to the millisecond.
        error = span / 2 + _MILLISECOND
        correction = appended - (sent.now + span / 2)
        contradicts = abs(correction) > error + self._uncertainty()
        if not contradicts and error > self._uncertainty():
            return
        if contradicts and abs(correction) > SET_ANEW:
            before = self._local() + self._offset
            self._set_at = _cut(max(before, before + correction))
        self._offset += correction
        self._error = error
        self._learned = self._monotonic()

    async def sleep(self, length: timedelta) -> None:
        """Wait that long."""
        await asyncio.sleep(length.total_seconds())

    def _local(self) -> datetime:
        # Monotonic since the start: a machine whose time is set anew does not shift ours.
        return self._origin + timedelta(seconds=self._monotonic() - self._started)

    def _uncertainty(self) -> timedelta:
        if self._error is None:
            return timedelta.max / 2
        return self._error + timedelta(seconds=(self._monotonic() - self._learned) * DRIFT)


class ManualClock:
    """A clock that stands still until it is moved, for tests and rehearsals: nothing waits in real time."""

    def __init__(self, now: datetime = _EPOCH, *, sure: bool = True) -> None:
        self.now = now
        self.sure = sure
        self.learned: list[datetime] = []
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def read(self) -> Moment:
        """Return the moment it was moved to."""
        return Moment(self.now, self.sure)

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:  # noqa: ARG002 - the port's contract
        """Keep the append time for those who ask what was learned; the hands move by themselves never."""
        self.learned.append(appended)

    async def sleep(self, length: timedelta) -> None:
        """Wait until the clock was moved that far."""
        if length <= timedelta():
            await asyncio.sleep(0)
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + length, next(self._order), waiting))
        await waiting

    def advance(self, length: timedelta) -> None:
        """Move on, and wake whoever's time has come, in the order of their times."""
        self.now += length
        while self._sleepers and self._sleepers[0][0] <= self.now:
            _, _, waiting = heapq.heappop(self._sleepers)
            if not waiting.done():
                waiting.set_result(None)
