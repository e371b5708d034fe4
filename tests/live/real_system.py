"""The whole system on a real Kafka and a real API server: policies, targets, status and Events included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import yaml

from consumer.adapters.control_plane import ControlPlane
from consumer.app.running import Assignment
from consumer.core.service import ServiceKey
from consumer.ports import Clock
from consumer.settings import ALL_ROLES, ClusterAccess, Role
from tests.bed.kube import Kube, Ref
from tests.bed.manifests import Manifest
from tests.live.elastiservices import resource
from tests.live.seen import Service
from tests.live.system import COUNTED, Program, System, installed

MUCH_LATER = timedelta(hours=1)
Place = tuple[str, str, Path]
"""Where Kafka is, the prefix of the topics, and a folder for files."""


class RealSystem(System):
    """One installation in a namespace of an API server; `road` is another way to it, over a proxy."""

    def __init__(self, place: Place, kube: Kube, namespace: str, clock: Clock | None = None) -> None:
        bootstrap, prefix, folder = place
        super().__init__(bootstrap, prefix, folder / "policies", clock)
        self.kube = kube
        self.namespace = namespace
        self._kubeconfig = folder / "kubeconfig"
        self._time = clock

    def enter_by(self, plane: ControlPlane, road: str = "") -> None:
        """The programs find the API server here."""
        content = yaml.safe_load(plane.kubeconfig().read_text())
        for one in content["clusters"]:
            one["cluster"]["server"] = road or plane.url
        self._kubeconfig.write_text(yaml.safe_dump(content))

    async def run(self, roles: frozenset[Role] = ALL_ROLES, **otherwise: object) -> Program:
        """Run these roles in this process, with all that they have of a real cluster."""
        real = {
            "cluster_access": ClusterAccess.KUBECONFIG,
            "kubeconfig": self._kubeconfig,
            "policies": (),
            "namespace": self.namespace,
            "watch_namespaces": (self.namespace,),
        }
        program = Program(Assignment(self.settings.model_copy(update=real | otherwise), roles, clock=self._time))
        self._programs.append(program)
        await program.up()
        return program

    def flags(self) -> tuple[str, ...]:
        """The same for a program that is a process of its own."""
        settings = self.settings
        return (
            f"--kafka-bootstrap={settings.kafka_bootstrap[0]}",
            f"--topic-prefix={settings.topic_prefix}",
            f"--kafka-session-timeout={settings.kafka_session_timeout.total_seconds():g}s",
            f"--polling-interval={settings.polling_interval.total_seconds():g}s",
            f"--cluster-access={ClusterAccess.KUBECONFIG}",
            f"--kubeconfig={self._kubeconfig}",
            f"--namespace={self.namespace}",
            f"--watch-namespaces={self.namespace}",
            "--http-host=127.0.0.1",
            "--http-port=0",
        )

    async def create(self, workload: Manifest, *, cooldown: timedelta = MUCH_LATER, **spec: object) -> Service:
        """Create a Deployment and its ElastiService."""
        await self.kube.apply(workload, self.namespace)
        name = workload["metadata"]["name"]
        seconds = int(cooldown.total_seconds())
        await self.kube.apply(
            resource(name, **{"cooldownPeriod": seconds, "triggers": [dict(COUNTED)], **spec}), self.namespace
        )
        return Service(ServiceKey(self.namespace, name))

    def policy_of(self, service: Service) -> Ref:
        """Its ElastiService."""
        return Ref("elasti.truefoundry.com/v1alpha1", "ElastiService", self.namespace, service.key.name)

    def workload_of(self, service: Service) -> Ref:
        """Its Deployment."""
        return Ref("apps/v1", "Deployment", self.namespace, service.key.name)

    async def replicas_of(self, service: Service) -> int:
        """What the API server says of it now."""
        return int((await self.kube.get(self.workload_of(service)))["spec"].get("replicas", 0))

    async def events(self, service: Service) -> list[tuple[str, str]]:
        """Reason and message of each Event on its ElastiService."""
        path = f"/api/v1/namespaces/{self.namespace}/events"
        items = (await self.kube.call("GET", path))["items"]
        mine = [one for one in items if one["involvedObject"]["name"] == service.key.name]
        return [(one["reason"], one["message"]) for one in mine if one["involvedObject"]["kind"] == "ElastiService"]


async def counted(program: Program, metric: str, *labels: str) -> float:
    """The sum of a metric's series that have all these labels, as a scrape shows it."""
    address = f"http://127.0.0.1:{program.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        page = await answer.text()
    lines = [line for line in page.splitlines() if line.startswith(metric) and all(one in line for one in labels)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@asynccontextmanager
async def really_installed(plane: ControlPlane, system: RealSystem, road: str = "") -> AsyncIterator[RealSystem]:
    """Start an installation on this cluster and end it, for one test."""
    system.enter_by(plane, road)
    async with installed(system):
        yield system
