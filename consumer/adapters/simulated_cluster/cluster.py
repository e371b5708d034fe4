"""The simulated cluster itself: API server, controllers and kubelets in one object, and hands to play with it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

from consumer.adapters.simulated_cluster.pods import Pod, Startup, chance
from consumer.adapters.simulated_cluster.timeline import Timeline
from consumer.adapters.simulated_cluster.trouble import Trouble, Troubles
from consumer.adapters.simulated_cluster.workload import Usage, Workload
from consumer.core.service import OWN_MANAGER
from consumer.feed import Feed
from consumer.ports import Change, Clock, TargetGoneError, TargetKey, TargetMovedError, TargetView

LABEL = "SIMULATED"
_PROMPT = timedelta()
_STARTUP = Startup()


class SimulatedCluster:
    """Targets whose pods start by themselves while `run` runs.

    `latency` is what each call takes, `controller` the time until pods follow the replicas; equal seeds give equal
    uids and start-up times.
    """

    label = LABEL

    def __init__(
        self, clock: Clock, *, seed: int = 0, latency: timedelta = _PROMPT, controller: timedelta = _PROMPT
    ) -> None:
        self._clock = clock
        self._seed = seed
        self._latency = latency
        self._controller = controller
        self._workloads: dict[TargetKey, Workload] = {}
        self._views: dict[TargetKey, TargetView] = {}
        self._feed = Feed(self._views)
        self._timeline = Timeline(clock)
        self._troubles = Troubles()
        self._version = 0
        self._finished = Usage()

    async def run(self) -> None:
        """Let pods start and controllers work, for ever."""
        await self._timeline.run()

    def describe(self) -> str:
        """Say what this is and how it is: `SIMULATED cluster: 12 targets, 5 at zero, 9 pods`."""
        zero = sum(not workload.replicas for workload in self._workloads.values())
        pods = sum(len(workload.pods) for workload in self._workloads.values())
        return f"{LABEL} cluster: {len(self._workloads)} targets, {zero} at zero, {pods} pods"

    # What `Targets` asks for.

    async def look(self, key: TargetKey) -> TargetView:
        """Read the target."""
        await self._received(key)
        self._workload(key)
        return self._views[key]

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change."""
        silence = await self._received(key)
        workload = self._workload(key)
        if workload.replicas != change.expected:
            raise TargetMovedError(
                f"422: {key} has {workload.replicas} replicas, not {change.expected}; read it and judge anew"
            )
        if change.resource_version not in (None, str(workload.resource_version)):
            raise TargetMovedError(
                f"422: {key} is at version {workload.resource_version}, not {change.resource_version}; "
                "read it and judge anew"
            )
        self._scale(workload, change.wanted, OWN_MANAGER)
        view = self._views[key]
        if silence is Trouble.ANSWER_LOST:
            await asyncio.Event().wait()
        return view

    def watch(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield all, then each change."""
        return self._feed.follow()

    # What everybody else does.

    def create(self, key: TargetKey, *, replicas: int = 1, startup: Startup = _STARTUP) -> TargetView:
        """Make a workload; its uid is new."""
        now = self._clock.read().now
        self._version += 1
        seeded = int(chance(self._seed, key, self._version) * 2**53)
        workload = Workload(
            key=key,
            uid=str(uuid.UUID(int=seeded << 64 | self._version, version=4)),
            startup=startup,
            made_at=now,
            replicas=replicas,
            resource_version=self._version,
            awake_replicas=replicas,
        )
        self._workloads[key] = workload
        self._show(workload)
        self._reconcile_soon(workload)
        return self._views[key]

    def delete(self, key: TargetKey) -> None:
        """Delete it, with its pods; raises TargetGoneError when there is none."""
        workload = self._workload(key)
        self._finished += workload.count(self._clock.read().now)
        del self._workloads[key], self._views[key]
        self._feed.changed(key)

    def scale_by_hand(self, key: TargetKey, replicas: int, manager: str = "kubectl") -> TargetView:
        """Somebody else sets the replicas, whatever they are."""
        self._scale(self._workload(key), replicas, manager)
        return self._views[key]

    def set_startup(self, key: TargetKey, startup: Startup) -> None:
        """Let its pods start otherwise from now on."""
        self._workload(key).startup = startup

    def make_ready(self, key: TargetKey, ready: int) -> TargetView:
        """Let exactly so many of its pods be ready now."""
        workload = self._workload(key)
        self._reconcile(workload)
        for index, pod in enumerate(workload.pods):
            pod.ready = index < ready
        self._show(workload)
        return self._views[key]

    def crash(self, key: TargetKey) -> TargetView:
        """Let all its pods die; they start again."""
        workload = self._workload(key)
        for pod in workload.pods:
            pod.ready = False
            self._start(workload, pod)
        self._show(workload)
        return self._views[key]

    def trouble(
        self, trouble: Trouble, *, times: int = 1, target: TargetKey | None = None, retry_after: timedelta | None = None
    ) -> None:
        """Let the next calls go wrong."""
        self._troubles.plan(trouble, times=times, target=target, retry_after=retry_after)

    def no_more_trouble(self) -> None:
        """Let everything go right again."""
        self._troubles.end()

    def usage(self, key: TargetKey | None = None) -> Usage:
        """Pod time so far, of one target or of all that there are or were."""
        now = self._clock.read().now
        if key is not None:
            return self._workload(key).count(now)
        return sum((workload.count(now) for workload in self._workloads.values()), self._finished)

    # How it works inside.

    async def _received(self, key: TargetKey) -> Trouble | None:
        await self._clock.sleep(self._latency)
        silence = self._troubles.next_for(key)
        if silence is Trouble.STALLED:
            await asyncio.Event().wait()
        return silence

    def _workload(self, key: TargetKey) -> Workload:
        workload = self._workloads.get(key)
        if workload is None:
            raise TargetGoneError(f"404: there is no {key}; create it, or correct the policy that names it")
        return workload

    def _scale(self, workload: Workload, replicas: int, manager: str) -> None:
        if workload.scale(replicas, manager, self._clock.read().now):
            self._show(workload)
            self._reconcile_soon(workload)

    def _reconcile_soon(self, workload: Workload) -> None:
        self._timeline.after(self._controller, partial(self._reconcile, workload))

    def _reconcile(self, workload: Workload) -> None:
        """Bring the pods in line with the replicas."""
        before = len(workload.pods), workload.view(workload.made_at).ready
        for pod in workload.missing(self._clock.read().now):
            self._start(workload, pod)
        if before != (len(workload.pods), workload.view(workload.made_at).ready):
            self._show(workload)

    def _start(self, workload: Workload, pod: Pod) -> None:
        pod.started += 1
        drawn = chance(self._seed, workload.uid, pod.number, pod.started)
        takes = workload.startup.of_pod(drawn)
        if takes is not None:
            self._timeline.after(takes, partial(self._ready, workload, pod, pod.started))

    def _ready(self, workload: Workload, pod: Pod, started: int) -> None:
        """A pod is up, unless it was deleted or started anew meanwhile."""
        if pod.started == started and pod in workload.pods and not pod.ready:
            pod.ready = True
            self._show(workload)

    def _show(self, workload: Workload) -> None:
        """Every change of the object or its status is a new version of it."""
        if self._workloads.get(workload.key) is not workload:
            return
        self._version += 1
        workload.resource_version = self._version
        self._views[workload.key] = workload.view(self._clock.read().now)
        self._feed.changed(workload.key)
