"""The demo's cluster with `--cluster real`: a control plane of our own, and everything on it by way of its API."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

from consumer.adapters.clock import chance
from consumer.adapters.control_plane import ControlPlane, ControlPlaneError
from consumer.adapters.control_plane.build import build
from consumer.adapters.kubernetes.access import from_kubeconfig
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.children import cache_root
from consumer.demo.ground import Label, PodTime
from consumer.demo.pod_time import PodTimeMeter
from consumer.demo.scenario import ACTORS
from consumer.demo.workloads import workloads_of
from consumer.ports import Clock, TargetError
from consumer.settings import ClusterAccess

FULL, SHORT = "REAL API server, SIMULATED pods, metrics", "REAL API, no kubelets"
_AGAIN = timedelta(milliseconds=100)
_DEFINED_WITHIN = timedelta(seconds=30)
_UNKNOWN_KIND: Final = "no matches for kind"


def prepare(say: Callable[[str], None]) -> None:
    """Build the control plane where it is not built yet, saying how it goes; raises TargetError."""
    try:
        build(cache_root(), say)
    except ControlPlaneError as error:
        raise TargetError(str(error)) from error


class RealGround:
    """A control plane with the actors' Deployments; policies are ElastiServices in it."""

    # The handler enters the cluster as any installation does.
    targets = None

    def __init__(self, kubectl: "_Kubectl", clock: Clock) -> None:
        self.meter = PodTimeMeter()
        self._kubectl = kubectl
        self._clock = clock

    @property
    def label(self) -> Label:
        """What it is, and how to look into it."""
        return Label(FULL, SHORT, f"{self._kubectl.shown} get elastiservices -A -w")

    @property
    def settings(self) -> Mapping[str, object]:
        """The way in."""
        return {"cluster_access": ClusterAccess.KUBECONFIG, "kubeconfig": self._kubectl.kubeconfig, "policies": ()}

    @property
    def flags(self) -> Sequence[str]:
        """The way in."""
        return (f"--cluster-access={ClusterAccess.KUBECONFIG}", f"--kubeconfig={self._kubectl.kubeconfig}")

    async def take(self, policies: str) -> None:
        """Create the policies; their kind is served a moment after it was established, and nothing tells when."""
        try:
            async with asyncio.timeout(_DEFINED_WITHIN.total_seconds()):
                while _UNKNOWN_KIND in (refused := await self._kubectl.apply("-", policies)):
                    await self._clock.sleep(_AGAIN)
        except TimeoutError:
            raise TargetError("the control plane does not serve the kind ElastiService; start the demo again") from None
        if refused:
            raise TargetError(f"the control plane refused the demo's policies: {refused}")

    def pod_time(self, now: datetime) -> PodTime:
        """What the Deployments' replicas came to."""
        return self.meter.read(now)

    async def follow(self, targets: KubernetesTargets) -> None:
        """Count the pod time of the Deployments, for ever."""
        async for seen in targets.watch():
            self.meter.saw(seen, self._clock.read().now)


@asynccontextmanager
async def real(folder: Path, clock: Clock, *, say: Callable[[str], None]) -> AsyncIterator[RealGround]:
    """Start a control plane, with our resource's definition and the actors' workloads; raises TargetError."""
    plane = ControlPlane(say=say)
    try:
        await plane.start()
    except ControlPlaneError as error:
        raise TargetError(str(error)) from error
    try:
        kubectl = _Kubectl(plane, folder)
        for what, content in (
            (str(files(__package__) / "crd"), ""),
            ("-", workloads_of(ACTORS)),
        ):
            if refused := await kubectl.apply(what, content):
                raise TargetError(f"the control plane refused what the demo needs: {refused}")
        async with _counted(RealGround(kubectl, clock), clock, kubectl.kubeconfig) as ground:
            yield ground
    finally:
        await plane.stop()


@asynccontextmanager
async def _counted(ground: RealGround, clock: Clock, kubeconfig: Path) -> AsyncIterator[RealGround]:
    api = Api(await from_kubeconfig(clock, file=kubeconfig))
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock)
    targets.include(actor.target for actor in ACTORS)
    try:
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(work) for work in (targets.run(), ground.follow(targets))]
            yield ground
            for task in following:
                task.cancel()
    finally:
        await api.close()


class _Kubectl:
    """kubectl for one plane; what it remembers of the server stays in the demo's folder."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        # Under a short name: people copy it from a screen that may be narrow.
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.symlink_to(plane.kubeconfig())
        self._program = plane.program("kubectl")
        self._cache = folder / "kubectl-cache"

    @property
    def shown(self) -> str:
        """How a person calls it."""
        program = "kubectl" if shutil.which("kubectl") else self._program
        return f"{program} --kubeconfig {self.kubeconfig}"

    async def apply(self, what: str, content: str) -> str:
        """Apply a folder, or `content` where `what` is `-`; return what was said against it, nothing if all is well."""
        process = await asyncio.create_subprocess_exec(
            str(self._program),
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self._cache}",
            *("apply", "--server-side", "--field-manager=elasti-demo", "--filename", what),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # The terminal's Ctrl-C is for us.
            start_new_session=True,
        )
        try:
            _, said = await process.communicate(content.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return said.decode(errors="replace").strip() if process.returncode else ""
