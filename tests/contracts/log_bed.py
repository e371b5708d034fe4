"""The bed on which the log's contracts are tested: members, owners and records with fresh names."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

from consumer.ports import (
    LogReader,
    Membership,
    Output,
    Publisher,
    Record,
    Subscription,
    Writers,
)

WAIT = timedelta(milliseconds=200)


class Bed(Protocol):
    """A log to test on: fresh names, and one of everything."""

    async def create(self, topic: str, partitions: int) -> None: ...

    def membership(self, subscription: Subscription) -> Membership: ...

    def writers(self, group: str) -> Writers: ...

    def publisher(self) -> Publisher: ...

    def reader(self) -> LogReader: ...


class Owner:
    """Remembers what it was told; `held` is what it owns now."""

    def __init__(self) -> None:
        self.held: frozenset[int] = frozenset()
        self.told: list[tuple[str, frozenset[int]]] = []
        self._changed = asyncio.Condition()

    async def gained(self, partitions: frozenset[int]) -> None:
        await self._now("gained", partitions)

    async def lost(self, partitions: frozenset[int]) -> None:
        assert partitions == self.held
        await self._now("lost", frozenset())

    async def holds(self, partitions: set[int]) -> None:
        """Wait until it owns exactly these."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.held == partitions)

    async def holds_some(self) -> None:
        """Wait until it owns any."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self.held))

    async def _now(self, what: str, partitions: frozenset[int]) -> None:
        async with self._changed:
            self.told.append((what, partitions))
            self.held = partitions
            self._changed.notify_all()


class Finisher(Owner):
    """Commits its work at the last moment."""

    member: Membership

    def __init__(self, place: tuple[str, int]) -> None:
        super().__init__()
        self._place = place

    async def lost(self, partitions: frozenset[int]) -> None:
        await self.member.commit({self._place: 1})
        await super().lost(partitions)


def names() -> tuple[str, str]:
    """Two topic names that no other test has."""
    mark = uuid.uuid4().hex[:8]
    return f"{mark}.a", f"{mark}.b"


def line(topic: str, text: str, partition: int = 0) -> Output:
    return Output(topic, partition, b"shop/web", text.encode(), (("n", text.encode()),))


def texts(records: Sequence[Record]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


@asynccontextmanager
async def joined(bed: Bed, subscription: Subscription) -> AsyncIterator[tuple[Membership, Owner]]:
    """A member that leaves at the end."""
    member, owner = bed.membership(subscription), Owner()
    await member.start(owner)
    try:
        yield member, owner
    finally:
        await member.stop()


async def ready(member: Membership, owner: Owner, partitions: set[int]) -> None:
    """Wait for the partitions, go to the committed offsets, and let them be fetched."""
    await owner.holds(partitions)
    for partition in partitions:
        await member.seek_to_committed(partition)
        member.resume(partition)


async def fetched(member: Membership, count: int) -> list[Record]:
    """Fetch until there are that many."""
    found: list[Record] = []
    while len(found) < count:
        found += await member.fetch(100, WAIT)
    return found


async def read(reader: LogReader, topic: str, partition: int = 0) -> list[Record]:
    return [record async for batch in reader.read_to_end(topic, partition) for record in batch]


async def halves(one: Owner, other: Owner) -> None:
    """Wait until each has two of four; which of them has the first two is the broker's affair."""
    low, high = {0, 1}, {2, 3}
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(both(one, mine, other, theirs)) for mine, theirs in ((low, high), (high, low))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()


async def both(one: Owner, mine: set[int], other: Owner, theirs: set[int]) -> None:
    await one.holds(mine)
    await other.holds(theirs)
