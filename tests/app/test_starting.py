"""A process that starts while Kafka is away: it serves, wakes directly, says what it waits for, and ends in peace."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml
from pydantic import SecretStr

from consumer.adapters.clock import BrokerClock
from consumer.adapters.simulated_cluster import SimulatedCluster
from consumer.app.running import Assignment, Started, run
from consumer.core.service import TargetRef
from consumer.ports import TargetKey
from consumer.settings import ALL_ROLES, ClusterAccess, Role, Settings, SettingsError

WEB = TargetKey("shop", TargetRef("apps/v1", "Deployment", "web"))
TOO_EARLY = 503
"""With Retry-After: a process that has just begun has not read its policies yet."""
BODY = {"count": 1, "svc": "web", "namespace": "shop"}
RESOURCE = {
    "apiVersion": "elasti.truefoundry.com/v1alpha1",
    "kind": "ElastiService",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "service": "web",
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "triggers": [{"type": "request-count", "metadata": {"threshold": "1", "window": "1m"}}],
    },
}


@dataclass(frozen=True)
class Process:
    """One process that runs, and a client of its pages."""

    up: Started
    session: aiohttp.ClientSession

    async def page(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.up.port}{path}") as answer:
            return answer.status, await answer.text()

    async def request(self) -> int:
        address = f"http://127.0.0.1:{self.up.port}/informer/incoming-request"
        async with self.session.post(address, json=BODY) as answer:
            return answer.status

    async def woken(self) -> int:
        """Ask as a resolver does: again, while the answer is that it is too early."""
        while (status := await self.request()) == TOO_EARLY:
            pass
        return status


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name a Kafka which nobody runs."""
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(RESOURCE), encoding="utf-8")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    return Settings(
        kafka_bootstrap=(f"127.0.0.1:{port}",),
        cluster_access=ClusterAccess.SIMULATED,
        policies=(tmp_path,),
        http_host="127.0.0.1",
        http_port=0,
    )


@pytest.fixture
def cluster() -> SimulatedCluster:
    """A cluster with a Deployment that sleeps."""
    made = SimulatedCluster(BrokerClock())
    made.create(WEB, replicas=0)
    return made


@asynccontextmanager
async def running(settings: Settings, roles: frozenset[Role], cluster: SimulatedCluster) -> AsyncIterator[Process]:
    """Run these roles until the block ends."""
    stopping, up = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        work = run(Assignment(settings, roles, targets=cluster), stopping=stopping, started=up.set_result)
        tasks.create_task(work)
        yield Process(await up, session)
        stopping.set()


async def test_it_serves_and_wakes_directly_and_says_what_it_waits_for(
    settings: Settings, cluster: SimulatedCluster
) -> None:
    async with running(settings, ALL_ROLES, cluster) as process:
        assert settings.kafka_bootstrap[0] in process.up.away
        assert await process.woken() == 200
        assert (await cluster.look(WEB)).replicas == 1
        assert (await process.page("/healthz"))[0] == 200
        status, text = await process.page("/readyz")
    assert status == 200
    assert "looking for Kafka" in text
    assert "begins when Kafka is there" in text


async def test_a_gateway_alone_has_a_handler_elsewhere_wake(settings: Settings, cluster: SimulatedCluster) -> None:
    async with running(settings, frozenset({Role.HANDLER}), cluster) as handler:
        elsewhere = settings.model_copy(update={"handler_url": f"http://127.0.0.1:{handler.up.port}"})
        async with running(elsewhere, frozenset({Role.GATEWAY}), cluster) as gateway:
            assert await gateway.woken() == 200
            assert (await gateway.page("/readyz"))[0] == 200
    assert (await cluster.look(WEB)).replicas == 1


async def test_a_gateway_that_can_do_nothing_says_so(settings: Settings, cluster: SimulatedCluster) -> None:
    async with running(settings, frozenset({Role.GATEWAY}), cluster) as gateway:
        assert await gateway.request() == 503
        status, text = await gateway.page("/readyz")
    assert status == 503
    assert "looking for Kafka" in text
    assert (await cluster.look(WEB)).replicas == 0


async def test_gateway_and_handler_with_one_token_wake_and_nobody_without_it(
    settings: Settings, cluster: SimulatedCluster
) -> None:
    guarded = settings.model_copy(update={"http_token": SecretStr("open-sesame-7")})
    async with running(guarded, frozenset({Role.HANDLER}), cluster) as handler:
        elsewhere = guarded.model_copy(update={"handler_url": f"http://127.0.0.1:{handler.up.port}"})
        async with running(elsewhere, frozenset({Role.GATEWAY}), cluster) as gateway:
            assert await gateway.request() == 401
            assert (await cluster.look(WEB)).replicas == 0
            gateway.session.headers["Authorization"] = "Bearer open-sesame-7"
            assert await gateway.woken() == 200
    assert (await cluster.look(WEB)).replicas == 1


async def test_a_certificate_that_can_not_be_used_ends_the_start_with_the_settings_name(
    settings: Settings, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.pem"
    wrong = settings.model_copy(update={"http_tls_cert": lost, "http_tls_key": lost})
    with pytest.raises(SettingsError, match=r"ELASTI_HTTP_TLS_CERT: can not use .*lost\.pem .*; give PEM files"):
        await run(Assignment(wrong, ALL_ROLES), stopping=asyncio.Event(), started=lambda _: None)
