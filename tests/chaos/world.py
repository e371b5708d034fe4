"""The world of a run: real servers, the fleet on them, and every process behind doors of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.control_plane.people import write_kubeconfig
from consumer.adapters.kubernetes.api import Api
from consumer.app import log
from consumer.children import HOST, Guard, free_ports
from consumer.settings import Settings
from tests.bed.fixtures import define, our_definitions
from tests.bed.kube import Kube
from tests.bed.manifests import Manifest
from tests.chaos.brokers import Brokers, brokers
from tests.chaos.deeds import Server
from tests.chaos.doors import Door, door
from tests.chaos.edits import POLICIES
from tests.chaos.eyes import DEPLOYMENTS, Eyes
from tests.chaos.fleet import METRIC, NAMESPACE, Spec, policy, workload
from tests.chaos.liar import Liar, liar
from tests.chaos.plan import AHEAD, GATEWAYS, HANDLERS, SESSION, SPARES, STEADY, Plan
from tests.chaos.processes import Slot, Span
from tests.chaos.service import balanced
from tests.live.elastiservices import admin_of
from tests.live.prometheus_server import PrometheusServer

PREFIX, PARTITIONS = "chaos.", 16
INTERVAL = timedelta(seconds=1)
_AT_ONCE = 12
_OTHER_NAME = f"{METRIC}_of_version_2"
_ROLES = {"w": "worker", "h": "handler", "g": "gateway"}

Say = Callable[[str], None]


@dataclass(slots=True)
class World:
    """Everything there is; `spans` are the times in which something was away for everybody."""

    plan: Plan
    settings: Settings
    kafka: Brokers
    plane: ControlPlane
    prometheus: PrometheusServer
    liar: Liar
    api: Api
    http: aiohttp.ClientSession
    slots: Mapping[str, Slot]
    doors: Mapping[str, Mapping[Server, Sequence[Door]]]
    eyes: Eyes
    tasks: asyncio.TaskGroup
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    spans: list[tuple[Server, Span]] = field(default_factory=list)

    def begin(self, name: str) -> None:
        """Keep a process in this slot from now on."""
        self.running[name] = self.tasks.create_task(self.slots[name].run(), name=name)

    async def end(self, name: str) -> None:
        """End the slot's process politely, and keep none there."""
        slot = self.slots[name]
        if name in self.running:
            await slot.leave_for_good(self.running.pop(name))

    async def all_ready(self) -> None:
        """Wait until every process that there should be says that it is ready."""
        await asyncio.gather(*(self.slots[name].ready(self.http) for name in self.running))

    async def stuck(self) -> list[str]:
        """Wait as `all_ready` does, and return which are not by then; what these do is in their logs."""
        names = list(self.running)
        waits = (self.slots[name].ready(self.http) for name in names)
        came = await asyncio.gather(*waits, return_exceptions=True)
        late = [name for name, result in zip(names, came, strict=True) if result is not None]
        for name in late:
            self.slots[name].tell()
        return late

    def load(self, service: str, value: float) -> None:
        """Set what a service's metric says."""
        self.prometheus.exporter.set(METRIC, value, service=service)

    async def renamed(self, service: str, length: timedelta) -> None:
        """Let a service's metric go by another name for that long."""
        exporter = self.prometheus.exporter
        value = exporter.remove(METRIC, service=service)
        exporter.set(_OTHER_NAME, value, service=service)
        try:
            await asyncio.sleep(length.total_seconds())
        finally:
            exporter.remove(_OTHER_NAME, service=service)
            self.load(service, value)


@asynccontextmanager
async def world(plan: Plan, folder: Path, say: Say) -> AsyncIterator[World]:
    """Start everything, and end everything, however the block ends."""
    async with AsyncExitStack() as stack:
        guard = await Guard.over(None)
        stack.push_async_callback(guard.finish)
        data = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="elasti-chaos-", ignore_cleanup_errors=True))
        )
        say("starting two Kafka brokers, a Prometheus and a Kubernetes control plane")
        pairs = {name: (await _door(stack), await _door(stack)) for name in (*STEADY, *SPARES)}
        prometheus, plane, kafka = await _servers(stack, data, pairs)
        lying = await stack.enter_async_context(liar(prometheus.url))
        api = Api(admin_of(plane))
        stack.push_async_callback(api.close)
        settings = Settings(
            kafka_bootstrap=kafka.bootstrap, topic_prefix=PREFIX, partitions=PARTITIONS, replication_factor=2
        )
        await log.create(settings)
        await _rights(plane)
        for spec in plan.fleet:
            if spec.by_metric:
                prometheus.exporter.set(METRIC, 0, service=spec.name)
        await _fill(api, plan.fleet)
        say(f"{len(plan.fleet)} services are on the cluster")
        doors = {name: await _doors(stack, name, pairs[name], plane, lying) for name in pairs}
        slots = await _slots(stack, doors, kafka, plane, _Places(folder, data, guard))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        eyes = Eyes()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        made = World(plan, settings, kafka, plane, prometheus, lying, api, http, slots, doors, eyes, tasks)
        watching = tasks.create_task(eyes.follow(api))
        try:
            yield made
        finally:
            for task in (watching, *made.running.values()):
                task.cancel()
            for slot in slots.values():
                await slot.destroy()


@dataclass(frozen=True, slots=True)
class _Places:
    """Where logs go, where data go, and who sees to it that nothing is left behind."""

    folder: Path
    data: Path
    guard: Guard


async def _door(stack: AsyncExitStack, leads_to: int = 0) -> Door:
    return await stack.enter_async_context(door(leads_to))


async def _servers(
    stack: AsyncExitStack, data: Path, pairs: Mapping[str, tuple[Door, Door]]
) -> tuple[PrometheusServer, ControlPlane, Brokers]:
    prometheus = await stack.enter_async_context(PrometheusServer())
    plane = await stack.enter_async_context(ControlPlane())
    return prometheus, plane, await stack.enter_async_context(brokers(data, pairs))


async def _rights(plane: ControlPlane) -> None:
    us = plane.user("elasti")
    async with Kube(plane) as kube:
        await define(kube, our_definitions())
        await kube.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "chaos"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": us.name}],
            }
        )


async def _fill(api: Api, fleet: Iterable[Spec]) -> None:
    """Create the workloads and policies, a few at a time."""
    await api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    gate = asyncio.Semaphore(_AT_ONCE)

    async def create(path: str, manifest: Manifest) -> None:
        async with gate:
            await api.post(path, manifest)

    async with asyncio.TaskGroup() as tasks:
        for spec in fleet:
            tasks.create_task(create(DEPLOYMENTS, workload(spec)))
            tasks.create_task(create(POLICIES, policy(spec)))


async def _doors(
    stack: AsyncExitStack, name: str, kafka: tuple[Door, Door], plane: ControlPlane, lying: Liar
) -> Mapping[Server, Sequence[Door]]:
    """The ways out of one process."""
    return {
        Server.KAFKA: kafka,
        Server.API: (await _door(stack, int(plane.url.rpartition(":")[2])),),
        Server.PROMETHEUS: (await _door(stack, lying.port),),
    }


async def _slots(
    stack: AsyncExitStack,
    doors: Mapping[str, Mapping[Server, Sequence[Door]]],
    kafka: Brokers,
    plane: ControlPlane,
    places: _Places,
) -> Mapping[str, Slot]:
    """The places of all processes; gateways reach handlers through one address, as through a Service."""
    ports = dict(zip(doors, free_ports(len(doors)), strict=True))
    handlers = [ports[name] for name in doors if name[0] == HANDLERS[0][0]]
    service = await stack.enter_async_context(balanced(handlers))
    logs = places.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, ways in doors.items():
        kubeconfig = write_kubeconfig(
            places.data / f"{name}.kubeconfig",
            server=f"https://{HOST}:{ways[Server.API][0].at}",
            ca=plane.ca,
            user=plane.user("elasti"),
        )
        words = [
            f"--roles={_ROLES[name[0]]}",
            f"--kafka-bootstrap={','.join(kafka.bootstrap_of(name))}",
            f"--kafka-session-timeout={SESSION.total_seconds():g}s",
            f"--topic-prefix={PREFIX}",
            f"--polling-interval={INTERVAL.total_seconds():g}s",
            "--cluster-access=kubeconfig",
            f"--kubeconfig={kubeconfig}",
            f"--watch-namespaces={NAMESPACE}",
            f"--http-host={HOST}",
            f"--prometheus-address=http://{HOST}:{ways[Server.PROMETHEUS][0].at}",
            "--log-format=json",
        ]
        if name in GATEWAYS:
            words.append(f"--handler-url=http://{HOST}:{service}")
        made[name] = Slot(name, ports[name], words, logs, places.guard, AHEAD.get(name, timedelta()))
    return made
