"""The API server is away while sixty sleeping services are asked for: none is lost, nothing crashes, people see why."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.core.service import ServiceKey
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.bed.fixtures import define, our_definitions
from tests.bed.kube import Kube
from tests.bed.manifests import deployment
from tests.live.program import elasti
from tests.live.real_system import RealSystem, counted, really_installed
from tests.live.seen import Service
from tests.live.system import Program

SERVICES = 60
NAMESPACE = "default"
_LOOK_AGAIN = 0.2
_PATIENCE = 60
DONE = (Phase.ACCEPTED, Phase.UNCHANGED)


@pytest.fixture
async def system(
    own_cluster: ControlPlane, kafka: EmbeddedKafka, prefix: str, tmp_path: Path
) -> AsyncIterator[RealSystem]:
    """An installation on a control plane that may be killed."""
    async with Kube(own_cluster) as kube:
        await define(kube, our_definitions())
        made = RealSystem((kafka.bootstrap, prefix, tmp_path), kube, NAMESPACE)
        async with really_installed(own_cluster, made):
            yield made


async def requested(program: Program, services: Sequence[Service]) -> None:
    """Ask for each of them at once, as resolvers do."""
    address = f"http://127.0.0.1:{program.port}/informer/incoming-request"

    async def ask(session: aiohttp.ClientSession, key: ServiceKey) -> None:
        async with session.post(address, json={"count": 1, "svc": key.name, "namespace": key.namespace}) as answer:
            assert answer.status == 200

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, service.key) for service in services))


def accepted(system: RealSystem, service: Service) -> bool:
    """Whether the log says that its wake was accepted."""
    return any(system.results(service, phase) for phase in DONE)


def was_answered(system: RealSystem, service: Service) -> bool:
    """Whether a wake of it was accepted, had to give way to its own repetition, or was given up."""
    given_up = system.results(service, Phase.SUPERSEDED) or system.results(service, Phase.FAILED)
    return accepted(system, service) or bool(given_up)


async def page(program: Program, path: str) -> int:
    """The status of one of its pages."""
    address = f"http://127.0.0.1:{program.port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        return answer.status


def awake(system: RealSystem, service: Service) -> bool:
    """Whether the log says that its wake was accepted, and that it got ready."""
    return accepted(system, service) and bool(system.results(service, Phase.READY))


async def explained(system: RealSystem, service: Service) -> str:
    """What `elasti explain` says of it now."""
    settings = system.settings
    words = ("--kafka-bootstrap", settings.kafka_bootstrap[0], "--topic-prefix", settings.topic_prefix, "--no-ask")
    code, out, err = await elasti("explain", str(service.key), *words)
    assert code == 0, err
    return out


async def went_away(plane: ControlPlane, way: str) -> None:
    """End the server, or let it hang with all its connections open."""
    if way == "paused":
        plane.pause()
    else:
        await plane.kill()


async def came_back(plane: ControlPlane, way: str) -> None:
    """Let it go on, or start it anew."""
    if way == "paused":
        plane.resume()
    else:
        await plane.restart()


@pytest.mark.parametrize("way", ["killed", "paused"])
async def test_sixty_wakes_outlive_an_api_server_that_is_away(
    system: RealSystem, own_cluster: ControlPlane, way: str
) -> None:
    services = [await system.create(deployment(f"web-{number}")) for number in range(SERVICES)]
    program = await system.run()
    await system.until(lambda: all(system.replicas(service) == 0 for service in services))
    # It goes away while the first of them are being woken; the others are asked for without it.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(requested(program, services[: SERVICES // 2]))
        await system.until(lambda: bool(system.seen.commands))
        await went_away(own_cluster, way)
    await requested(program, services[SERVICES // 2 :])
    await system.until(lambda: all(was_answered(system, service) for service in services))
    in_vain = [service for service in services if not accepted(system, service)]
    assert len(in_vain) >= SERVICES // 2
    assert await counted(program, "elasti_cluster_calls_total", 'result="busy"') >= len(in_vain)
    # Whoever is taken for dead is restarted, and whoever is not ready is sent no requests.
    assert [await page(program, path) for path in ("healthz", "readyz")] == [200, 200]
    told = await explained(system, in_vain[0])
    assert "the API" in told, told
    await came_back(own_cluster, way)
    await system.until(lambda: all(awake(system, service) for service in services))
    assert [await system.replicas_of(service) for service in services] == [1] * SERVICES
    assert not [each for each in system.seen.commands if each.direction is not Direction.UP]
    # The watches show what happens from now on: to the workloads, and to the policies.
    await system.kube.scale(system.workload_of(services[0]), 3, manager="maria")
    await system.until(lambda: any(each.replicas == 3 for each in system.results(services[0], Phase.OBSERVED)))
    late = await system.create(deployment("late"))
    await system.until(lambda: system.replicas(late) == 0)
    # A server that hung did on its return what it was asked for before; then the wake finds its work done.
    changed = [service for service in in_vain if system.results(service, Phase.ACCEPTED)]
    assert changed or way == "paused"
    for service in changed[:1]:
        assert "request" in await told_by_event(system, service, "SuccessToScale")


async def told_by_event(system: RealSystem, service: Service, reason: str) -> str:
    """Wait until there is such an Event on the resource; returns what it says."""
    async with asyncio.timeout(_PATIENCE):
        while not (  # noqa: ASYNC110 - what is waited for lies in the server
            told := [message for known, message in await system.events(service) if known == reason]
        ):
            await asyncio.sleep(_LOOK_AGAIN)
    return told[0]
