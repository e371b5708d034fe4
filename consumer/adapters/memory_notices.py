"""Kubernetes Events in memory: the fast twin of what people read with `kubectl describe`."""

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from consumer.ports import Notice, TargetError


@dataclass(frozen=True, slots=True)
class ToldNotice:
    """One Event as it stands: what it says, how often it was told, and from when to when."""

    notice: Notice
    count: int
    first: datetime
    last: datetime


class MemoryNotices:
    """Implements `ports.Notices`; tests let calls fail and read what is `told`."""

    def __init__(self) -> None:
        self.calls = 0
        self._told: dict[Notice, ToldNotice] = {}
        self._failures: deque[TargetError | None] = deque()

    async def tell(self, notice: Notice, *, count: int, first: datetime, last: datetime) -> None:
        """Write it, or raise the count of the one that is there."""
        self.calls += 1
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self._failures and (failure := self._failures.popleft()) is not None:
            raise failure
        before = self._told.get(notice)
        if before is None:
            self._told[notice] = ToldNotice(notice, count, first, last)
        else:
            self._told[notice] = replace(before, count=before.count + count, last=last)

    @property
    def told(self) -> tuple[ToldNotice, ...]:
        """All of them, in the order in which they were first told."""
        return tuple(self._told.values())

    def fail(self, *failures: TargetError | None) -> None:
        """Answer the next calls with these, one each; None: that one is answered as ever."""
        self._failures.extend(failures)
