"""A selector that knows when nothing in its loop can run any more: only then a simulated clock moves on."""

import asyncio
import selectors


class Quiet(selectors.DefaultSelector):
    """Tells whoever waits that every task of the loop waits for something too: no guess at how many turns that takes.

    A loop asks its selector with a time-out of 0 as long as anything is ready to run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: asyncio.Future[None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for events; instead of falling asleep, wake who waits for that."""
        waiting = self._waiting
        if waiting is None or timeout == 0:
            return super().select(timeout)
        self._waiting = None
        waiting.set_result(None)
        return super().select(0)

    async def reached(self) -> None:
        """Return when nothing else can run."""
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop of this selector, for `asyncio.Runner(loop_factory=…)`."""
        return asyncio.SelectorEventLoop(self)
