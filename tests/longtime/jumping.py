"""A loop whose time jumps to its next timer as soon as nothing else can run: an hour lasts as long as its events.

Everything that waits by the loop lives in that time: clocks that sleep, deadlines of calls, the patience of a gateway.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import TypeVar

from consumer.ports import Moment
from tests.longtime.trace import whole

T = TypeVar("T")
Jump = Callable[[datetime, datetime], None]
"""Told that everything which can happen at the first moment has happened, and that the second is next."""


class _Jumping(selectors.DefaultSelector):
    """Tells the time instead of waiting; a loop asks with a time-out of 0 as long as anything is ready to run."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.jump: Callable[[float], None] = lambda _after: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None:
            raise AssertionError("nobody waits for a time, and nothing else is there that could happen")
        self.jump(timeout)
        self.now += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop without real time; `clock` tells its time from `start` on, as the log and everybody else see it."""

    def __init__(self, start: datetime, jump: Jump) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.clock = LoopClock(start, self)
        self._jump = jump
        self._jumping.jump = self._told

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._jumping.now

    def _told(self, after: float) -> None:
        self._jump(self.clock.at(self.time()), self.clock.at(self.time() + after))


class LoopClock:
    """The one clock of a jumping loop, the same for a log and for all that write to it."""

    def __init__(self, start: datetime, loop: asyncio.AbstractEventLoop) -> None:
        self._start = start
        self._loop = loop

    @property
    def now(self) -> datetime:
        """The present, in milliseconds."""
        return self.at(self._loop.time())

    def at(self, seconds: float) -> datetime:
        """Return what it shows so many seconds after its start."""
        return whole(self._start + timedelta(seconds=seconds))

    def read(self) -> Moment:
        """Return the present; there is no other clock to differ from."""
        return Moment(self.now, sure=True)

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Nothing: it is the one that others learn from."""

    async def sleep(self, length: timedelta) -> None:
        """Wait that long, which takes no time."""
        await asyncio.sleep(length.total_seconds())


def run_in(loop: JumpingLoop, work: Coroutine[None, None, T]) -> T:
    """Run it to its end, in the time of that loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)
