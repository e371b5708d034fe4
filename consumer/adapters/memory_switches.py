"""Switches in memory: the fast twin of the ConfigMap that says what is frozen."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from consumer.core.control import Control, ControlKind
from consumer.ports import TargetError


class MemorySwitches:
    """Implements `ports.Switches`; tests let calls fail, or the watch."""

    def __init__(self) -> None:
        self._controls: dict[tuple[str, bool], Control] = {}
        self._failures: deque[TargetError | None] = deque()
        self._broken: deque[TargetError] = deque()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[Sequence[Control]]:
        """Yield the whole content at once, then each time that it changes."""
        shown: tuple[Control, ...] | None = None
        while True:
            if self._broken:
                raise self._broken.popleft()
            # Taken before looking, so that a change during a yield is not slept through.
            changed = self._changed
            if self.content() != shown:
                shown = self.content()
                yield shown
            await changed.wait()

    async def apply(self, controls: Sequence[Control]) -> None:
        """Add these; each replaces the earlier one of its pattern and kind."""
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self._failures and (failure := self._failures.popleft()) is not None:
            raise failure
        for control in controls:
            self._controls[control.key_pattern, control.kind is ControlKind.MODE] = control
        self._announce()

    def content(self) -> tuple[Control, ...]:
        """What it holds now, without a call."""
        return tuple(self._controls[place] for place in sorted(self._controls))

    def fail(self, *failures: TargetError | None) -> None:
        """Answer the next changes with these, one each; None: that one is taken as ever."""
        self._failures.extend(failures)

    def break_watch(self, failure: TargetError) -> None:
        """End whoever follows, or the next who begins to, with this."""
        self._broken.append(failure)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
