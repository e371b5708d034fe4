"""The demo's cluster by default: a simulated one, with the policies in a file."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from consumer.adapters.simulated_cluster import SimulatedCluster, Startup
from consumer.demo.ground import Label, PodTime
from consumer.demo.scenario import ACTORS
from consumer.ports import Clock, TargetKey

SIMULATED = Label("SIMULATED cluster and metrics", "SIMULATED cluster")


class SimulatedGround:
    """Workloads in this process; the worker, which has nothing to do with a cluster, finds the policies in a file."""

    label = SIMULATED

    def __init__(self, cluster: SimulatedCluster, folder: Path) -> None:
        self.targets = cluster
        self._policies = folder / "policies.yaml"

    @property
    def settings(self) -> Mapping[str, object]:
        """Where the policies are."""
        return {"policies": (self._policies,)}

    @property
    def flags(self) -> Sequence[str]:
        """Where the policies are."""
        return (f"--policies={self._policies}",)

    async def take(self, policies: str) -> None:
        """Write the policies' file."""
        self._policies.write_text(policies, encoding="utf-8")

    def pod_time(self, _: datetime) -> PodTime:
        """What the simulated pods came to."""
        usage = self.targets.usage()
        return PodTime(usage.used, usage.always_on)


@asynccontextmanager
async def simulated(folder: Path, clock: Clock) -> AsyncIterator[SimulatedGround]:
    """Run a simulated cluster with the actors' workloads."""
    cluster = SimulatedCluster(clock)
    for actor in ACTORS:
        cluster.create(TargetKey(actor.key.namespace, actor.target), startup=Startup(actor.starts_in))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cluster.run())
        yield SimulatedGround(cluster, folder)
        running.cancel()
