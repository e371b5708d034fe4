"""What it takes to know 10,000 ElastiServices and their Deployments in a real API server: `python -m bench.watching`.

Prints time, processor time and memory of one process that lists and watches both, and what it asks of the server while
nothing happens. `--quick` does the same with a few hundred.
"""

import asyncio
import gc
import json
import resource
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import yaml

from bench._bed import quick
from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import AuditEntry, ControlPlane
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.service import TargetRef
from consumer.elastiservice import API_VERSION, PLURAL
from consumer.ports import TargetError, TargetView
from consumer.scalers.contract import Defaults
from consumer.scalers.registry import Registry

MANY, FEW = 10_000, 300
TARGETS_BUDGET, WHOLE_BUDGET = 100.0, 200.0
"""Megabytes: of the targets alone, and of a process that knows both (design section 8)."""

CRD = Path(__file__).parents[1] / "k8s" / "crd" / "elastiservices.yaml"
HERE = "default"
AT_ONCE = 24


async def main() -> None:
    """Fill a server, then measure in a process of its own."""
    small = quick(__doc__)
    count = FEW if small else MANY
    async with ControlPlane(say=print) as plane:
        api = Api(access_of(plane.url, str(plane.ca), plane.admin_token))
        await fill(api, count)
        mark = plane.audit_mark()
        told = json.dumps([plane.url, str(plane.ca), plane.admin_token, count, 5 if small else 60])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.watching", "--measure", stdin=asyncio.subprocess.PIPE
        )
        await child.communicate(told.encode())
        ours = [entry for entry in await plane.audit(mark) if entry.user == plane.admin.name]
        print("asked of the server, start included: " + told_of(ours))
        assert not any(entry.writes for entry in ours)
        await api.close()
    assert child.returncode == 0


def told_of(entries: list[AuditEntry]) -> str:
    """Count what was asked."""
    # Of a watch its beginning counts: the last of them is still going on.
    begun = (entry for entry in entries if entry.resource and entry.started == (entry.verb == "watch"))
    counted = Counter(f"{entry.verb} {entry.resource}" for entry in begun)
    return ", ".join(f"{count} {what}" for what, count in sorted(counted.items()))


def access_of(url: str, ca: str, token: str) -> Access:
    """The administrator's way in."""

    async def always() -> str:
        return token

    return Access(url, ssl.create_default_context(cafile=ca), always)


async def fill(api: Api, count: int) -> None:
    """Create the resource, and so many services of it."""
    await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(CRD.read_text()))
    await until(lambda: served(api))
    began = time.perf_counter()
    doors = asyncio.Semaphore(AT_ONCE)

    async def create(number: int) -> None:
        async with doors:
            await api.post(f"/apis/{API_VERSION}/namespaces/{HERE}/{PLURAL}", elastiservice(f"service-{number}"))
            await api.post(f"/apis/apps/v1/namespaces/{HERE}/deployments", deployment(f"service-{number}"))

    for begin in range(0, count, 1_000):
        await asyncio.gather(*(create(number) for number in range(begin, min(begin + 1_000, count))))
    print(f"{count} ElastiServices and Deployments created in {time.perf_counter() - began:.0f} s")


def elastiservice(name: str) -> dict[str, object]:
    """A resource as teams write them."""
    query = f'sum(rate(http_requests_total{{service="{name}",namespace="{HERE}"}}[1m])) or vector(0)'
    metadata = {"serverAddress": "http://prometheus.monitoring:9090", "query": query, "threshold": "0.5"}
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name, "labels": {"app": name, "team": "shop"}},
        "spec": {
            "service": name,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minTargetReplicas": 1,
            "cooldownPeriod": 900,
            "autoscaler": {"type": "keda", "name": name},
            "triggers": [{"type": "prometheus", "metadata": metadata}],
        },
    }


def deployment(name: str) -> dict[str, object]:
    """A workload at rest; paused, so that the controllers do not work on 10,000 of them meanwhile."""
    container = {"name": "web", "image": "registry.example/web:1.2.3", "env": [{"name": "MODE", "value": "production"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name, "team": "shop"}},
        "spec": {
            "replicas": 0,
            "paused": True,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


async def served(api: Api) -> bool:
    """Whether the server knows our resource by now."""
    try:
        await api.get(f"/apis/{API_VERSION}/{PLURAL}")
    except TargetError:
        return False
    return True


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what lies in the server."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.1)


async def measure(url: str, ca: str, token: str, count: int, rest: int) -> None:
    """List and watch both, and print what that took; then rest."""
    api, clock = Api(access_of(url, ca, token)), BrokerClock()
    watching = Watching(api, clock, chance)
    policies = KubernetesPolicies(watching, Registry(Defaults()).check)
    targets = KubernetesTargets(api, watching, clock)
    await api.get("/version")
    start = memory()
    async with asyncio.TaskGroup() as tasks:
        began, worked = time.perf_counter(), cpu()
        running = [tasks.create_task(policies.run())]
        await policies.listed()
        assert len(policies.entries()) == count, len(policies.entries())
        with_policies = memory()
        print(f"{count} ElastiServices: {told(began, worked)}, {with_policies - start:.0f} MB")
        began, worked = time.perf_counter(), cpu()
        running.append(tasks.create_task(targets.run()))
        targets.include([TargetRef("apps/v1", "Deployment", "any")])
        await seen(targets, count)
        whole = memory()
        print(f"{count} Deployments:    {told(began, worked)}, {whole - with_policies:.0f} MB")
        worked = cpu()
        await asyncio.sleep(rest)
        print(f"at rest: {(cpu() - worked) / rest * 100:.1f} % of a core; the process has {memory():.0f} MB in all")
        for task in running:
            task.cancel()
    await api.close()
    assert whole - with_policies <= TARGETS_BUDGET, f"the targets take more than {TARGETS_BUDGET} MB"
    assert whole <= WHOLE_BUDGET, f"the process takes more than {WHOLE_BUDGET} MB"


async def seen(targets: KubernetesTargets, count: int) -> None:
    """Return when the watch has shown so many."""
    names: set[str] = set()
    async with asyncio.timeout(120):
        async for view in targets.watch():
            if isinstance(view, TargetView):
                names.add(str(view.key))
            if len(names) >= count:
                return


def told(began: float, worked: float) -> str:
    """Say how long it took."""
    return f"known after {time.perf_counter() - began:.1f} s, {cpu() - worked:.1f} s of the processor"


def memory() -> float:
    """Megabytes of this process that are in memory."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def cpu() -> float:
    """Seconds of the processor that this process took so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if "--measure" in sys.argv:
        asyncio.run(measure(*json.loads(sys.stdin.read())))
    else:
        asyncio.run(main())
