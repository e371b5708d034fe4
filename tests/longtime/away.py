"""A Kafka in memory that can be away, for its clients as the real one is for aiokafka's.

Measured on a broker that was killed, with the time-outs of production: a producer that was open before waits until the
broker is back, however long that is, be it for a record or for a transaction, and so does a commit of offsets; a fetch
returns nothing, time after time; who asks for the ends is refused after 40 s, and who opens anything new at once.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from consumer.adapters.memory import (
    MemoryLog,
    MemoryMembership,
    MemoryPublisher,
    MemoryReader,
    MemoryWriter,
    MemoryWriters,
)
from consumer.ports import Clock, LogError, Output, Ownership, Placed, Record, Subscription, Transaction

_AT_ONCE: Final = timedelta()
_ENDS: Final = timedelta(seconds=40)
_PARTING: Final = timedelta(seconds=10)


class Kafka:
    """The brokers; `unheard` is how many of the next writes land without their writer ever hearing of it."""

    def __init__(self, log: MemoryLog, clock: Clock, patience: timedelta | None = None) -> None:
        self.log = log
        self.clock = clock
        self.patience = patience
        """How long a client that is open waits for its brokers; None: until they are back."""
        self.unheard = 0
        self._members: list[Member] = []
        self._there = asyncio.Event()
        self._there.set()

    @property
    def is_there(self) -> bool:
        """Whether anybody answers."""
        return self._there.is_set()

    def go(self, *, unheard: int = 0) -> None:
        """All brokers are gone from now on."""
        self.unheard = unheard
        self._there.clear()

    async def come_back(self) -> None:
        """They are there again; who was a member is none any more, since nobody heard of it for so long."""
        self._there.set()
        for member in self._members:
            await member.rejoin()

    def member(self, subscription: Subscription) -> "Member":
        """One more member of a group."""
        self._members.append(Member(self, MemoryMembership(self.log, subscription)))
        return self._members[-1]

    def writers(self, group: str) -> "Writers":
        """The writers of a group."""
        return Writers(self, MemoryWriters(self.log, group))

    def lands(self) -> bool:
        """Whether this write was on its way when they went, and arrived."""
        self.unheard -= 1
        return self.unheard >= 0

    async def reached(self, what: str, patience: timedelta | None) -> None:
        """Return as soon as they answer; raises LogError when that takes longer."""
        if self.is_there:
            return
        try:
            async with asyncio.timeout(None if patience is None else patience.total_seconds()):
                await self._there.wait()
        except TimeoutError:
            raise LogError(f"Kafka: {what} failed (no broker answers); see that it runs and can be reached") from None


class Member:
    """A membership of Kafka's groups."""

    def __init__(self, kafka: Kafka, inner: MemoryMembership) -> None:
        self._kafka = kafka
        self._inner = inner
        self._ownership: Ownership | None = None

    @property
    def partitions(self) -> int:
        return self._inner.partitions

    async def start(self, ownership: Ownership) -> None:
        await self._kafka.reached("joining", _AT_ONCE)
        await self._inner.start(ownership)
        self._ownership = ownership

    async def rejoin(self) -> None:
        """Be dropped by the group, hear of it, and come back to it."""
        ownership = self._ownership
        if ownership is None:
            return
        await self._inner.stop()
        # Who gave the membership up over that is not given anything any more.
        if self._ownership is ownership:
            await self._inner.start(ownership)

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        if self._kafka.is_there:
            return await self._inner.fetch(limit, wait)
        await self._kafka.clock.sleep(wait)
        return ()

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        await self._kafka.reached("finding the committed offsets", self._kafka.patience)
        return await self._inner.seek_to_committed(partition)

    async def ends(self, partition: int) -> Mapping[str, int]:
        await self._kafka.reached("asking for the ends", _ENDS)
        return await self._inner.ends(partition)

    async def positions(self, partition: int) -> Mapping[str, int]:
        return await self._inner.positions(partition)

    def pause(self, partition: int) -> None:
        self._inner.pause(partition)

    def resume(self, partition: int) -> None:
        self._inner.resume(partition)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        await self._kafka.reached("committing offsets", self._kafka.patience)
        await self._inner.commit(offsets)

    async def stop(self) -> None:
        self._ownership = None
        await self._inner.stop()
        await self._kafka.reached("leaving the group", _PARTING)


class Writers:
    """Opens the writers of a group's partitions."""

    def __init__(self, kafka: Kafka, inner: MemoryWriters) -> None:
        self._kafka = kafka
        self._inner = inner

    async def open(self, partition: int) -> "Writer":
        await self._kafka.reached("opening a writer", _AT_ONCE)
        return Writer(self._kafka, await self._inner.open(partition))


class Writer:
    """The writer of a partition; one that was cut off may have written all the same."""

    def __init__(self, kafka: Kafka, inner: MemoryWriter) -> None:
        self._kafka = kafka
        self._inner = inner

    @property
    def identity(self) -> str:
        return self._inner.identity

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        landed = not self._kafka.is_there and self._kafka.lands()
        if landed:
            await self._inner.commit(transaction)
        try:
            await self._kafka.reached("a transaction", self._kafka.patience)
        except BaseException:
            await self._inner.close()
            raise
        if not landed:
            return await self._inner.commit(transaction)
        await self._inner.close()
        raise LogError(f"Kafka: a transaction of writer {self.identity} failed (it is over already)")

    async def close(self) -> None:
        await self._inner.close()


class Publisher:
    """The one producer of a process, opened anew after each failure."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._inner = MemoryPublisher(kafka.log)
        self._open = True

    async def publish(self, output: Output) -> Placed:
        landed = None
        if not self._kafka.is_there and self._kafka.lands():
            landed = await self._inner.publish(output)
        try:
            await self._kafka.reached(f"publishing to {output.topic}", self._kafka.patience if self._open else _AT_ONCE)
        except LogError:
            self._open = False
            raise
        self._open = True
        # The same producer, asked by the brokers for it once more, is told that they have it.
        return landed or await self._inner.publish(output)


class Reader:
    """Reads outside of groups."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._inner = MemoryReader(kafka.log)

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        await self._kafka.reached(f"reading {topic}", _AT_ONCE)
        async for records in self._inner.read_to_end(topic, partition):
            yield records

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        await self._kafka.reached(f"reading {topic}", _AT_ONCE)
        async for records in self._inner.follow(topic, partition, offset):
            yield records
