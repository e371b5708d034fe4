"""A worker in a process of its own, whose memory and pace can be looked at from outside.

`python -m bench._reader BOOTSTRAP PREFIX END WEBS SERVICES`: it prints `opened N` for each partition that it takes
over, `reading 0`, then `read N` as its offsets move, and ends when N is END. Its policies are those of shop/web-0 …
shop/web-WEBS, of whom nothing is known, and of shop/service-0 … shop/service-SERVICES; all of them are idle.
"""

import asyncio
import sys
from collections.abc import Mapping
from datetime import timedelta

from bench.ingest import StampedMembership, StampedWriter, StampedWriters, policy_of
from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader
from consumer.app.parts import collect_rarely
from consumer.core.service import ServiceKey
from consumer.telemetry import Telemetry, configure_logging
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.topics import Topic
from tests.worker.bed import Listed, Says, policy


class Counted(StampedWriters):
    """Tells how often a partition was taken over: more often than there are partitions means a rebalance."""

    opened = 0

    async def open(self, partition: int) -> StampedWriter:  # type: ignore[override]  # a writer as the port has it
        """Open as ever."""
        self.opened += 1
        say("opened", self.opened)
        return await super().open(partition)


class Told:
    """Prints how far the worker is with its requests; the other inputs hold nothing."""

    def __init__(self, topic: str, end: int) -> None:
        self._topic = topic
        self._end = end
        self._durable: dict[tuple[str, int], int] = {}
        self.done = asyncio.Event()

    def begin(self) -> None:
        """Reading begins."""
        say("reading", 0)

    def committed(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """These offsets are durable."""
        self._durable.update(offsets)
        mine = {place: offset for (topic, place), offset in self._durable.items() if topic == self._topic}
        for place in {place for topic, place in offsets if topic == self._topic}:
            say(f"at-{place}", mine[place])
        read = sum(mine.values())
        say("read", read)
        if read >= self._end:
            self.done.set()


def say(word: str, number: int) -> None:
    """Tell whoever started us."""
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


async def main(bootstrap: str, prefix: str, end: int, webs: int, services: int) -> None:
    """Read until the end."""
    configure_logging("json", "error")
    collect_rarely()
    connection = KafkaConnection(bootstrap)
    settings = WorkerSettings(prefix=prefix, interval=timedelta(seconds=30))
    told = Told(settings.topic(Topic.REQUEST_COUNTS), end)
    membership = StampedMembership(connection, settings.subscription())
    writers = Counted(connection, settings.subscription().group)
    membership.meter = writers.meter = told
    publisher = KafkaPublisher(connection)
    ports = WorkerPorts(
        membership=membership,
        writers=writers,
        publisher=publisher,
        reader=KafkaReader(connection),
        judges=Says(),
        policies=Listed(
            *(policy(ServiceKey("shop", f"web-{number}")) for number in range(webs + 1)),
            *(policy_of(f"service-{number}") for number in range(services)),
        ),
        clock=BrokerClock(),
        telemetry=Telemetry("default", "bench"),
    )
    worker = Worker(ports, settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await told.done.wait()
        await worker.stop()
    await publisher.close()


if __name__ == "__main__":
    where, names, *numbers = sys.argv[1:]
    asyncio.run(main(where, names, *map(int, numbers)))
