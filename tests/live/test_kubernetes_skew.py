"""Clocks that disagree: the API server's or this machine's is minutes off, and nothing sleeps early or crashes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kubernetes.api import Access, Api
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.bed import proxy
from tests.bed.kube import Kube
from tests.bed.manifests import Manifest, deployment
from tests.bed.proxy import Proxy
from tests.live.real_system import Place, RealSystem, really_installed
from tests.live.seen import Service

MINUTES = timedelta(minutes=10)
SECOND = timedelta(seconds=1)
COOLDOWN = 4 * SECOND


@pytest.fixture
def place(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> Place:
    return kafka.bootstrap, prefix, tmp_path


@pytest.fixture
async def road(cluster: ControlPlane) -> AsyncIterator[Proxy]:
    """A way to the API server on which its clock can be set wrong."""
    async with proxy.before(cluster) as between:
        yield between


@pytest.fixture
async def system(
    cluster: ControlPlane, kube: Kube, namespace: str, place: Place, road: Proxy
) -> AsyncIterator[RealSystem]:
    async with really_installed(cluster, RealSystem(place, kube, namespace), road.url) as made:
        yield made


class WrongClock(BrokerClock):
    """The clock of a machine that is this far ahead of the truth."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__()
        self._origin += ahead


async def created_at(system: RealSystem, service: Service) -> datetime:
    """By the API server's own clock."""
    content = await system.kube.get(system.policy_of(service))
    return datetime.fromisoformat(content["metadata"]["creationTimestamp"])


def woken_at(resource: Manifest | None) -> datetime | None:
    """When it was woken last, as its status says."""
    told = (resource or {}).get("status", {}).get("lastScaledUpTime")
    return datetime.fromisoformat(told) if told else None


def reason_of(resource: Manifest | None, kind: str) -> str:
    """The reason of this condition."""
    conditions = (resource or {}).get("status", {}).get("conditions") or []
    return next((one["reason"] for one in conditions if one["type"] == kind), "")


async def test_a_policy_from_the_future_is_newborn_until_its_time_and_requests_wake_it(
    system: RealSystem, road: Proxy
) -> None:
    road.skew = MINUTES
    web = await system.create(deployment("web", 2), cooldown=COOLDOWN)
    asleep = await system.create(deployment("asleep"), cooldown=COOLDOWN)
    program = await system.run()
    await system.until(lambda: bool(system.decisions(web, "newborn")))
    await system.until(lambda: system.replicas(asleep) == 0)
    began = system.now()
    placed = await system.request(asleep)
    await system.until(lambda: system.ready(asleep))
    (accepted,) = system.results(asleep, Phase.ACCEPTED)
    ready = system.results(asleep, Phase.READY)[0]
    # What is told is told in the brokers' time, whatever the API server's is.
    assert placed.at <= accepted.at <= ready.at <= began + MINUTES / 2
    await system.kube.until(system.policy_of(asleep), lambda seen: woken_at(seen) is not None)
    while system.now() < began + COOLDOWN + SECOND:
        await system.until_evaluated(program)
    assert not [each for each in system.seen.commands if each.direction is Direction.ZERO]
    assert await system.replicas_of(web) == 2


@pytest.mark.parametrize("skew", [5 * SECOND, -MINUTES], ids=["ahead", "behind"])
async def test_a_service_sleeps_a_cooldown_after_it_is_born_and_after_it_was_seen_first(
    system: RealSystem, road: Proxy, skew: timedelta
) -> None:
    road.skew = skew
    web = await system.create(deployment("web", 2), cooldown=COOLDOWN)
    await system.run()
    await system.until(lambda: bool(system.commands(web, Direction.ZERO)))
    zero = system.commands(web, Direction.ZERO)[0]
    born = await created_at(system, web)
    seen = system.results(web, Phase.OBSERVED)[0].at
    assert zero.decided_at >= max(born + max(skew, timedelta()), seen) + COOLDOWN
    await system.until(lambda: system.replicas(web) == 0)


@pytest.mark.parametrize("ahead", [MINUTES, -MINUTES], ids=["ahead", "behind"])
async def test_a_machine_whose_clock_is_wrong_decides_by_the_brokers_time(
    cluster: ControlPlane, kube: Kube, namespace: str, place: Place, ahead: timedelta
) -> None:
    async with really_installed(cluster, RealSystem(place, kube, namespace, WrongClock(ahead))) as system:
        web = await system.create(deployment("web", 2), cooldown=COOLDOWN)
        asleep = await system.create(deployment("asleep"), cooldown=COOLDOWN)
        await system.run()
        await system.until(lambda: system.replicas(asleep) == 0)
        asked = await system.request(asleep)
        await system.until(lambda: system.ready(asleep))
        accepted, ready = system.results(asleep, Phase.ACCEPTED)[0], system.results(asleep, Phase.READY)[0]
        assert asked.at - SECOND <= accepted.at <= ready.at + SECOND <= datetime.now(UTC) + 2 * SECOND
        await system.until(lambda: bool(system.commands(web, Direction.ZERO)))
        zero, born = system.commands(web, Direction.ZERO)[0], await created_at(system, web)
        # Neither early, nor minutes late.
        assert born + COOLDOWN - SECOND <= zero.decided_at <= datetime.now(UTC) + SECOND
        await system.until(lambda: system.replicas(web) == 0)
        # What the log says, people see soon, too.
        await system.kube.until(system.policy_of(asleep), lambda seen: woken_at(seen) is not None)
        await system.kube.until(system.policy_of(web), lambda seen: reason_of(seen, "Active") == "Asleep")


async def test_the_servers_own_time_is_read_from_its_answers(admin: Access, road: Proxy) -> None:
    api = Api(Access(road.url, token=admin.token))
    for skew in (timedelta(), MINUTES, -MINUTES):
        road.skew = skew
        assert abs(await api.time() - datetime.now(UTC) - skew) < 5 * SECOND
    await api.close()
