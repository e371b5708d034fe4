"""A controller that sets the replicas back, as a GitOps pipeline heals what differs: named, and not fought for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.ports import TargetKey, TargetView
from consumer.settings import ALL_ROLES
from schemas.decision import Action
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.live.program import elasti
from tests.live.system import Service, System, installed

MANAGER = "argocd-controller"


@pytest.fixture
async def system(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation on the shared Kafka."""
    async with installed(System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


async def heal(system: System, target: TargetKey) -> None:
    """Set the replicas back the moment that they differ from what stands in Git: one."""
    async for seen in system.cluster.watch():
        if isinstance(seen, TargetView) and seen.key == target and not seen.replicas:
            system.cluster.scale_by_hand(target, 1, MANAGER)


@asynccontextmanager
async def healing(system: System, service: Service) -> AsyncIterator[None]:
    """A pipeline at work."""
    working = asyncio.create_task(heal(system, service.target))
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_pipeline_that_sets_the_replicas_back_is_named_and_a_change_of_the_policy_ends_it(
    system: System,
) -> None:
    service = system.service("web", replicas=1)
    program = await system.run(ALL_ROLES)
    async with healing(system, service):
        await system.until(lambda: bool(system.decisions(service, "contested")))
        # Nobody fights on: cycles pass, and nothing is asked for.
        asked = len(system.commands(service, Direction.ZERO))
        await system.until_evaluated(program)
        await system.until_evaluated(program)
        assert len(system.commands(service, Direction.ZERO)) == asked == 3
    (contested,) = system.decisions(service, "contested")
    assert contested.action is Action.HOLD
    assert MANAGER in contested.reason.message
    assert [each.manager for each in system.results(service, Phase.OBSERVED) if each.manager == MANAGER] == [
        MANAGER
    ] * 3

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
