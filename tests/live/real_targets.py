"""An installation whose handlers scale what stands on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.access import from_kubeconfig
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.service import TargetRef
from tests.live.system import System, installed

DEPLOYMENT = TargetRef("apps/v1", "Deployment", "any")


@asynccontextmanager
async def installed_on(plane: ControlPlane, system: System) -> AsyncIterator[System]:
    """Start an installation on this cluster and end it, for one test."""
    clock = BrokerClock()
    api = Api(await from_kubeconfig(clock, file=plane.kubeconfig()))
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock)
    targets.include([DEPLOYMENT])
    system.targets = targets
    watching = asyncio.create_task(targets.run())
    try:
        async with installed(system):
            yield system
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await api.close()
