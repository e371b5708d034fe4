"""What a wake takes until the API server accepts it, beside KubeElasti's own operator: `python -m bench.kubeelasti`.

All on one real control plane, in turns: KubeElasti's operator, told by its HTTP call; ours, worker, handler and gateway
as processes of their own, told by a record produced to Kafka and by its gateway's HTTP; and a bare conditional patch.
A wake begins when its request is sent, and ends at the moment that the API server's audit log has for the accepted
scale. KubeElasti's operator is a program that somebody has to bring: without it the others are measured alone.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from bench._bed import rank
from bench._operator import PLACE, SERVICES, WHAT_IT_NEEDS, asleep, fingerprint, operating
from bench._plane import DEPLOYMENTS, POLICIES, Bare, Bed, Objects, bed, policy, running, tally
from bench._ways import Produced, Way
from consumer.adapters.control_plane import User
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher
from consumer.telemetry import configure_logging
from tests.bed.manifests import deployment, service

ONE_WAKE: Final = 1.5
"""Design section 8: the median of one wake, times that of KubeElasti's operator."""
LIMIT_AT_ONCE: Final = 1.25
"""Design section 8: the 99th percentile of 100 at once, times that of as many bare patches."""
BARE, PEER, PRODUCED, CALLED = "bare patch", "KubeElasti's operator, HTTP", "ours, produced to Kafka", "ours, HTTP"
PRODUCED_ONES, CALLED_ONES = "produced-", "called-"
_BREATH = 0.3
_ACCOUNTS = "bench"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"

Groups = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many wakes: first some that count for nothing, then one at a time, then many at once, in pairs."""

    warm: int
    serial: int
    size: int
    pairs: int

    @property
    def names(self) -> Sequence[str]:
        """The services that one way wakes, each once."""
        return [f"s{number}" for number in range(self.warm + self.serial + self.size * self.pairs)]


@dataclass(frozen=True, slots=True)
class Bench:
    """Both installations' views of the servers, and the ways to wake."""

    ours: Bed
    theirs: Bed
    ways: Mapping[str, Way]
    paces: bool

    async def rest(self, *, paces: bool = False) -> None:
        """Return when neither has written anything for a while; `paces`: nor what waits for its pace."""
        await asyncio.gather(self.ours.settled(paces=paces and self.paces), self.theirs.settled())

    async def take_turns(self, groups: Groups) -> None:
        """Wake each group by every way, and the next one in the opposite order."""
        for number, names in enumerate(groups):
            turns = list(self.ways.values())
            for way in turns if number % 2 == 0 else reversed(turns):
                await way.wake(names)
                await (asyncio.sleep(_BREATH) if len(names) == 1 else self.rest())

    async def accepted(self, since: int) -> None:
        """Note when the API server had accepted each wake."""
        for way in self.ways.values():
            way.accepted = await self.ours.scaled(way.means.namespace, since)
            assert way.accepted, f"{way.means.namespace}: not one wake was accepted; nothing can be compared"

    async def asked(self, since: int, wakes: int) -> None:
        """Print what was asked of the API server since, for each wake."""
        print(f"\n  asked of the API server, for each of {wakes} wakes")
        for title, view, ways in (("KubeElasti", self.theirs, {PEER}), ("ours", self.ours, {PRODUCED, CALLED})):
            if made := wakes * len(ways & self.ways.keys()):
                counts = tally(await view.asked(since))
                told = ", ".join(f"{what} {number / made:.3g}" for what, number in sorted(counts.items()))
                print(f"    {title}: {told or 'nothing'}")


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    configure_logging("json", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    plan = Plan(warm=2, serial=5, size=10, pairs=1) if options.quick else Plan(warm=5, serial=50, size=100, pairs=3)
    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"KubeElasti's operator: {fingerprint(options.operator) if options.operator else 'NOT MEASURED'}")
    async with bed() as servers, AsyncExitStack() as stack:
        ours, theirs = [replace(servers, us=user) for user in await accounts(servers, "elasti", "kubeelasti")]
        await fill(servers, plan, with_peer=options.operator is not None)
        ways: dict[str, Way] = {BARE: Way(await stack.enter_async_context(Bare(servers, "bare").watched(servers.api)))}
        if options.operator:
            ways[PEER] = Way(await stack.enter_async_context(operating(theirs, "theirs", options.operator)))
        program = await stack.enter_async_context(running(ours, "ours", apart=True))
        publisher = KafkaPublisher(KafkaConnection(servers.kafka))
        stack.push_async_callback(publisher.close)
        ways |= {PRODUCED: Way(Produced(program, publisher), PRODUCED_ONES), CALLED: Way(program, CALLED_ONES)}
        await program.eyes.all_known(name for way in (PRODUCED, CALLED) for name in ways[way].named(plan.names))
        await measure(Bench(ours, theirs, ways, paces=not options.quick), plan)
    if not options.operator:
        print(f"\nKubeElasti's operator was NOT MEASURED, and its budgets are not judged. {WHAT_IT_NEEDS}.")


async def accounts(servers: Bed, *names: str) -> Sequence[User]:
    """Service accounts, as pods have, that may do everything: to the API server both programs are the same."""
    await servers.api.post("/api/v1/namespaces", {"metadata": {"name": _ACCOUNTS}})
    for name in names:
        await servers.api.post(f"/api/v1/namespaces/{_ACCOUNTS}/serviceaccounts", {"metadata": {"name": name}})
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": _ACCOUNTS} for name in names]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    await servers.api.post(_BINDINGS, {"metadata": {"name": "benched"}, "subjects": subjects, "roleRef": role})
    return [await servers.plane.service_account(_ACCOUNTS, name) for name in names]


async def fill(servers: Bed, plan: Plan, *, with_peer: bool) -> None:
    """Create what each way wakes: Deployments at zero with their Services, and what its program has to know of them."""

    def workloads(names: Sequence[str]) -> Objects:
        return [each for name in names for each in ((DEPLOYMENTS, deployment(name)), (SERVICES, service(name)))]

    names = plan.names
    of_ours = [f"{prefix}{name}" for prefix in (PRODUCED_ONES, CALLED_ONES) for name in names]
    await servers.fill("bare", workloads(names))
    await servers.fill("ours", [*workloads(of_ours), *((POLICIES, policy(name)) for name in of_ours)])
    if with_peer:
        await servers.fill("theirs", asleep(names))


async def measure(bench: Bench, plan: Plan) -> None:
    """Wake all services by every way, one at a time and many at once, and print what it took."""
    names, start = iter(plan.names), bench.ours.plane.audit_mark()
    warm, serial = [[(name,) for name in islice(names, many)] for many in (plan.warm, plan.serial)]
    large = [tuple(islice(names, plan.size)) for _ in range(plan.pairs)]
    await bench.rest()
    await bench.take_turns(warm)
    await bench.rest(paces=True)
    middle = bench.ours.plane.audit_mark()
    await bench.take_turns(serial)
    await bench.rest(paces=True)
    await bench.asked(middle, plan.serial)
    await bench.take_turns(large)
    await bench.accepted(start)
    one = [name for (name,) in serial]
    table(f"one at a time, {len(one)} wakes by each way", bench.ways, one)
    for number, group in enumerate(large, 1):
        table(f"{plan.size} at once, pair {number}", bench.ways, group)
    verdicts(bench.ways, one, large)


def table(title: str, ways: Mapping[str, Way], names: Sequence[str]) -> None:
    """Print one table: milliseconds from the sending of the request, and times the bare patch and KubeElasti."""
    print(f"\n  {title}")
    print(
        f"    {'accepted':30} {'p50':>11} {'p99':>11}   {'x bare p50, p99':18} {'x KubeElasti p50, p99':22} ready p50"
    )
    for name, way in ways.items():
        took, ready = way.took(way.accepted, names), way.took(way.means.eyes.ready, names)
        lost = "" if len(took) == len(names) else f"   {len(names) - len(took)} NOT ACCEPTED"
        times = [
            f"{ratio[0]:7.2f} x" if (ratio := ratios(ways, (name, peer), [names], percent)) else f"{'':9}"
            for peer in (BARE, PEER)
            for percent in (50, 99)
        ]
        figures = f"{rank(took, 50):8.1f} ms {rank(took, 99):8.1f} ms   {' '.join(times)}  {rank(ready, 50):10.1f} ms"
        print(f"    {name:30} {figures}{lost}")


def ratios(ways: Mapping[str, Way], pair: tuple[str, str], groups: Groups, percent: int) -> Sequence[float]:
    """Return the first way's percentile in times of the second one's, for each group; none if one is not measured."""
    if not all(name in ways for name in pair):
        return ()
    one, other = (
        [rank(way.took(way.accepted, group), percent) for group in groups] for way in (ways[name] for name in pair)
    )
    return [mine / theirs for mine, theirs in zip(one, other, strict=True)]


def verdicts(ways: Mapping[str, Way], one: Sequence[str], large: Groups) -> None:
    """Print the budgets and what was found, for requests that are produced and for those that are called in."""
    size = len(large[0])
    print(f"\n  {size} at once, accepted, medians of {len(large)} pairs")
    for name, way in ways.items():
        p50, p99 = (median(rank(way.took(way.accepted, group), percent) for group in large) for percent in (50, 99))
        print(f"    {name:30} {p50:8.1f} ms {p99:8.1f} ms")
    print(f"\n  budgets of design section 8; {size} at once: the median of {len(large)} pairs")
    for name in (PRODUCED, CALLED):
        budget(f"{name}: one wake, p50, x KubeElasti", ratios(ways, (name, PEER), [one], 50), ONE_WAKE)
        budget(f"{name}: {size} at once, p99, x KubeElasti", ratios(ways, (name, PEER), large, 99), 1.0)
        budget(f"{name}: {size} at once, p99, x bare", ratios(ways, (name, BARE), large, 99), LIMIT_AT_ONCE)


def budget(what: str, found: Sequence[float], limit: float) -> None:
    """Print one budget."""
    if not found:
        print(f"    {what:56} not judged: KubeElasti's operator was not measured")
        return
    word = "held" if median(found) <= limit else "NOT HELD"
    spread = f" ({', '.join(f'{each:.2f}' for each in found)})" if len(found) > 1 else ""
    print(f"    {what:56} {median(found):5.2f} of {limit:g}: {word}{spread}")


def arguments() -> argparse.Namespace:
    """Read the options; the operator is None if there is none."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=WHAT_IT_NEEDS)
    parser.add_argument("--quick", action="store_true", help="small numbers: a smoke run, not a measurement")
    parser.add_argument("--operator", type=Path, help=f"KubeElasti's operator (default: {PLACE}, if it is there)")
    given = parser.parse_args()
    if given.operator is None:
        given.operator = PLACE if PLACE.is_file() else None
    elif not given.operator.is_file():
        parser.error(f"{given.operator} is no program. {WHAT_IT_NEEDS}")
    else:
        given.operator = given.operator.resolve()
    return given


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
