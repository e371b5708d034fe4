"""What writes to the log in memory and reads it outside of groups."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from consumer.adapters.memory.log import Fate, MemoryLog, Producer, Span
from consumer.ports import FencedError, LogError, Output, Placed, Record, Transaction

_BATCH = 500


class MemoryWriters:
    """Opens the transactional writers of one group's partitions."""

    def __init__(self, log: MemoryLog, group: str) -> None:
        self._log = log
        self._group = group

    async def open(self, partition: int) -> "MemoryWriter":
        """Fence every earlier writer of the partition and abort what it left open."""
        await asyncio.sleep(0)
        return MemoryWriter(self._log, self._group, self._log.fence(f"{self._group}-{partition}"))


class MemoryWriter:
    """One opening of a partition's writer, until the next opening fences it."""

    def __init__(self, log: MemoryLog, group: str, producer: Producer) -> None:
        self._log = log
        self._group = group
        self._producer = producer
        self._epoch = producer.epoch
        self._broken = False

    @property
    def identity(self) -> str:
        """Producer number and epoch."""
        return f"{self._producer.number}-{self._epoch}"

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        """Write all or nothing; a commit that was cut short is aborted by the next opening."""
        self._check()
        # Until the end is known: a cancelled commit is one of unknown outcome.
        self._broken = True
        span = self._producer.open = Span()
        placed = tuple(self._log.append(output, span) for output in transaction.outputs)
        # Between its records and its end a transaction is open for others to see, as on a real broker.
        await asyncio.sleep(0)
        self._broken = False
        self._check()
        self._producer.open = None
        self._log.committed.setdefault(self._group, {}).update(transaction.offsets)
        self._log.finish(span, Fate.COMMITTED)
        return placed

    async def close(self) -> None:
        """Write nothing more."""
        self._broken = True

    def _check(self) -> None:
        if self._producer.epoch != self._epoch:
            raise FencedError(f"writer {self.identity} of {self._group} was fenced by epoch {self._producer.epoch}")
        if self._broken:
            raise LogError(f"writer {self.identity} of {self._group} is closed or failed; open a new one")


class MemoryPublisher:
    """The non-transactional way out."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def publish(self, output: Output) -> Placed:
        """Append one record."""
        await asyncio.sleep(0)
        return self._log.append(output)


class MemoryReader:
    """Committed reads outside of any group."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        """Yield everything up to the end as it was at the call."""
        place = (topic, partition)
        end = self._log.end(place, committed_only=True)
        position = 0
        while position < end:
            records, position = self._log.read(place, position, limit=_BATCH, committed_only=True)
            await asyncio.sleep(0)
            yield [record for record in records if record.offset < end]

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        """Yield from `offset` (None: the end) on, for ever."""
        place = (topic, partition)
        position = self._log.end(place, committed_only=True) if offset is None else offset
        while True:
            grown = self._log.growth()
            records, position = self._log.read(place, position, limit=_BATCH, committed_only=True)
            if records:
                yield records
            else:
                await grown.wait()
