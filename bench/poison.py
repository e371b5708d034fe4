"""What a flood of poison costs a whole worker: `python -m bench.poison --records 1000000` (`--quick`: a smoke run).

Records that can not be used, of many kinds, lie in a row in `request-counts`; between two lots of them, and behind them
all, a request for a service that is asleep. A worker in a process of its own reads them, on a real Kafka. Told are the
pace beside a bare loop that only fetches the same topic, the largest memory of that process, and whether every record
ended in the dead letters, once, and every request in a command.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench._bed import broker, topics
from consumer.adapters.kafka import KafkaConnection, KafkaReader
from schemas.dead_letter import OFFSET, said_of
from schemas.partitioning import record_key
from schemas.request_count import RequestCount
from schemas.topics import Topic

REQUESTS = 10
PREFIX = "poison."
# Each stands for a kind of mistake; some are long, most are short, as mistakes are.
KINDS: Sequence[bytes] = (
    b"",
    b"not JSON at all",
    b"\x00\xff\xfe binary \x80",
    b'{"count": -1, "svc": "web", "namespace": "shop"}',
    b'{"count": 1.5, "svc": "web", "namespace": "shop"}',
    b'{"count": "1", "svc": "web", "namespace": "shop"}',
    b'{"count": 99999999999999999999, "svc": "web", "namespace": "shop"}',
    b'{"svc": "Web_1", "namespace": "shop"}',
    b'{"svc": "web"}',
    b'["svc", "web", "namespace", "shop"]',
    b'{"svc": "web", "namespace": "shop"',
    b'{"a":' * 60 + b"1" + b"}" * 60,
    b"[" * 2_000,
    json.dumps({"svc": "w" * 500, "namespace": "shop"}).encode(),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one reading gave."""

    records: int
    wall: float
    cpu: float
    peak: int

    def line(self, way: str) -> str:
        """As it is printed."""
        cost = self.cpu / self.records * 1e6
        return f"  {way:20} {self.wall:7.1f} s {self.records / self.wall:9.0f} records/s {cost:7.1f} µs cpu a record"


def content(records: int) -> Iterator[bytes]:
    """Yield the poison, with a request after each tenth part."""
    for number in range(records):
        yield KINDS[number % len(KINDS)]
        if (number + 1) % (records // REQUESTS) == 0:
            yield RequestCount(1, f"web-{(number + 1) // (records // REQUESTS)}", "shop").encode()


async def fill(bootstrap: str, records: int) -> int:
    """Write it all to one partition; returns where it ends."""
    await topics(bootstrap, PREFIX, 1)
    name, written, progress = Topic.REQUEST_COUNTS.under(PREFIX), 0, Progress("written", records)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=262_144) as producer:
        for value in content(records):
            await producer.send(name, value, None if written % 3 else record_key("shop", "web"), 0)
            written += 1
            progress.tell(written)
    return written


async def bare(bootstrap: str, end: int) -> Figures:
    """Fetch it all in a loop and do nothing with it."""
    consumer, seen = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest"), 0
    consumer.assign([TopicPartition(Topic.REQUEST_COUNTS.under(PREFIX), 0)])
    async with consumer:
        begun, cpu = perf_counter(), process_time()
        while seen < end:
            found = await consumer.getmany(timeout_ms=1_000)
            seen += sum(len(records) for records in found.values())
        return Figures(end, perf_counter() - begun, process_time() - cpu, 0)


async def ours(bootstrap: str, end: int) -> Figures:
    """Let a worker of its own process read it all; its memory is looked at from outside."""
    arguments = (bootstrap, PREFIX, str(end), str(REQUESTS), "0")
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._reader", *arguments, stdout=asyncio.subprocess.PIPE
    )
    if worker.stdout is None:
        raise RuntimeError("a child's output was asked for, and is not there")
    begun = wall = idle = cpu = 0.0
    peak, progress = 0, Progress("read", end)
    async for line in worker.stdout:
        word, number = line.decode().split()
        if word == "reading" and not begun:
            begun, idle = perf_counter(), processor(worker.pid)
        elif word == "read":
            progress.tell(int(number))
            peak = max(peak, memory(worker.pid))
            wall, cpu = perf_counter() - begun, processor(worker.pid) - idle
    if await worker.wait():
        raise RuntimeError("the worker ended by itself; its own lines say why")
    return Figures(end, wall, cpu, peak)


def processor(pid: int) -> float:
    """Return the processor time of a process so far, in seconds: what a busy machine does not change."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Return the largest resident memory of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


class Progress:
    """Says how far something is, ten times."""

    def __init__(self, what: str, of: int) -> None:
        self._what = what
        self._of = of
        self._next = 1

    def tell(self, done: int) -> None:
        """Show it when another tenth is done."""
        while done >= self._of * self._next // 10 and self._next <= 10:
            print(f"  {self._what} {self._of * self._next // 10} of {self._of}", flush=True)
            self._next += 1


async def accounted(bootstrap: str, end: int) -> str:
    """Count dead letters and commands."""
    reader = KafkaReader(KafkaConnection(bootstrap))
    offsets: set[int] = set()
    letters = wakes = 0
    async for records in reader.read_to_end(Topic.DEAD_LETTER.under(PREFIX), 0):
        letters += len(records)
        offsets.update(int(said_of(record.headers)[OFFSET]) for record in records)
    async for records in reader.read_to_end(Topic.SCALE_COMMANDS.under(PREFIX), 0):
        wakes += len({record.key for record in records})
    assert letters == len(offsets) == end - REQUESTS, f"{letters} dead letters of {len(offsets)} records"
    assert wakes >= REQUESTS
    return f"  {letters} dead letters, each of another record; {REQUESTS} of {REQUESTS} requests led to a command"


async def main(records: int) -> None:
    """Measure and print."""
    async with broker() as bootstrap:
        end = await fill(bootstrap, records)
        limit = await bare(bootstrap, end)
        worker = await ours(bootstrap, end)
        print(f"\n{records} poison records in a row, {len(KINDS)} kinds of them, and {REQUESTS} requests:")
        print(limit.line("bare getmany loop"))
        print(worker.line("our worker"), f"{worker.cpu / limit.cpu:6.1f} x, peak {worker.peak / 1e6:.0f} MB")
        print(await accounted(bootstrap, end))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many")
    parser.add_argument("--quick", action="store_true", help="a few seconds only: a smoke run, not a measurement")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(10_000 if given.quick else given.records)))
