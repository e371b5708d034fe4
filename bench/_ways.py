"""Ways to wake services that are measured alike: what each does, when it was begun, and how far it came."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench._plane import PARTITIONS, Eyes, Running, Times
from consumer.adapters.kafka import KafkaPublisher
from consumer.ports import Output
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount
from schemas.topics import Topic

_GIVE_UP = 60.0


class Means(Protocol):
    """Something that wakes services of one namespace."""

    @property
    def namespace(self) -> str:
        """The namespace."""
        ...

    @property
    def eyes(self) -> Eyes:
        """Who sees that they are ready."""
        ...

    async def request(self, name: str) -> None:
        """Ask for one; returns when that is answered."""
        ...


@dataclass(frozen=True, slots=True)
class Produced:
    """An installation of ours, whose log requests are produced to."""

    installation: Running
    publisher: KafkaPublisher

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.installation.namespace

    @property
    def eyes(self) -> Eyes:
        """Who sees that they are ready."""
        return self.installation.eyes

    async def request(self, name: str) -> None:
        """Produce a RequestCount; returns when the log has it."""
        topic = Topic.REQUEST_COUNTS.under(f"{self.namespace}.")
        place, key = partition_for(self.namespace, name, PARTITIONS), record_key(self.namespace, name)
        await self.publisher.publish(Output(topic, place, key, RequestCount(1, name, self.namespace).encode()))


@dataclass(slots=True)
class Way:
    """One way to wake, and what came of it."""

    means: Means
    prefix: str = ""
    begun: Times = field(default_factory=dict)
    accepted: Times = field(default_factory=dict)

    async def wake(self, names: Sequence[str]) -> None:
        """Wake all of these at once, and wait until all are ready; one request has to do for each."""
        names = self.named(names)
        await asyncio.gather(*(self._wake(name) for name in names))
        try:
            async with asyncio.timeout(_GIVE_UP):
                await self.means.eyes.all_ready(names)
        except TimeoutError:
            missing = [name for name in names if name not in self.means.eyes.ready]
            print(f"    {self.means.namespace}: not ready after {_GIVE_UP:.0f} s: {', '.join(missing)}")

    def named(self, names: Sequence[str]) -> Sequence[str]:
        """The same services by the names that they have here."""
        return [f"{self.prefix}{name}" for name in names]

    def took(self, reached: Times, names: Sequence[str]) -> list[float]:
        """Milliseconds from the sending of the request to there, of those that came there."""
        return [(reached[name] - self.begun[name]) * 1e3 for name in self.named(names) if name in reached]

    async def _wake(self, name: str) -> None:
        self.begun[name] = time.time()
        await self.means.request(name)
