"""From `kubectl apply -k` to sleeping, waking and leaving: the three programs with the rights of their manifests."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.app import log
from consumer.settings import Settings
from tests.bed.kube import Kube, Ref
from tests.bed.manifests import Manifest, deployment
from tests.live.program import LIMIT, line_with, running
from tests.live.prometheus_server import PrometheusServer

_K8S = Path(__file__).parents[2] / "k8s"
_INSTALLATION = "elasti"


async def kubectl(cluster: ControlPlane, *words: str) -> str:
    """Run kubectl as an administrator; returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        cluster.program("kubectl"),
        *words,
        env={"KUBECONFIG": str(cluster.kubeconfig()), "HOME": str(cluster.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def policy(query: str) -> Manifest:
    """An ElastiService of a Deployment called web that is idle while the query says less than 1."""
    return {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": {"name": "web"},
        "spec": {
            "service": "web",
            "minTargetReplicas": 2,
            "cooldownPeriod": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "triggers": [{"type": "prometheus", "metadata": {"query": query, "threshold": "1"}}],
        },
    }


@dataclass(frozen=True, slots=True)
class Installed:
    """A running installation: the address of its gateway, and the cluster that it scales."""

    cluster: ControlPlane
    kube: Kube
    namespace: str
    gateway: str

    @property
    def web(self) -> Ref:
        """The Deployment."""
        return Ref("apps/v1", "Deployment", self.namespace, "web")

    @property
    def service(self) -> Ref:
        """Its ElastiService."""
        return Ref("elasti.truefoundry.com/v1alpha1", "ElastiService", self.namespace, "web")

    async def request(self) -> int:
        """A request, told by a resolver."""
        async with aiohttp.ClientSession() as session:
            body = {"count": 1, "svc": "web", "namespace": self.namespace}
            async with session.post(f"{self.gateway}/informer/incoming-request", json=body) as answer:
                return answer.status

    async def condition(self, kind: str, status: str) -> Manifest:
        """Wait until the resource shows this condition."""
        seen = await self.kube.until(self.service, lambda seen: status in _conditions(seen, kind), within=LIMIT)
        assert seen is not None
        return seen


def _conditions(resource: Manifest | None, kind: str) -> Sequence[str]:
    conditions = (resource or {}).get("status", {}).get("conditions", [])
    return [each["status"] for each in conditions if each["type"] == kind]


@pytest.fixture
async def places(kafka: EmbeddedKafka, prometheus: PrometheusServer, prefix: str) -> tuple[str, ...]:
    """Where Kafka and Prometheus are, as flags; the topics exist."""
    settings = Settings(kafka_bootstrap=(kafka.bootstrap,), topic_prefix=prefix, partitions=2, replication_factor=1)
    await log.create(settings)
    return (
        f"--kafka-bootstrap={kafka.bootstrap}",
        f"--topic-prefix={prefix}",
        f"--prometheus-address={prometheus.url}",
        "--polling-interval=500ms",
        "--http-host=127.0.0.1",
        "--http-port=0",
        "--cluster-access=kubeconfig",
    )


@pytest.fixture
async def installed(
    cluster: ControlPlane, kube: Kube, namespace: str, places: tuple[str, ...]
) -> AsyncIterator[Installed]:
    await kubectl(cluster, "apply", "--server-side", "--force-conflicts", "-k", str(_K8S))
    async with AsyncExitStack() as stack:

        async def start(role: str, *words: str) -> str:
            """Run one role with the rights of its service account; returns where it listens."""
            account = await cluster.service_account(_INSTALLATION, f"elasti-{role}")
            enter = f"--kubeconfig={cluster.kubeconfig(account)}"
            program = await stack.enter_async_context(running("run", f"--roles={role}", enter, *places, *words))
            line = await line_with(program.stderr, "elasti runs", role)
            assert program.stderr is not None
            # What nobody reads would fill the pipe, and hold the program up.
            stack.callback(asyncio.create_task(_drained(program.stderr)).cancel)
            found = re.search(r"http://[^/]+", line)
            assert found is not None
            return found[0]

        handler = await start("handler")
        await start("worker")
        gateway = await start("gateway", f"--handler-url={handler}")
        yield Installed(cluster, kube, namespace, gateway)


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


@pytest.fixture
async def asleep(installed: Installed, prometheus: PrometheusServer) -> Installed:
    """Idle by its metric, and asleep."""
    load = f'sum(whole_load{{namespace="{installed.namespace}"}})'
    prometheus.exporter.set("whole_load", 0, namespace=installed.namespace)
    await prometheus.until(load, lambda values: values == [0])
    await installed.kube.apply(deployment("web", 2), installed.namespace)
    await installed.kube.ready(installed.web, 2)
    await installed.kube.apply(policy(load), installed.namespace)
    await installed.kube.until(
        installed.web, lambda seen: seen is not None and not seen["spec"]["replicas"], within=LIMIT
    )
    await installed.condition("Active", "False")
    return installed


async def test_an_idle_service_sleeps_and_a_request_brings_it_back_and_people_see_why(
    asleep: Installed, prometheus: PrometheusServer
) -> None:
    assert await asleep.request() == 200
    await asleep.kube.ready(asleep.web, 2)
    prometheus.exporter.set("whole_load", 5, namespace=asleep.namespace)
    shown = await asleep.condition("Active", "True")
    assert shown["status"]["previousReplicas"] == 2
    assert shown["status"]["lastScaledUpTime"]
    columns = await kubectl(asleep.cluster, "get", "elastiservice", "web", "-n", asleep.namespace)
    assert columns.split("\n")[0].split() == ["NAME", "READY", "MODE", "REPLICAS", "REASON", "LAST", "WAKE", "AGE"]
    told = await kubectl(asleep.cluster, "describe", "elastiservice", "web", "-n", asleep.namespace)
    assert "Successfully scaled 0 replicas for Deployment/web" in told
    assert "Successfully scaled 2 replicas for Deployment/web: a request came" in told


async def test_a_policy_that_is_deleted_while_its_service_sleeps_gives_the_target_back(asleep: Installed) -> None:
    await asleep.kube.delete(asleep.service)
    await asleep.kube.ready(asleep.web, 2)
    await asleep.kube.until(asleep.service, lambda seen: seen is None, within=LIMIT)
