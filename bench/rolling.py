"""How long wakes take while every process is replaced: `python -m bench.rolling`.

Two workers and two handlers as processes of their own, on a real Kafka and a real control plane. One after the other is
ended by SIGTERM and started anew; the next one follows when it says that it is ready. All the while sleeping services
are asked for, one by one, and busy ones ten times as often. A wake ends when a handler has the API server's word
that it is done.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence

from bench._bed import broker, quick, rank
from consumer.adapters.control_plane import ControlPlane
from consumer.telemetry import configure_logging
from tests.bed.fixtures import define, our_definitions
from tests.bed.kube import Kube
from tests.live.rolling import Places, Restart, Rolling

NAMESPACE = "rolling"


async def main(*, brief: bool) -> None:
    """Measure and print."""
    configure_logging("json", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    sleepers = [f"sleeper-{number}" for number in range(60 if brief else 400)]
    busy = [f"busy-{number}" for number in range(10)]
    async with broker() as kafka, ControlPlane(say=print) as plane, Kube(plane) as kube:
        await define(kube, our_definitions())
        await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        rolling = Rolling(Places(plane, kube, kafka, NAMESPACE, "rolling."), sleepers, busy)
        async with rolling.running():
            await rolling.roll(pace=0.5 if brief else 0.1)
            woken, changed = rolling.woken(await rolling.seen()), await rolling.changed()
    assert all(changed[name] == (1, 1) for name in rolling.asked), "each is woken once"
    assert all(changed[name] == (0, 1) for name in busy), "what is up stays as it is"
    report(rolling, woken)


def report(rolling: Rolling, woken: Mapping[str, float]) -> None:
    """Print what the wakes took, all of them and those that were asked for during each restart."""
    took = {name: (woken[name] - at) * 1e3 for name, at in rolling.asked.items()}
    print(f"\n{rolling.sent} requests, {len(took)} of them for sleeping services; lost 0, doubled 0")
    print(f"{'asked for':38} {'wakes':>6} {'p50':>10} {'p99':>10} {'worst':>10}")
    line("in all", list(took.values()))
    for restart in rolling.restarts:
        line(f"while a {restart.role} was away {told(restart)}", during(rolling, took, restart))


def during(rolling: Rolling, took: Mapping[str, float], restart: Restart) -> list[float]:
    """Return those that were asked for in the time of a restart."""
    return [took[name] for name, at in rolling.asked.items() if restart.began <= at <= restart.ended]


def told(restart: Restart) -> str:
    """Say how long it took."""
    return f"({restart.ended - restart.began:.1f} s)"


def line(name: str, times: Sequence[float]) -> None:
    """Print one line of the table."""
    if times:
        figures = " ".join(f"{figure:7.0f} ms" for figure in (rank(times, 50), rank(times, 99), max(times)))
        print(f"{name:38} {len(times):6} {figures}")


if __name__ == "__main__":
    brief = quick(__doc__)
    sys.exit(asyncio.run(main(brief=brief)))
