"""One member of a consumer group in memory: what it owns, how far it read, what went wrong in the background."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from consumer.adapters.memory.log import MemoryLog
from consumer.ports import LogError, LogSetupError, Ownership, Record, Subscription


class MemoryMembership:
    """One member of a group over co-partitioned topics of the log in memory."""

    def __init__(self, log: MemoryLog, subscription: Subscription) -> None:
        self._log = log
        self._name = subscription.group
        self._inputs = subscription.inputs
        self._subscription = subscription
        self._committed_only = subscription.committed_only
        self._group = log.group(subscription.group)
        self._ownership: Ownership | None = None
        self._owned: frozenset[int] = frozenset()
        self._resumed: set[int] = set()
        self._positions: dict[tuple[str, int], int] = {}
        self._partitions = 0
        self._trouble: LogError | None = None

    @property
    def partitions(self) -> int:
        """The number of partitions of every keyed topic."""
        return self._partitions

    async def start(self, ownership: Ownership) -> None:
        """Join the group."""
        self._check()
        self._refuse_rivals()
        self._trouble = None
        self._ownership = ownership
        await self._group.join(self)

    async def take(self, partitions: frozenset[int]) -> None:
        """Own these from now on, called by the group: everything owned before is given up first."""
        self._resumed.clear()
        ownership = self._ownership
        if ownership is None:
            return
        try:
            if self._owned:
                # Still owned meanwhile: what is finished now can still be committed.
                await ownership.lost(self._owned)
            self._owned = partitions
            if partitions:
                self._check()
                await ownership.gained(partitions)
        except LogError as error:
            self._owned = partitions
            self._trouble = error
            self._log.wake()

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        """Return records of resumed partitions, waiting for the first of them."""
        grown = self._log.growth()
        if records := self._read(limit):
            return records
        async with asyncio.TaskGroup() as tasks:
            waits = (tasks.create_task(grown.wait()), tasks.create_task(self._log.clock.sleep(wait)))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for waiting in waits:
                waiting.cancel()
        return self._read(limit)

    def _read(self, limit: int) -> list[Record]:
        if self._trouble is not None:
            raise self._trouble
        found: list[Record] = []
        for partition in sorted(self._resumed & self._owned):
            for topic in self._inputs:
                place = (topic, partition)
                records, position = self._log.read(
                    place,
                    self._positions[place],
                    limit=limit - len(found),
                    committed_only=self._committed_only,
                )
                self._positions[place] = position
                found += records
        return found

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        """Go to the committed offsets, or to the beginning."""
        await asyncio.sleep(0)
        self._must_own(partition)
        known = self._log.committed.get(self._name, {})
        for topic in self._inputs:
            self._positions[topic, partition] = known.get((topic, partition), 0)
        return await self.positions(partition)

    async def ends(self, partition: int) -> Mapping[str, int]:
        """The end of each input now."""
        await asyncio.sleep(0)
        return {topic: self._log.end((topic, partition), committed_only=self._committed_only) for topic in self._inputs}

    async def positions(self, partition: int) -> Mapping[str, int]:
        """How far `fetch` came in each input."""
        self._must_own(partition)
        return {topic: self._positions.get((topic, partition), 0) for topic in self._inputs}

    def pause(self, partition: int) -> None:
        """Fetch nothing of it."""
        self._resumed.discard(partition)

    def resume(self, partition: int) -> None:
        """Fetch it again."""
        self._must_own(partition)
        self._resumed.add(partition)
        self._log.wake()

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit outside a transaction."""
        await asyncio.sleep(0)
        for _, partition in offsets:
            self._must_own(partition)
        self._log.committed.setdefault(self._name, {}).update(offsets)

    async def stop(self) -> None:
        """Finish, then leave."""
        await self._group.leave(self)
        lost, self._owned = self._owned, frozenset()
        ownership, self._ownership = self._ownership, None
        if lost and ownership is not None:
            await ownership.lost(lost)

    async def expire(self) -> None:
        """Be dropped by the group without being told, as a member that stands still for too long."""
        await self._group.expire(self)

    def _must_own(self, partition: int) -> None:
        if partition not in self._owned:
            raise LogError(f"partition {partition} of group {self._name} is not ours any more")

    def _check(self) -> None:
        counts = {topic: self._log.count(topic) for topic in (*self._inputs, *self._subscription.keyed)}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
            raise LogSetupError(f"keyed topics must have the same number of partitions, but {said}")
        self._partitions = next(iter(counts.values()))

    def _refuse_rivals(self) -> None:
        rivals = self._subscription.rivals
        if rivals is None:
            return
        for name in self._log.groups_with_members():
            if name.startswith(rivals) and name != self._name:
                raise LogSetupError(
                    f"group {name} reads other topics than {self._name} and still has members; stop all of them first"
                )
