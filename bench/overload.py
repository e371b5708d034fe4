"""What too much of everything does: `python -m bench.overload --records 1000000` (`--quick`: a smoke run).

A worker in a process of its own, on a real Kafka with 4 partitions, comes back to a backlog while fresh requests for
sleeping services go on; then one service sends half of all traffic. A handler gets commands faster than its cluster
takes them. A Prometheus needs longer for its answers than there is between two sweeps.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench._bed import broker, rank
from bench._loads import slow_handler, slow_prometheus
from bench.ingest import SERVICES, Backlog, Meter, bare, busily
from bench.poison import Progress, memory, processor
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount
from schemas.topics import Topic

PARTITIONS = 4
WEBS = 2_000
EVERY = 0.25


@dataclass(slots=True)
class Watched:
    """The worker, as it is seen from outside."""

    process: asyncio.subprocess.Process
    read: int = 0
    at: dict[int, int] = field(default_factory=dict)
    opened: int = 0
    begun: float = 0.0
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        """Note what it prints."""
        if self.process.stdout is None:
            raise RuntimeError("a child's output was asked for, and is not there")
        async for line in self.process.stdout:
            word, number = line.decode().split()
            async with self.grown:
                match word:
                    case "opened":
                        self.opened = int(number)
                    case "read":
                        self.read = int(number)
                    case "reading":
                        self.begun = self.begun or perf_counter()
                    case _:
                        self.at[int(word.removeprefix("at-"))] = int(number)
                self.grown.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that it prints."""
        async with self.grown:
            await self.grown.wait_for(true)


@dataclass(slots=True)
class Wakes:
    """Fresh requests for services that are asleep, and when the command for each was in the log."""

    producer: AIOKafkaProducer
    prefix: str
    asked: dict[str, int] = field(default_factory=dict)
    woken: dict[str, int] = field(default_factory=dict)
    zeros: dict[int, int] = field(default_factory=dict)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def ask(self) -> str:
        """Send a request for a service that nobody asked for yet."""
        name = f"web-{len(self.asked)}"
        place = partition_for("shop", name, PARTITIONS)
        topic, value = Topic.REQUEST_COUNTS.under(self.prefix), RequestCount(1, name, "shop").encode()
        sent = await self.producer.send_and_wait(topic, value, record_key("shop", name), place)
        self.asked[name] = sent.timestamp
        return name

    async def follow(self, bootstrap: str) -> None:
        """Note the commands, by the broker's own times."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        topic = Topic.SCALE_COMMANDS.under(self.prefix)
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        async with consumer:
            async for record in consumer:
                command = orjson.loads(record.value)
                async with self.heard:
                    if command["direction"] == "zero":
                        self.zeros.setdefault(record.partition, perf_counter())
                    self.woken.setdefault(command["service"], record.timestamp)
                    self.heard.notify_all()

    async def delays(self, names: Sequence[str]) -> list[float]:
        """Wait for the commands of these; returns the seconds between each request and its command."""
        async with self.heard:
            await self.heard.wait_for(lambda: self.woken.keys() >= {*names})
        return [(self.woken[name] - self.asked[name]) / 1_000 for name in names]


@asynccontextmanager
async def working(bootstrap: str, prefix: str) -> AsyncIterator[Watched]:
    """A worker in a process of its own; ended when the block is."""
    given = (bootstrap, prefix, str(2**62), str(WEBS), str(SERVICES))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._reader", *given, stdout=asyncio.subprocess.PIPE
    )
    watched = Watched(process)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(watched.follow())
        try:
            yield watched
        finally:
            process.kill()
            await process.wait()
            following.cancel()


async def backlog(worker: Watched, wakes: Wakes, ends: Mapping[int, int], limit: Meter) -> None:
    """Come back to a backlog, while fresh requests go on."""
    await worker.until(lambda: worker.begun > 0)
    pid, records = worker.process.pid, sum(ends.values())
    progress, early, names, idle = Progress("read", records), 0, list[str](), processor(worker.process.pid)
    done: dict[int, float] = {}
    while len(done) < len(ends):
        names.append(await wakes.ask())
        await asyncio.sleep(EVERY)
        progress.tell(worker.read)
        early = early or (memory(pid) if worker.read > records // 10 else 0)
        done |= {
            place: perf_counter() for place, end in ends.items() if place not in done and worker.at.get(place, 0) >= end
        }
    took, cpu, late = perf_counter() - worker.begun, processor(pid) - idle, memory(pid)
    early_sleeps = [place for place, at in wakes.zeros.items() if at < done[place] - EVERY]
    behind = await wakes.delays(names)
    afterwards = await wakes.delays([await wakes.ask() for _ in range(20)])
    each = ", ".join(f"{done[place] - worker.begun:.1f}" for place in sorted(done))
    print(f"\n{records} records behind, 100 services busy, {PARTITIONS} partitions:")
    print(f"  a bare getmany loop takes {limit.wall:.1f} s and {limit.cpu / records * 1e6:.1f} µs cpu a record")
    print(f"  the worker takes {took:.1f} s ({records / took:.0f} records/s), its partitions {each} s;")
    print(f"  {cpu / records * 1e6:.1f} µs cpu a record, {cpu / took:.0%} of a core")
    print(f"  peak memory {early / 1e6:.0f} MB after a tenth, {late / 1e6:.0f} MB at the end")
    print(
        f"  partitions taken over {worker.opened} times (of {PARTITIONS}); slept while behind: {early_sleeps or 'none'}"
    )
    print(f"  {len(behind)} fresh requests meanwhile: {told(behind)}; behind nobody: {told(afterwards)}")


async def half(worker: Watched, wakes: Wakes, *, rate: int, seconds: int) -> None:
    """Offer the same traffic evenly, then half of it for one service, and wake others meanwhile."""
    print(f"\n{rate} requests/s for {seconds} s, 4 wakes each second:")
    kinds = (("no traffic", 0.0, 0), ("evenly, 10,000 services", 0.0, rate), ("half for one service", 0.5, rate))
    for title, busy, offered in kinds:
        names: list[str] = []
        idle, begun = processor(worker.process.pid), perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_traffic(wakes, busy, offered, seconds))
            for _ in range(seconds * 4):
                names.append(await wakes.ask())
                await asyncio.sleep(0.25)
        used = (processor(worker.process.pid) - idle) / (perf_counter() - begun)
        print(f"  {title:24} wakes: {told(await wakes.delays(names))}; {used:.0%} of a core")


async def _traffic(wakes: Wakes, busy: float, rate: int, seconds: int) -> None:
    draw, topic, ticks = random.Random(7), Topic.REQUEST_COUNTS.under(wakes.prefix), 50
    begun = perf_counter()
    for tick in range(seconds * ticks):
        for _ in range(rate // ticks):
            name = f"service-{0 if draw.random() < busy else draw.randrange(1, SERVICES)}"
            place = partition_for("shop", name, PARTITIONS)
            await wakes.producer.send(topic, RequestCount(1, name, "shop").encode(), record_key("shop", name), place)
        await asyncio.sleep(max(begun + (tick + 1) / ticks - perf_counter(), 0))


def told(delays: Sequence[float]) -> str:
    """As it is printed."""
    p50, p99 = rank(delays, 50), rank(delays, 99)
    return f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, longest {max(delays) * 1e3:.0f} ms"


async def main(records: int, *, brief: bool) -> None:
    """Measure and print."""
    async with broker() as bootstrap:
        full = Backlog(bootstrap, "overload.", PARTITIONS, records)
        ends = {place: end for (_, place), end in (await full.fill(busily(records))).items()}
        limit = await bare(full)
        async with (
            AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
            working(bootstrap, full.prefix) as worker,
            asyncio.TaskGroup() as tasks,
        ):
            wakes = Wakes(producer, full.prefix)
            following = tasks.create_task(wakes.follow(bootstrap))
            await backlog(worker, wakes, ends, limit)
            await half(worker, wakes, rate=400, seconds=2 if brief else 15)
            following.cancel()
        await slow_handler(bootstrap, commands=1_000 if brief else 20_000)
    await slow_prometheus(cycles=3 if brief else 10, delay=timedelta(seconds=3))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many are behind")
    parser.add_argument("--quick", action="store_true", help="a few seconds only: a smoke run, not a measurement")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(20_000 if given.quick else given.records, brief=given.quick)))
