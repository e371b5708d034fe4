"""Consumer groups in memory: range assignment, eager rebalances, members that vanish without a word."""

import asyncio
from typing import Protocol


class Member(Protocol):
    """What a group asks of its members."""

    @property
    def partitions(self) -> int:
        """The number of partitions to be shared."""

    async def take(self, partitions: frozenset[int]) -> None:
        """Give up everything owned before, and own these from now on."""


class MemoryGroup:
    """The members of one group and who owns what; rebalances come one after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._members: list[Member] = []

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self._members)

    async def join(self, member: Member) -> None:
        """Add a member; everyone gives up what it had, and gets its new share."""
        async with self._lock:
            await self._revoke()
            self._members.append(member)
            await self._assign()

    async def leave(self, member: Member) -> None:
        """Let a member finish what it has, then share it out among the others."""
        async with self._lock:
            if member not in self._members:
                return
            await self._revoke()
            self._members.remove(member)
            await self._assign()

    async def expire(self, member: Member) -> None:
        """Drop a member as its session time-out does: it is not told, and the others take over."""
        async with self._lock:
            self._members.remove(member)
            await self._revoke()
            await self._assign()

    async def _revoke(self) -> None:
        for member in self._members:
            await member.take(frozenset())

    async def _assign(self) -> None:
        count = len(self._members)
        for index, member in enumerate(self._members):
            # Range: consecutive partitions, the first members get one more.
            each, more = divmod(member.partitions, count)
            first = each * index + min(index, more)
            await member.take(frozenset(range(first, first + each + (1 if index < more else 0))))
