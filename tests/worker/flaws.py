"""A log that fails where it is told to: the memory twin with flaws, for the worker's bad days."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from consumer.adapters.memory import MemoryMembership
from consumer.ports import (
    LogError,
    LogReader,
    Output,
    Placed,
    Publisher,
    Record,
    Transaction,
    Writer,
    Writers,
)
from consumer.worker.settings import WorkerPorts
from tests.worker.bed import Bed


class Flaw:
    """A log that fails as often as it is told to."""

    def __init__(self, times: int = 0) -> None:
        self.times = times

    def check(self) -> None:
        if self.times:
            self.times -= 1
            raise LogError("the broker is away")


class FlawedWriters:
    """Writers whose openings, or whose commits, fail."""

    def __init__(self, real: Writers, opening: Flaw, commits: Flaw) -> None:
        self._real, self._opening, self._commits = real, opening, commits

    async def open(self, partition: int) -> Writer:
        self._opening.check()
        return _FlawedWriter(await self._real.open(partition), self._commits)


class _FlawedWriter:
    def __init__(self, real: Writer, commits: Flaw) -> None:
        self._real, self._commits = real, commits

    @property
    def identity(self) -> str:
        return self._real.identity

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        self._commits.check()
        return await self._real.commit(transaction)

    async def close(self) -> None:
        await self._real.close()


class SilentWriters:
    """Writers whose commits wait for an answer that never comes, once they are `silent`."""

    def __init__(self, real: Writers) -> None:
        self._real = real
        self.silent = False
        self.waiting = asyncio.Event()

    async def open(self, partition: int) -> Writer:
        return _SilentWriter(await self._real.open(partition), self)


class _SilentWriter:
    def __init__(self, real: Writer, broker: SilentWriters) -> None:
        self._real, self._broker = real, broker

    @property
    def identity(self) -> str:
        return self._real.identity

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        if self._broker.silent:
            self._broker.waiting.set()
            await asyncio.Event().wait()
        return await self._real.commit(transaction)

    async def close(self) -> None:
        await self._real.close()


class FlawedPublisher:
    """A publisher that fails."""

    def __init__(self, real: Publisher, flaw: Flaw) -> None:
        self._real, self._flaw = real, flaw

    async def publish(self, output: Output) -> Placed:
        self._flaw.check()
        return await self._real.publish(output)


class FlawedReader:
    """A reader that fails."""

    def __init__(self, real: LogReader, flaw: Flaw) -> None:
        self._real, self._flaw = real, flaw

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        self._flaw.check()
        async for records in self._real.read_to_end(topic, partition):
            yield records

    async def follow(self, topic: str, partition: int, offset: int | None = None) -> AsyncIterator[Sequence[Record]]:
        self._flaw.check()
        async for records in self._real.follow(topic, partition, offset):
            yield records


class FlawedMembership(MemoryMembership):
    """A membership whose fetches, or questions about ends and positions, fail."""

    fetches = Flaw()
    questions = Flaw()
    answers = Flaw()

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        self.fetches.check()
        return await super().fetch(limit, wait)

    async def ends(self, partition: int) -> Mapping[str, int]:
        self.questions.check()
        return await super().ends(partition)

    async def positions(self, partition: int) -> Mapping[str, int]:
        self.answers.check()
        return await super().positions(partition)


class OneByOne(MemoryMembership):
    """A membership that fetches single records, as brokers do of large ones."""

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        return await super().fetch(min(limit, 1), wait)


def flawed(bed: Bed, *, opening: Flaw | None = None, commits: Flaw | None = None) -> WorkerPorts:
    ports = bed.ports()
    return replace(ports, writers=FlawedWriters(ports.writers, opening or Flaw(), commits or Flaw()))
