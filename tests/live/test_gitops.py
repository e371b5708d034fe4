"""A controller that sets the replicas back, as a GitOps pipeline heals what differs: named, and not fought for ever."""

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kubernetes.access import from_kubeconfig
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.service import ServiceKey
from consumer.ports import TargetView
from consumer.settings import ALL_ROLES
from schemas.decision import Action
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.live.program import elasti
from tests.live.system import Service, System, installed

MANAGER = "argocd-controller"
SetBack = Callable[[], Awaitable[None]]


@pytest.fixture
async def system(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation on the shared Kafka."""
    async with installed(System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    """A Kubernetes."""
    async with ControlPlane() as plane:
        yield plane


async def heal(system: System, service: Service, set_back: SetBack) -> None:
    """Set the replicas back the moment that they differ from what stands in Git: one."""
    async for seen in system.targets.watch():
        if isinstance(seen, TargetView) and seen.key == service.target and not seen.replicas:
            await set_back()


@asynccontextmanager
async def healing(system: System, service: Service, set_back: SetBack) -> AsyncIterator[None]:
    """A pipeline at work."""
    working = asyncio.create_task(heal(system, service, set_back))
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def is_named_and_not_fought(system: System, service: Service, set_back: SetBack) -> None:
    """Play it through, from the first sleep to the edit that ends the contest."""
    program = await system.run(ALL_ROLES)
    async with healing(system, service, set_back):
        await system.until(lambda: bool(system.decisions(service, "contested")))
        # Nobody fights on: cycles pass, and nothing is asked for.
        asked = len(system.commands(service, Direction.ZERO))
        await system.until_evaluated(program)
        await system.until_evaluated(program)
        assert len(system.commands(service, Direction.ZERO)) == asked == 3
    (contested,) = system.decisions(service, "contested")
    assert contested.action is Action.HOLD
    assert MANAGER in contested.reason.message
    # What it made itself at the beginning is its own, too.
    assert [each.manager for each in system.results(service, Phase.OBSERVED)][-3:] == [MANAGER] * 3

    code, told, _ = await elasti(
        *("explain", str(service.key)),
        *("--kafka-bootstrap", system.settings.kafka_bootstrap[0]),
        *("--topic-prefix", system.settings.topic_prefix),
    )
    assert code == 0
    assert "contested" in told
    assert MANAGER in told

    # With the pipeline taught to leave the replicas alone, an edit gives it another try.
    system.policy(service, cooldown=timedelta(seconds=1))
    await system.until(lambda: system.replicas(service) == 0)
    assert len(system.decisions(service, "contested")) == 1


async def test_a_pipeline_is_named_and_an_edit_of_the_policy_ends_the_contest(system: System) -> None:
    service = system.service("web", replicas=1)

    async def set_back() -> None:
        system.cluster.scale_by_hand(service.target, 1, MANAGER)

    await is_named_and_not_fought(system, service, set_back)


class Pipeline:
    """Argo CD as far as it matters here: it writes what stands in Git, under its own field manager."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession, service: Service) -> None:
        self._session = session
        self._namespace = service.key.namespace
        self._name = service.key.name
        self._url = plane.url
        self._trust = ssl.create_default_context(cafile=plane.ca)
        self._headers = {"Authorization": f"Bearer {plane.admin_token}"}

    async def sync(self) -> None:
        """Create the Deployment in a namespace of its own."""
        labels = {"app": self._name}
        containers = [{"name": "web", "image": "registry.example/web:1"}]
        template = {"metadata": {"labels": labels}, "spec": {"nodeName": "bed", "containers": containers}}
        await self._apply(
            f"/api/v1/namespaces/{self._namespace}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}},
        )
        await self._apply(
            f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._name}",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            },
        )

    async def _apply(self, path: str, manifest: dict[str, object]) -> None:
        """Apply on the server, and take over what others set."""
        asked = self._session.patch(
            self._url + path,
            params={"fieldManager": MANAGER, "force": "true"},
            json=manifest,
            headers=self._headers | {"Content-Type": "application/apply-patch+yaml"},
            ssl=self._trust,
        )
        async with asked as answer:
            assert answer.ok, await answer.text()


async def test_on_a_real_cluster_too(system: System, plane: ControlPlane) -> None:
    service = Service(ServiceKey(f"shop-{uuid.uuid4().hex[:8]}", "web"))
    clock = BrokerClock()
    api = Api(await from_kubeconfig(clock, file=plane.kubeconfig()))
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock)
    targets.include([service.target.ref])
    watching = asyncio.create_task(targets.run())
    try:
        async with aiohttp.ClientSession() as session:
            pipeline = Pipeline(plane, session, service)
            await pipeline.sync()
            system.targets = targets
            system.policy(service)
            await is_named_and_not_fought(system, service, pipeline.sync)
    finally:
        await system.stop()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await api.close()
