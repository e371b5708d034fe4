"""What is measured on a real API server: an installation in a process of its own, and eyes on what comes of it."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from bench._bed import broker, topics
from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import AuditEntry, ControlPlane, User
from consumer.adapters.control_plane.calls import trusting
from consumer.adapters.kafka import KafkaConnection, KafkaReader
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.watching import Appeared, Watching
from consumer.children import HOST, free_ports
from consumer.core.state import ServiceState
from consumer.elastiservice import API_VERSION, PLURAL
from consumer.ports import Record
from consumer.settings import Role, Settings
from consumer.wire.state import state_from_bytes
from schemas.codec import Undecodable, decode
from schemas.scale_result import ScaleResult
from schemas.topics import Topic
from tests.bed.fixtures import define, our_definitions
from tests.bed.kube import Kube
from tests.bed.manifests import Manifest
from tests.live.elastiservices import admin_of

AT_ONCE = 16
PARTITIONS: int = Settings.model_fields["partitions"].default
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
POLICIES = f"/apis/{API_VERSION}/namespaces/{{}}/{PLURAL}"
_QUIET, _PACED = 3.0, 33.0
_LOOK_AGAIN = 0.25
_PATIENCE = 600
_TICKS = os.sysconf("SC_CLK_TCK")

Times = dict[str, float]
Objects = list[tuple[str, Manifest]]
"""What is to be created, each with its collection."""


@dataclass(frozen=True, slots=True)
class Bed:
    """The servers, an administrator's way in, and who the program is there."""

    plane: ControlPlane
    kafka: str
    api: Api
    us: User

    async def fill(self, namespace: str, objects: Objects) -> None:
        """Create all of these in a namespace of their own, a few at a time; each comes with its collection."""
        await self.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        doors, began = asyncio.Semaphore(AT_ONCE), time.time()

        async def create(collection: str, manifest: Manifest) -> None:
            async with doors:
                await self.api.post(collection.format(namespace), manifest)

        for begin in range(0, len(objects), 1_000):
            await asyncio.gather(*(create(*each) for each in objects[begin : begin + 1_000]))
            print(f"  {min(begin + 1_000, len(objects))} of {len(objects)} objects, {time.time() - began:.0f} s")

    async def asked(self, since: int) -> Sequence[AuditEntry]:
        """What our program asked of the API server."""
        return [entry for entry in await self.plane.audit(since) if entry.user == self.us.name]

    async def settled(self, *, paces: bool = False) -> None:
        """Return when our program has written nothing for a while; `paces`: nor what waits for its pace."""
        async with asyncio.timeout(_PATIENCE):
            mark = self.plane.audit_mark()
            while await asyncio.sleep(_PACED if paces else _QUIET, result=True):
                now = self.plane.audit_mark()
                if not any(entry.writes for entry in await self.asked(mark)):
                    return
                mark = now

    async def scaled(self, namespace: str, since: int) -> Times:
        """When the API server had accepted the first change of each target's scale, whoever asked for it."""
        done: Times = {}
        for entry in await self.plane.audit(since):
            if (entry.namespace, entry.subresource, entry.code) == (namespace, "scale", 200) and entry.writes:
                done.setdefault(entry.name, entry.at.timestamp())
        return done


@asynccontextmanager
async def bed() -> AsyncIterator[Bed]:
    """Start everything that is not ours."""
    async with broker() as kafka, ControlPlane(say=print) as plane:
        us = plane.user("elasti")
        async with Kube(plane) as kube:
            await define(kube, our_definitions())
            await kube.apply(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": "bench"},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": "cluster-admin",
                    },
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": us.name}],
                }
            )
        api = Api(admin_of(plane))
        try:
            yield Bed(plane, kafka, api, us)
        finally:
            await api.close()


def policy(name: str, **spec: object) -> Manifest:
    """An ElastiService whose Deployment only requests wake."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name},
        "spec": {
            "service": name,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [{"type": "request-count", "metadata": {"threshold": "1", "window": "5m"}}],
            **spec,
        },
    }


@dataclass(slots=True)
class Eyes:
    """When things became visible in one namespace: in Kafka, and to a watch."""

    prefix: str
    commands: Times = field(default_factory=dict)
    results: dict[str, Times] = field(default_factory=dict)
    ready: Times = field(default_factory=dict)
    """Since when a Deployment has a ready replica, as long as it has one."""
    known: dict[str, int] = field(default_factory=dict)
    """The replicas that a worker knows of."""
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(_PATIENCE), self.moved:
            await self.moved.wait_for(holds)

    async def all_known(self, names: Iterable[str], replicas: int = 0) -> None:
        """Wait until a worker knows that all of these have so many replicas."""
        wanted = dict.fromkeys(names, replicas).items()
        await self.until(lambda: wanted <= self.known.items())

    async def all_ready(self, names: Iterable[str]) -> None:
        """Wait until all of these have a ready replica."""
        wanted = set(names)
        await self.until(lambda: wanted <= self.ready.keys())

    async def follow_kafka(self, bootstrap: str) -> None:
        """Read what the installation writes."""
        names = [topic.under(self.prefix) for topic in (Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.STATE)]
        reader = KafkaReader(KafkaConnection(bootstrap))
        async for records in reader.follow_topics(names, from_beginning=True):
            for record in records:
                self._note(record)
            await self._look()

    async def follow_pods(self, api: Api, namespace: str) -> None:
        """Watch the Deployments."""
        async for event in Watching(api, BrokerClock(), chance).follow(DEPLOYMENTS.format(namespace)):
            match event:
                case Appeared({"metadata": {"name": str(name)}, "status": {"readyReplicas": int()}}):
                    self.ready.setdefault(name, time.time())
                case Appeared({"metadata": {"name": str(name)}}):
                    self.ready.pop(name, None)
                case _:
                    continue
            await self._look()

    async def _look(self) -> None:
        async with self.moved:
            self.moved.notify_all()

    def _note(self, record: Record) -> None:
        name = (record.key or b"").decode().rpartition("/")[2]
        if record.topic.endswith(Topic.SCALE_COMMANDS):
            self.commands.setdefault(name, time.time())
        elif record.topic.endswith(Topic.STATE):
            state = state_from_bytes(record.value or b"")
            if isinstance(state, ServiceState) and state.target is not None:
                self.known[name] = state.target.replicas
        else:
            result = decode(ScaleResult, record.value)
            if not isinstance(result, Undecodable):
                self.results.setdefault(result.phase.value, {}).setdefault(name, time.time())


@dataclass(frozen=True, slots=True)
class Running:
    """The program, for one namespace: one process with all roles, or one for each."""

    namespace: str
    url: str
    pids: Sequence[int]
    eyes: Eyes
    http: aiohttp.ClientSession

    async def request(self, name: str) -> None:
        """Tell its gateway of a request, as a resolver does; returns when that is durable."""
        body = {"count": 1, "svc": name, "namespace": self.namespace}
        async with self.http.post(f"{self.url}/informer/incoming-request", json=body) as answer:
            assert answer.status == 200, await answer.text()

    def memory(self) -> float:
        """Megabytes that it has in memory."""
        return sum(_memory(pid) for pid in self.pids)

    def cpu(self) -> float:
        """Seconds of the processor that it took."""
        return sum(_cpu(pid) for pid in self.pids)


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@asynccontextmanager
async def running(bed: Bed, namespace: str, *, apart: bool = False) -> AsyncIterator[Running]:
    """Run the program for a namespace that exists, with production's defaults; `apart`: a process for each role."""
    prefix = f"{namespace}."
    await topics(bed.kafka, prefix, PARTITIONS)
    processes = [(role,) for role in Role] if apart else [tuple(Role)]
    ports = free_ports(len(processes))
    urls = {role: f"http://{HOST}:{port}" for roles, port in zip(processes, ports, strict=True) for role in roles}
    words = {
        "kafka-bootstrap": bed.kafka,
        "topic-prefix": prefix,
        "cluster-access": "kubeconfig",
        "kubeconfig": bed.plane.kubeconfig(bed.us),
        "watch-namespaces": namespace,
        "handler-url": urls[Role.HANDLER],
        "http-host": HOST,
        "log-level": "error",
    }
    flags = [f"--{name}={value}" for name, value in words.items()]
    eyes = Eyes(prefix)
    async with AsyncExitStack() as stack:
        programs = [
            await stack.enter_async_context(_program(f"--roles={','.join(roles)}", f"--http-port={port}", *flags))
            for roles, port in zip(processes, ports, strict=True)
        ]
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        following = [
            tasks.create_task(eyes.follow_kafka(bed.kafka)),
            tasks.create_task(eyes.follow_pods(bed.api, namespace)),
        ]
        try:
            for program, (*_, role) in zip(programs, processes, strict=True):
                await _ready(http, urls[role], program)
            yield Running(namespace, urls[Role.GATEWAY], [program.pid for program in programs], eyes, http)
        finally:
            for task in following:
                task.cancel()


@asynccontextmanager
async def _program(*flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    program = await asyncio.create_subprocess_exec(sys.executable, "-m", "consumer", "run", *flags)
    try:
        yield program
    finally:
        if program.returncode is None:
            program.terminate()
        await program.wait()


async def _ready(http: aiohttp.ClientSession, url: str, program: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_PATIENCE):
        while program.returncode is None:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(_LOOK_AGAIN)
    raise AssertionError(f"the program ended with {program.returncode}")


def tally(entries: Iterable[AuditEntry]) -> Mapping[str, int]:
    """Count requests by verb and resource; of a watch its beginning counts."""
    begun = (entry for entry in entries if entry.resource and entry.started == (entry.verb == "watch"))
    return Counter(
        f"{entry.verb} {entry.resource}{entry.subresource and '/'}{entry.subresource}"
        + ("" if entry.code < 400 else f" ({entry.code})")
        for entry in begun
    )


class Bare:
    """The bare way: one conditional patch of the scale for each, with nothing around it."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self._server, self.namespace = bed.plane.url, namespace
        self._headers = {
            "Authorization": f"Bearer {bed.plane.admin_token}",
            "Content-Type": "application/json-patch+json",
        }
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64, ssl=trusting(bed.plane.ca)))
        self.eyes = Eyes("")

    async def request(self, name: str) -> None:
        """Wake it."""
        patch = [
            {"op": "test", "path": "/spec/replicas", "value": None},
            {"op": "add", "path": "/spec/replicas", "value": 1},
        ]
        url = f"{self._server}{DEPLOYMENTS.format(self.namespace)}/{name}/scale"
        async with self.http.patch(url, data=orjson.dumps(patch), headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()

    @asynccontextmanager
    async def watched(self, api: Api) -> AsyncIterator["Bare"]:
        """Watch what comes of it to the end of the block."""
        async with self.http, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.eyes.follow_pods(api, self.namespace))
            yield self
            following.cancel()
