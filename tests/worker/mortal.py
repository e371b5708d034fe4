"""Ports that die at a chosen call, before it takes effect or after, and stay dead: a kill at that very step."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from consumer.core.answers import Answers
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.ports import (
    Judges,
    LogReader,
    Membership,
    Output,
    Ownership,
    Placed,
    Publisher,
    Record,
    Subject,
    Transaction,
    Writer,
    Writers,
)
from consumer.worker.settings import WorkerPorts
from schemas.topics import Topic


class KilledError(Exception):
    """The process is gone; nothing that it still tries has an effect."""


class Fate:
    """Counts the steps of a life; `last` is the step at which it ends (0: never)."""

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self.steps: list[str] = []
        self.dead = False

    def step(self, name: str) -> None:
        """Take one more step, or die."""
        if self._last and len(self.steps) >= self._last:
            self.dead = True
            raise KilledError
        self.steps.append(name)


class MortalMembership:
    """A membership of a mortal; who is dead does not leave, but is missed by the others."""

    def __init__(self, real: Membership, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    @property
    def partitions(self) -> int:
        return self._real.partitions

    async def start(self, ownership: Ownership) -> None:
        self._fate.step("start")
        await self._real.start(ownership)

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        records = await self._real.fetch(limit, wait)
        if records:
            self._fate.step("fetch")
        return records

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        self._fate.step("seek")
        return await self._real.seek_to_committed(partition)

    async def ends(self, partition: int) -> Mapping[str, int]:
        return await self._real.ends(partition)

    async def positions(self, partition: int) -> Mapping[str, int]:
        return await self._real.positions(partition)

    def pause(self, partition: int) -> None:
        self._real.pause(partition)

    def resume(self, partition: int) -> None:
        self._fate.step("resume")
        self._real.resume(partition)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        raise AssertionError(f"the worker commits offsets in its transactions only, not {offsets}")

    async def stop(self) -> None:
        self._fate.step("leave")
        await self._real.stop()


class MortalWriter:
    """The writer of a mortal."""

    def __init__(self, real: Writer, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    @property
    def identity(self) -> str:
        return self._real.identity

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        command = any(output.topic.endswith(Topic.SCALE_COMMANDS) for output in transaction.outputs)
        what = "a wake's commit" if command else "a commit"
        self._fate.step(f"before {what}")
        placed = await self._real.commit(transaction)
        self._fate.step(f"after {what}")
        return placed

    async def close(self) -> None:
        return


class MortalWriters:
    """The writers of a mortal."""

    def __init__(self, real: Writers, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    async def open(self, partition: int) -> Writer:
        self._fate.step("before opening a writer")
        writer = await self._real.open(partition)
        self._fate.step("after opening a writer")
        return MortalWriter(writer, self._fate)


class MortalPublisher:
    """The publisher of a mortal."""

    def __init__(self, real: Publisher, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    async def publish(self, output: Output) -> Placed:
        self._fate.step("before publishing")
        placed = await self._real.publish(output)
        self._fate.step("after publishing")
        return placed


class MortalReader:
    """The reader of a mortal."""

    def __init__(self, real: LogReader, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        self._fate.step("restoring")
        async for records in self._real.read_to_end(topic, partition):
            yield records
        self._fate.step("restored")

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        async for records in self._real.follow(topic, partition, offset):
            yield records


class MortalJudges:
    """The judges of a mortal."""

    def __init__(self, real: Judges, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        self._fate.step("sweeping")
        return await self._real.sweep(subjects, now)

    def window_of(self, policy: Policy) -> timedelta | None:
        return self._real.window_of(policy)


def mortal(ports: WorkerPorts, fate: Fate) -> WorkerPorts:
    """Return ports that share one fate."""
    return replace(
        ports,
        membership=MortalMembership(ports.membership, fate),
        writers=MortalWriters(ports.writers, fate),
        publisher=MortalPublisher(ports.publisher, fate),
        reader=MortalReader(ports.reader, fate),
        judges=MortalJudges(ports.judges, fate),
    )
