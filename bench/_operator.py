"""KubeElasti's own operator as a process on the bed, with services that it keeps in its proxy mode."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from bench._plane import AT_ONCE, DEPLOYMENTS, POLICIES, Bed, Eyes, Objects
from consumer.adapters.kubernetes.api import PatchKind
from consumer.children import HOST, cache_root, end_with_parent, free_ports
from consumer.elastiservice import API_VERSION
from tests.bed.manifests import Manifest, deployment, service

PLACE = cache_root() / "kubeelasti-operator"
WHAT_IT_NEEDS = (
    "KubeElasti's operator is no part of this project: it is the program /manager in the image that its chart runs as "
    f"elasti-operator (tried: v0.1.30, built from its sources). Put that program at {PLACE}, or name it: "
    "--operator PATH"
)
SERVICES = "/api/v1/namespaces/{}/services"
_RESOLVER = "elasti-resolver"
_SERVICE = "elasti-resolver-service"
_PATIENCE = 600
_NUDGE_AGAIN, _LOOK_AGAIN = 15.0, 1.0
_LAST = 20


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator, for one namespace."""

    namespace: str
    url: str
    eyes: Eyes
    http: aiohttp.ClientSession

    async def request(self, name: str) -> None:
        """Tell it of a request, as its resolver does; it answers when it has scaled, or failed to: 200 either way."""
        body = {"count": 1, "svc": name, "namespace": self.namespace}
        async with self.http.post(f"{self.url}/informer/incoming-request", json=body) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()


def fingerprint(program: Path) -> str:
    """Say which program it is: it tells no version itself."""
    return f"{program} ({program.stat().st_size} bytes, SHA-256 {hashlib.sha256(program.read_bytes()).hexdigest()})"


def asleep(names: Sequence[str]) -> Objects:
    """A workload at zero, its Service and its ElastiService, for each, and the resolver that traffic would go to."""
    door = service(_RESOLVER)
    door["metadata"]["name"] = _SERVICE
    return [
        (DEPLOYMENTS, deployment(_RESOLVER, 1)),
        (SERVICES, door),
        *((DEPLOYMENTS, deployment(name)) for name in names),
        *((SERVICES, service(name)) for name in names),
        *((POLICIES, _policy(name)) for name in names),
    ]


def _policy(name: str) -> Manifest:
    """An ElastiService that polling leaves alone: KubeElasti asks nothing for one that is younger than its cooldown."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name},
        "spec": {
            "service": name,
            "minTargetReplicas": 1,
            "cooldownPeriod": 604_800,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {"serverAddress": "http://prometheus:9090", "query": "up", "threshold": "1"},
                }
            ],
        },
    }


@asynccontextmanager
async def operating(bed: Bed, namespace: str, program: Path) -> AsyncIterator[Operator]:
    """Run it for a namespace that is filled already, in the name of `bed.us`.

    It serves its port on all addresses of this machine, and has no setting for that.
    """
    port, proxy, probe = free_ports(3)
    flags = (
        "--metrics-bind-address=0",
        f"--health-probe-bind-address={HOST}:{probe}",
        f"--watch-namespace={namespace}",
    )
    eyes = Eyes("")
    with TemporaryDirectory(prefix="elasti-bench-") as folder:
        words = Path(folder) / "operator.log"
        with words.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(program),
                *flags,
                env=_environment(bed, namespace, port, proxy),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        try:
            async with session as http, asyncio.TaskGroup() as tasks:
                following = tasks.create_task(eyes.follow_pods(bed.api, namespace))
                await _in_proxy_mode(bed, namespace, process)
                yield Operator(namespace, f"http://{HOST}:{port}", eyes, http)
                following.cancel()
        except Exception:
            print("the last words of KubeElasti's operator:")
            print("\n".join(words.read_text(errors="replace").splitlines()[-_LAST:]))
            raise
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _environment(bed: Bed, namespace: str, port: int, proxy: int) -> dict[str, str]:
    """What its chart gives it; its own defaults are there for everything else."""
    return {
        "KUBECONFIG": str(bed.plane.kubeconfig(bed.us)),
        "KUBERNETES_CLUSTER_DOMAIN": "cluster.local",
        "WATCH_NAMESPACES": namespace,
        "POLLING_INTERVAL": "30s",
        "ELASTI_OPERATOR_NAMESPACE": namespace,
        "ELASTI_OPERATOR_DEPLOYMENT_NAME": "elasti-operator-controller-manager",
        "ELASTI_OPERATOR_SERVICE_NAME": "elasti-operator-controller-service",
        "ELASTI_OPERATOR_PORT": str(port),
        "ELASTI_RESOLVER_NAMESPACE": namespace,
        "ELASTI_RESOLVER_DEPLOYMENT_NAME": _RESOLVER,
        "ELASTI_RESOLVER_SERVICE_NAME": _SERVICE,
        "ELASTI_RESOLVER_PORT": str(port),
        "ELASTI_RESOLVER_PROXY_PORT": str(proxy),
    }


async def _in_proxy_mode(bed: Bed, namespace: str, process: asyncio.subprocess.Process) -> None:
    """Return when it would see a request for each of them: it has switched their traffic to the resolver.

    It looks at a workload when that changes, so each is touched, again for those that it was not watching yet.
    """
    began, touched = time.time(), 0.0
    async with asyncio.timeout(_PATIENCE):
        while rest := await _elsewhere(bed, namespace):
            assert process.returncode is None, f"KubeElasti's operator ended with {process.returncode}"
            if time.time() - touched > _NUDGE_AGAIN:
                for begin in range(0, len(rest), AT_ONCE):
                    await asyncio.gather(*(_touch(bed, namespace, name) for name in rest[begin : begin + AT_ONCE]))
                touched = time.time()
            await asyncio.sleep(_LOOK_AGAIN)
    print(f"  KubeElasti's operator has all services in its proxy mode after {time.time() - began:.0f} s")


async def _elsewhere(bed: Bed, namespace: str) -> Sequence[str]:
    match await bed.api.get(POLICIES.format(namespace)):
        case {"items": list(items)}:
            return [each["metadata"]["name"] for each in items if each.get("status", {}).get("mode") != "proxy"]
        case other:
            raise AssertionError(other)


async def _touch(bed: Bed, namespace: str, name: str) -> None:
    change = {"metadata": {"annotations": {"bench.elasti/touched": f"{time.time()}"}}}
    await bed.api.patch(f"{DEPLOYMENTS.format(namespace)}/{name}", change, PatchKind.MERGE)
