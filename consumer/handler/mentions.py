"""Tells the log of requests that came without it and found their service up: nothing was done, but it is in use."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

from consumer.core.service import ServiceKey
from consumer.handler.errands import first_of
from consumer.handler.knocks import Knocks
from consumer.handler.results import Result
from consumer.handler.teller import Tools
from consumer.ports import Output

EVERY: Final = timedelta(seconds=5)
"""A service that is asked for all the time is told of once in so long; it is the last request that counts."""
_AT_A_TIME: Final = 16
"""While the log is away each of these tries again and again, and says so: thousands that are in use would, too."""


class Mentions:
    """The last such request of each service, until the log has it; it belongs to no partition, and outlives them."""

    def __init__(self, tools: Tools, knocks: Knocks, parting: timedelta) -> None:
        self._tools = tools
        self._knocks = knocks
        self._parting = parting
        self._last: dict[ServiceKey, Result] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurried = asyncio.Event()
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    def note(self, result: Result) -> None:
        """Tell of this one, unless a later one comes before it is told."""
        began = result.key in self._last
        self._last[result.key] = result
        if not began:
            task = self._tools.spawn(self._tell(result.key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def hurry(self) -> None:
        """The handler is about to end: what waits for its time is told now."""
        self._hurried.set()

    async def ended(self) -> None:
        """Wait until all is told, but no longer than it takes to part."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._parting.total_seconds())

    async def _tell(self, key: ServiceKey) -> None:
        said: Result | None = None
        while (due := self._last[key]) is not said:
            said = await self._print(due)
            if not self._hurried.is_set():
                await first_of(self._tools.clock.sleep(EVERY), self._hurried.wait())
        del self._last[key]

    async def _print(self, due: Result) -> Result:
        """Publish the last one there is when the log takes it, however long that takes; returns which it was."""
        sent = [due]
        async with self._turns:
            await self._tools.press.print(partial(self._newest, due.key, sent))
        said = sent[-1]
        self._tools.telemetry.observed(said.phase)
        self._knocks.told(due.key, said.asked_at, self._tools.clock.read().now)
        return said

    def _newest(self, key: ServiceKey, sent: list[Result]) -> Output:
        sent[:] = [self._last[key]]
        return self._tools.address.output(sent[-1])
