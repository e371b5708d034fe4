"""One membership from joining to leaving: which partitions are ours, and what is fetched for them."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog

from consumer.ports import LogError, PolicyEntry, PolicyGone, Record
from consumer.worker.intake import Place
from consumer.worker.partition import Partition
from consumer.worker.shared import Shared
from schemas.partitioning import partition_for

log = structlog.get_logger(__name__)

_WAIT = timedelta(seconds=1)
_SAY_AGAIN = 0.5


class Session:
    """Owns partitions while the membership lasts; the first failure ends it for all of them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._over = asyncio.Event()
        self._error: LogError | None = None
        self._tasks = asyncio.TaskGroup()
        self._running: dict[int, asyncio.Task[None]] = {}
        self.partitions: dict[int, Partition] = {}
        self.joined = False
        self.worked = False
        """Whether it ever was a member, so that it was not the joining that failed."""
        self.moved_at = shared.ports.clock.read().now

    async def run(self, stopping: asyncio.Event) -> LogError | None:
        """Work until it is over; returns what ended it, None when that was `stopping`."""
        async with self._tasks as tasks:
            waits = [tasks.create_task(each) for each in (self._member(), self._over.wait(), stopping.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiting in waits:
                    waiting.cancel()
                self.joined = False
                await self._leave()
        return self._error

    async def _member(self) -> None:
        """Join, then fetch until it fails; joining can take for ever, so it is a task that can be cancelled."""
        try:
            await self._shared.ports.membership.start(self)
            self.joined = self.worked = True
            await self._fetch()
        except LogError as error:
            self._fail(error)

    async def _leave(self) -> None:
        """Leave politely, as far as there is time: what is cut off is read again by the next owner."""
        try:
            async with asyncio.timeout(self._shared.settings.drain.total_seconds()):
                await self._shared.ports.membership.stop()
        except (LogError, TimeoutError) as error:
            log.warning("left without a word", error=str(error))
        # Those that the time was too short for too: one that waits for a broker that is gone ends no other way.
        async with asyncio.TaskGroup() as tasks:
            for task in self._running.values():
                tasks.create_task(_cancelled(task))

    async def gained(self, partitions: frozenset[int]) -> None:
        """Begin to take them over."""
        for number in sorted(partitions):
            partition = Partition(self._shared, Place(number, self._shared.ports.membership.partitions))
            task = self._tasks.create_task(self._own(number, partition))
            self.partitions[number], self._running[number] = partition, task

    async def lost(self, partitions: frozenset[int]) -> None:
        """Finish them: what is decided is written, nothing else is."""
        async with asyncio.TaskGroup() as tasks:
            for number in partitions:
                tasks.create_task(self._end(number))

    async def _end(self, number: int) -> None:
        partition, task = self.partitions.pop(number), self._running[number]
        await partition.stop()
        await _cancelled(task)
        # Only now: whoever cuts this off has to end the task.
        del self._running[number]
        for topic in self._shared.settings.subscription().inputs:
            self._shared.ports.telemetry.lag_gone(topic, number)
        for key in partition.desk.states:
            self._shared.ports.telemetry.service_gone(key)
        self._shared.presences.pop(number, None)
        self._shared.tell_presences()
        log.info("partition given up", partition=number)

    async def _own(self, number: int, partition: Partition) -> None:
        try:
            await partition.run()
        except LogError as error:
            log.warning("partition dropped", partition=number, error=str(error))
            self._fail(error)

    def _fail(self, error: LogError) -> None:
        """End the session: the first failure is the one that the others follow from."""
        self._error = self._error or error
        self._over.set()

    async def _fetch(self) -> None:
        membership, settings, clock = self._shared.ports.membership, self._shared.settings, self._shared.ports.clock
        while True:
            records = await membership.fetch(settings.fetch_limit, _WAIT)
            # Nothing is awaited from here to the end: the partitions are the ones that were fetched for.
            self.moved_at = clock.read().now
            for chunk in runs(records):
                partition = self.partitions.get(chunk[0].partition)
                if partition is not None:
                    partition.offer(chunk)

    def changed(self, change: PolicyEntry | PolicyGone) -> None:
        """Hand a policy's change to the partition that its service belongs to, if it is ours."""
        if not self.partitions:
            return
        count = self._shared.ports.membership.partitions
        partition = self.partitions.get(partition_for(change.key.namespace, change.key.name, count))
        if partition is not None:
            partition.changed(change)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task; a client that is just being closed swallows a cancellation, so it is said until it is heard."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_SAY_AGAIN)


def runs(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield what belongs to one topic's partition together, without touching each record more than once."""
    start = 0
    for index, record in enumerate(records):
        first = records[start]
        if record.partition != first.partition or record.topic != first.topic:
            yield records[start:index]
            start = index
    if records:
        yield records[start:]
