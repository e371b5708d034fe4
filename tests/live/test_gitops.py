"""A controller that sets the replicas back, as a GitOps pipeline heals what differs: named, and not fought for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.core.service import ServiceKey
from consumer.ports import TargetView
from consumer.settings import ALL_ROLES
from schemas.decision import Action
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.bed.kube import Kube
from tests.bed.manifests import deployment
from tests.live.program import elasti
from tests.live.real_targets import installed_on
from tests.live.seen import Service
from tests.live.system import System, installed

MANAGER = "argocd-controller"
SetBack = Callable[[], Awaitable[None]]


@pytest.fixture
async def system(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation on the shared Kafka."""
    async with installed(System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


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


@pytest.fixture
async def real(kafka: EmbeddedKafka, prefix: str, tmp_path: Path, cluster: ControlPlane) -> AsyncIterator[System]:
    """The same on a real API server."""
    async with installed_on(cluster, System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


async def test_on_a_real_cluster_too(real: System, kube: Kube, namespace: str) -> None:
    service = Service(ServiceKey(namespace, "web"))

    async def sync() -> None:
        """What stands in Git is applied, as Argo CD does, under a field manager of its own."""
        await kube.apply(deployment("web", 1), namespace, manager=MANAGER)

    await sync()
    real.policy(service)
    await is_named_and_not_fought(real, service, sync)
