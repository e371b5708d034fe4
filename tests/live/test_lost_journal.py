"""Kafka is away, a handler wakes services directly, and dies with its journal: the next one sees what it did."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.core.service import OWN_MANAGER
from consumer.settings import Role
from schemas.scale_command import Direction
from schemas.scale_result import Phase, ResultCause, ScaleResult
from tests.bed.kube import Kube
from tests.bed.manifests import deployment
from tests.live.program import line_with, running
from tests.live.real_system import Place, RealSystem, really_installed
from tests.live.seen import Service

COOLDOWN = timedelta(seconds=15)
SERVICES = 5


@pytest.fixture
def place(own_kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> Place:
    return own_kafka.bootstrap, prefix, tmp_path


@pytest.fixture
async def system(cluster: ControlPlane, kube: Kube, namespace: str, place: Place) -> AsyncIterator[RealSystem]:
    async with really_installed(cluster, RealSystem(place, kube, namespace)) as made:
        yield made


@asynccontextmanager
async def mortal_handler(system: RealSystem) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A handler as a process of its own, and where it listens."""
    async with running("run", "--roles=handler", *system.flags()) as process:
        line = await line_with(process.stderr, "elasti runs", "handler")
        assert process.stderr is not None
        # What nobody reads would fill the pipe, and hold the program up.
        drained = asyncio.create_task(process.stderr.read())
        found = re.search(r"http://[^/\s]+", line)
        assert found is not None
        yield process, found[0]
        drained.cancel()


async def woken(address: str, service: Service) -> int:
    """Ask the handler as a gateway does that Kafka did not answer."""
    body = {"namespace": service.key.namespace, "svc": service.key.name}
    async with aiohttp.ClientSession() as session, session.post(f"{address}/internal/wake", json=body) as answer:
        return answer.status


def seen_up(system: RealSystem, service: Service) -> list[ScaleResult]:
    """Our own change of the replicas, told by somebody who did not make it."""
    return [each for each in system.results(service, Phase.OBSERVED) if each.replicas and each.manager == OWN_MANAGER]


async def test_what_a_handler_did_and_could_not_tell_is_seen_by_the_next_and_counts_as_a_wake(
    system: RealSystem, own_kafka: EmbeddedKafka
) -> None:
    services = [await system.create(deployment(f"web-{number}"), cooldown=COOLDOWN) for number in range(SERVICES)]
    await system.run(frozenset({Role.WORKER}))
    async with mortal_handler(system) as (process, address):
        await system.until(lambda: all(system.replicas(service) == 0 for service in services))
        await own_kafka.kill()
        assert [await woken(address, service) for service in services] == [200] * SERVICES
        assert [await system.replicas_of(service) for service in services] == [1] * SERVICES
        # With it goes its journal.
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await own_kafka.restart()
    await system.run(frozenset({Role.HANDLER}))
    await system.until(lambda: all(seen_up(system, service) for service in services))
    await system.until(lambda: all(system.commands(service, Direction.ZERO) for service in services))
    for service in services:
        (seen,), zero = seen_up(system, service), system.commands(service, Direction.ZERO)[0]
        assert zero.decided_at >= seen.at + COOLDOWN
        assert not [each for each in system.results(service) if each.cause is ResultCause.DIRECT]
        assert not system.commands(service, Direction.UP)
