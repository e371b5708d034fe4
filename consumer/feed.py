"""What one watcher has not seen yet: at most one entry per target, however slowly it reads."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping

from consumer.ports import TargetKey, TargetView


class Feed:
    """The watchers of one cluster."""

    def __init__(self, views: Mapping[TargetKey, TargetView]) -> None:
        self._views = views
        self._watchers: set[_Watcher] = set()

    def changed(self, target: TargetKey) -> None:
        """This target was made, changed or deleted."""
        for watcher in self._watchers:
            watcher.notice(target)

    async def follow(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield all, then what changes, until it is closed."""
        watcher = _Watcher(self._views)
        self._watchers.add(watcher)
        try:
            while True:
                target = await watcher.next()
                yield self._views.get(target, target)
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    """Targets to be shown, in the order in which they changed first."""

    def __init__(self, targets: Iterable[TargetKey]) -> None:
        self._unseen = OrderedDict.fromkeys(targets)
        self._more = asyncio.Event()

    def notice(self, target: TargetKey) -> None:
        self._unseen[target] = None
        self._more.set()

    async def next(self) -> TargetKey:
        while not self._unseen:
            self._more.clear()
            await self._more.wait()
        target, _ = self._unseen.popitem(last=False)
        return target
