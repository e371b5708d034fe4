"""What happens later: things to do at their time, in its order, without anybody looking at the clock in between."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from consumer.ports import Clock


class Timeline:
    """Does what was scheduled; `run` is the one task that waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._earlier = asyncio.Event()

    def after(self, length: timedelta, action: Callable[[], None]) -> None:
        """Do this in a while; what is scheduled for one moment is done in the order of the calls."""
        self._scheduled += 1
        entry = (self._clock.read().now + length, self._scheduled, action)
        heapq.heappush(self._due, entry)
        if self._due[0] is entry:
            self._earlier.set()

    async def run(self) -> None:
        """Do things when they are due, for ever."""
        while True:
            self._earlier.clear()
            while self._due and self._due[0][0] <= self._clock.read().now:
                heapq.heappop(self._due)[2]()
            await self._wait()

    async def _wait(self) -> None:
        """Until the next is due, or something is scheduled before it."""
        async with asyncio.TaskGroup() as tasks:
            waits: list[asyncio.Task[object]] = [tasks.create_task(self._earlier.wait())]
            if self._due:
                waits.append(tasks.create_task(self._clock.sleep(self._due[0][0] - self._clock.read().now)))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
