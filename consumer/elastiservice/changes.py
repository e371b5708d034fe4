"""Those who follow the changes of policies: each sees every change of a service, or the last of several unread ones."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from weakref import WeakSet

from consumer.ports import PolicyEntry, PolicyGone

Change = PolicyEntry | PolicyGone


class Changes(AsyncIterator[Change]):
    """One follower: at most one unread change per service is kept for it."""

    def __init__(self, unread: Iterable[Change] = ()) -> None:
        self._unread = {change.key: change for change in unread}
        self._some = asyncio.Event()

    def tell(self, change: Change) -> None:
        """Note a change."""
        self._unread[change.key] = change
        self._some.set()

    async def __anext__(self) -> Change:
        while not self._unread:
            self._some.clear()
            await self._some.wait()
        return self._unread.pop(next(iter(self._unread)))


class Followers:
    """All who follow; one that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._followers: WeakSet[Changes] = WeakSet()

    def follow(self, unread: Iterable[Change] = ()) -> Changes:
        """Return a new follower, with what it is to see first."""
        follower = Changes(unread)
        self._followers.add(follower)
        return follower

    def tell(self, change: Change) -> None:
        """Tell everyone."""
        for follower in self._followers:
            follower.tell(change)
