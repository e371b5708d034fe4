"""What ours costs on a real API server, beside a bare conditional patch: `python -m bench.cluster`.

The program with all roles is a process of its own, with the defaults of production; Kafka and the control plane are
real. A request comes in at the gateway; when a wake was accepted says the API server's audit log, for ours as for the
bare loop, which only patches. `--only wakes|steady|memory` does one part.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from statistics import median

from bench._bed import rank
from bench._plane import DEPLOYMENTS, POLICIES, Bare, Bed, Objects, Running, Times, bed, policy, running, tally
from consumer.telemetry import configure_logging
from tests.bed.manifests import Manifest, deployment

WINDOW_OF_A_NAP = {"type": "request-count", "metadata": {"threshold": "1", "window": "1s"}}
EVERY = 5.0


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    configure_logging("json", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    parts = {"wakes": wakes, "steady": steady, "memory": memory}
    async with bed() as servers:
        for name in [options.only] if options.only else parts:
            print(f"\n== {name} (load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores)")
            await parts[name](servers, options)


class Round:
    """Wakes one way, as many at once as asked, and remembers when each began and how it went on."""

    def __init__(self, way: Running | Bare) -> None:
        self.way = way
        self.begun: Times = {}
        self.answered: Times = {}

    async def wake(self, names: Sequence[str]) -> None:
        """Wake all of these at once, and wait until all are ready."""
        await asyncio.gather(*(self._wake(name) for name in names))
        await self.way.eyes.all_ready(names)

    async def _wake(self, name: str) -> None:
        self.begun[name] = time.time()
        await self.way.request(name)
        self.answered[name] = time.time()

    def took(self, reached: Times, names: Sequence[str]) -> list[float]:
        """Milliseconds from the request to there."""
        return [(reached[name] - self.begun[name]) * 1e3 for name in names]


async def wakes(servers: Bed, options: argparse.Namespace) -> None:
    """One at a time, 100 at once, and what is asked of the API server for each."""
    warm, serial, size, pairs, naps = (3, 10, 20, 1, 5) if options.quick else (10, 100, 100, 3, 20)
    names = [f"s{number}" for number in range(warm + serial + size * pairs)]
    sleepers = [f"nap{number}" for number in range(naps)]
    await servers.fill("ours", [*asleep(names), *asleep(sleepers, cooldownPeriod=120, triggers=[WINDOW_OF_A_NAP])])
    await servers.fill("bare", [(DEPLOYMENTS, deployment(name)) for name in names])
    start = servers.plane.audit_mark()
    async with running(servers, "ours") as program, Bare(servers, "bare").watched(servers.api) as loop:
        await program.eyes.all_known([*names, *sleepers])
        await servers.settled(paces=True)
        print(
            f"  until {len(names) + len(sleepers)} sleeping services were known: {told(await counted(servers, start))}"
        )
        start = servers.plane.audit_mark()
        ours, bare = Round(program), Round(loop)
        groups = await alternate(servers, (ours, bare), iter(names), [1] * (warm + serial))
        await servers.settled(paces=True)
        print(f"\n  of the API server, for each of {warm + serial} wakes one at a time:")
        print(f"    {told(await counted(servers, start), warm + serial)}")
        middle = servers.plane.audit_mark()
        large = await alternate(servers, (ours, bare), islice(names, warm + serial, None), [size] * pairs)
        print(f"  and of {size * pairs}, {size} at once, in the first seconds: ", end="")
        print(told(await counted(servers, middle), size * pairs))
        done = [await servers.scaled(way.way.namespace, start) for way in (ours, bare)]
        stages(f"one at a time, {serial} wakes", (ours, bare), done, [name for (name,) in groups[warm:]])
        for number, group in enumerate(large, 1):
            stages(f"{size} at once, pair {number}", (ours, bare), done, group)
        summary((ours, bare), done, large)
        await naps_of(servers, program, sleepers)


async def alternate(
    servers: Bed, ways: Sequence[Round], names: Iterator[str], plan: Sequence[int]
) -> list[Sequence[str]]:
    """Wake the next services by every way in turn, each when the one before has come to rest."""
    groups = []
    for many in plan:
        group = list(islice(names, many))
        for way in ways:
            await way.wake(group)
            if many > 1:
                await servers.settled()
        groups.append(group)
    await servers.settled()
    return groups


async def naps_of(servers: Bed, program: Running, sleepers: Sequence[str]) -> None:
    """Wake some that go back to sleep by themselves, and count what the sleep takes."""
    await Round(program).wake(sleepers)
    await program.eyes.all_known(sleepers, replicas=1)
    await servers.settled(paces=True)
    start = servers.plane.audit_mark()
    await program.eyes.all_known(sleepers)
    await servers.settled(paces=True)
    print(f"\n  of the API server, for each of {len(sleepers)} sleeps:")
    print(f"    {told(await counted(servers, start), len(sleepers))}")


async def steady(servers: Bed, options: argparse.Namespace) -> None:
    """Services that stay as they are: 50 asleep, and 20 that get requests all the time."""
    resting, busy = [f"rest{number}" for number in range(50)], [f"busy{number}" for number in range(20)]
    running_ones = [each for name in busy for each in ((DEPLOYMENTS, deployment(name, 1)), (POLICIES, policy(name)))]
    await servers.fill("steady", [*asleep(resting), *running_ones])
    minutes = 0.2 if options.quick else options.minutes
    async with running(servers, "steady") as program, asyncio.TaskGroup() as tasks:
        traffic = tasks.create_task(send(program, busy))
        await program.eyes.all_known(resting)
        await program.eyes.all_known(busy, replicas=1)
        await servers.settled(paces=True)
        start, worked = servers.plane.audit_mark(), program.cpu()
        await asyncio.sleep(minutes * 60)
        asked, worked = await servers.asked(start), program.cpu() - worked
        traffic.cancel()
    writes = [entry for entry in asked if entry.writes]
    print(f"  {len(resting)} asleep, {len(busy)} busy (a request each per {EVERY:g} s), for {minutes:g} min")
    print(f"  writes: {len(writes)}; processor: {worked / minutes / 0.6:.1f} % of a core")
    print(f"  asked per minute: {told(tally(asked), minutes)}")
    for entry in writes:
        print(f"    {entry.at:%T} {entry.verb} {entry.uri} {entry.code}")
    assert not writes, "steady services must cost no write"


async def send(program: Running, names: Sequence[str]) -> None:
    """Send each a request now and then."""
    while True:
        await asyncio.gather(*(program.request(name) for name in names))
        await asyncio.sleep(EVERY)


async def memory(servers: Bed, options: argparse.Namespace) -> None:
    """The memory of the whole program that knows many services at zero: at the very first start, and at the next."""
    count, rest = (200, 5) if options.quick else (options.services, 30)
    await servers.fill("empty", [])
    async with running(servers, "empty") as program:
        await servers.settled()
        empty = program.memory()
    print(f"  {empty:.0f} MB without services")
    names = [f"service-{number}" for number in range(count)]
    await servers.fill("many", [(where, paused(manifest)) for where, manifest in asleep(names)])
    for title in ("first start", "next start"):
        start, began = servers.plane.audit_mark(), time.time()
        async with running(servers, "many") as program:
            await program.eyes.all_known(names)
            known = time.time() - began
            await servers.settled(paces=title == "first start")
            settled = time.time() - began
            first, start, worked = await counted(servers, start), servers.plane.audit_mark(), program.cpu()
            await asyncio.sleep(rest)
            worked, full = program.cpu() - worked, program.memory()
            later = await counted(servers, start)
        each = (full - empty) / count
        print(f"  {title}, {count} services: up after {known:.0f} s, nothing left to write after {settled:.0f} s")
        print(f"    asked until then: {told(first)}")
        print(f"    {rest} s at rest: {worked / rest * 100:.1f} % of a core; asked: {told(later)}")
        print(f"    memory {full:.0f} MB, {each * 1024:.1f} KB a service", end="")
        print("" if count >= 10_000 else f"; 10,000: {empty + each * 10_000:.0f} MB (extrapolated, not measured)")


def asleep(names: Sequence[str], **spec: object) -> Objects:
    """A Deployment at zero and its policy, for each."""
    return [each for name in names for each in ((DEPLOYMENTS, deployment(name)), (POLICIES, policy(name, **spec)))]


def paused(manifest: Manifest) -> Manifest:
    """The same, left alone by the controllers."""
    if manifest["kind"] == "Deployment":
        manifest["spec"]["paused"] = True
    return manifest


async def counted(servers: Bed, since: int) -> Mapping[str, int]:
    """What ours asked of the API server since."""
    return tally(await servers.asked(since))


def told(counts: Mapping[str, int], per: float = 1) -> str:
    """Say how often what was asked, for each of so many."""
    return ", ".join(f"{what} {count / per:.4g}" for what, count in sorted(counts.items())) or "nothing"


def stages(title: str, ways: tuple[Round, Round], done: Sequence[Times], names: Sequence[str]) -> None:
    """Print one table: milliseconds from the request, and times the bare patch."""
    (ours, bare), (ours_done, bare_done) = ways, done
    eyes = ours.way.eyes
    limit, ready = bare.took(bare_done, names), bare.took(bare.way.eyes.ready, names)
    print(f"\n  {title:40} {'p50':>11} {'p99':>11}")
    line("bare: accepted", limit, limit)
    line("ours: request acknowledged", ours.took(ours.answered, names), limit)
    line("ours: command can be read", ours.took(eyes.commands, names), limit)
    line("ours: accepted", ours.took(ours_done, names), limit)
    line("ours: accepted, as Kafka says", ours.took(eyes.results["accepted"], names), limit)
    line("bare: ready", ready, ready)
    line("ours: ready", ours.took(eyes.ready, names), ready)
    late = [(eyes.results["ready"][name] - eyes.ready[name]) * 1e3 for name in names if name in eyes.results["ready"]]
    print(f"    {'ours: ready told, after the watch':38} {rank(late, 50):8.1f} ms {rank(late, 99):8.1f} ms")


def line(name: str, times: Sequence[float], limit: Sequence[float]) -> None:
    """Print one way's percentiles."""
    ratios = " ".join(f"{rank(times, percent) / rank(limit, percent):6.2f} x" for percent in (50, 99))
    print(f"    {name:38} {rank(times, 50):8.1f} ms {rank(times, 99):8.1f} ms {ratios}")


def summary(ways: tuple[Round, Round], done: Sequence[Times], groups: Sequence[Sequence[str]]) -> None:
    """Print the medians over the pairs."""
    print(f"\n  accepted, median of {len(groups)} pairs")

    def of(which: int, percent: int) -> list[float]:
        return [rank(ways[which].took(done[which], group), percent) for group in groups]

    for percent in (50, 99):
        ours, bare = of(0, percent), of(1, percent)
        ratio = median(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
        print(f"    p{percent}: ours {median(ours):.0f} ms, bare {median(bare):.0f} ms, {ratio:.2f} x")


def arguments() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: a smoke run, not a measurement")
    parser.add_argument("--only", choices=("wakes", "steady", "memory"), help="one part")
    parser.add_argument(
        "--minutes", type=minutes_of, default=2.0, help="how long steady services are counted (1 to 10)"
    )
    parser.add_argument("--services", type=int, default=2_000, help="how many are known for the memory (up to 10,000)")
    return parser.parse_args()


def minutes_of(text: str) -> float:
    """Read a number of minutes."""
    minutes = float(text)
    if not 1 <= minutes <= 10:
        raise argparse.ArgumentTypeError("write 1 to 10")
    return minutes


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
