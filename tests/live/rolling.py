"""Two workers and two handlers, processes of their own, restarted one after the other while requests keep coming."""

import asyncio
import json
import math
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

import aiohttp

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader, create_topics
from consumer.core.state import ServiceState
from consumer.elastiservice import API_VERSION
from consumer.ports import Output, Record
from consumer.wire.state import state_from_bytes
from schemas.partitioning import partition_for, record_key
from schemas.scale_result import Phase
from schemas.topics import Topic
from tests.bed.kube import Kube, Ref
from tests.bed.manifests import Manifest, deployment
from tests.live.program import line_with, running
from tests.live.seen import Seen

PARTITIONS = 4
_LOOK_AGAIN = 0.25
_PATIENCE = 240
_AT_ONCE = 16
_OUTPUTS = (Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.DECISIONS)


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is."""

    cluster: ControlPlane
    kube: Kube
    kafka: str
    namespace: str
    prefix: str

    @property
    def words(self) -> Sequence[str]:
        """The flags that every process gets."""
        return (
            f"--kafka-bootstrap={self.kafka}",
            f"--topic-prefix={self.prefix}",
            "--cluster-access=kubeconfig",
            f"--kubeconfig={self.cluster.kubeconfig()}",
            f"--watch-namespaces={self.namespace}",
            "--http-host=127.0.0.1",
            "--http-port=0",
        )


@dataclass(frozen=True, slots=True)
class Restart:
    """One process that was ended politely and replaced: when, and with which code it ended."""

    role: str
    began: float
    ended: float
    code: int | None


@dataclass(slots=True)
class Pod:
    """One process at a time, under one name."""

    role: str
    places: Places
    process: asyncio.subprocess.Process | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, http: aiohttp.ClientSession) -> None:
        """Run it, and wait until it says that it is ready, as a Deployment does before it goes on to the next."""
        program = running("run", f"--roles={self.role}", *self.places.words)
        self.process = process = await self._stack.enter_async_context(program)
        line = await line_with(process.stderr, "elasti runs", self.role)
        assert process.stderr is not None
        # What nobody reads would fill the pipe, and hold the program up.
        self._stack.push_async_callback(_cancelled, asyncio.create_task(_drained(process.stderr)))
        found = re.search(r"http://[^/]+", line)
        assert found is not None
        async with asyncio.timeout(_PATIENCE):
            while not await _is_ready(http, found[0]):  # noqa: ASYNC110 - a process tells it by its page alone
                await asyncio.sleep(_LOOK_AGAIN)

    async def restart(self, http: aiohttp.ClientSession) -> Restart:
        """End it politely, and run another."""
        began, process = time.time(), self.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
        await self.close()
        await self.start(http)
        return Restart(self.role, began, time.time(), code)

    async def close(self) -> None:
        """Leave nothing behind."""
        await self._stack.aclose()


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


class Rolling:
    """The installation, its services, and what became of each request."""

    def __init__(self, places: Places, sleepers: Sequence[str], busy: Sequence[str]) -> None:
        self.places = places
        self.sleepers, self.busy = sleepers, busy
        self.asked: dict[str, float] = {}
        """When each sleeper's request was sent."""
        self.sent = 0
        self.restarts: list[Restart] = []
        self._publisher = KafkaPublisher(KafkaConnection(places.kafka))
        self._pods = [Pod(role, places) for role in ("worker", "handler", "worker", "handler")]
        self._rolled = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run all four until the end of the block, from when they know that the sleepers sleep."""
        connection = KafkaConnection(self.places.kafka)
        await create_topics(connection, self.places.prefix, partitions=PARTITIONS, replication=1)
        await self._fill()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._publisher.close)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            for pod in self._pods:
                stack.push_async_callback(pod.close)
            async with asyncio.TaskGroup() as tasks:
                for pod in self._pods:
                    tasks.create_task(pod.start(http))
            await self._until_known()
            yield

    async def roll(self, pace: float) -> None:
        """Restart one process after the other; all the while a sleeper is asked for every `pace` seconds."""
        async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
            tasks.create_task(self._wake(pace))
            load = tasks.create_task(self._load(pace / 10))
            for pod in self._pods:
                self.restarts.append(await pod.restart(http))
            self._rolled.set()
            load.cancel()
        await self._until_woken()

    async def _wake(self, pace: float) -> None:
        for name in self.sleepers:
            await self._request(name)
            try:
                async with asyncio.timeout(pace):
                    await self._rolled.wait()
            except TimeoutError:
                continue
            return

    async def _load(self, pace: float) -> None:
        for name in cycle(self.busy):
            await self._request(name)
            await asyncio.sleep(pace)

    async def _request(self, name: str) -> None:
        namespace = self.places.namespace
        value = json.dumps({"count": 1, "svc": name, "namespace": namespace}).encode()
        topic = Topic.REQUEST_COUNTS.under(self.places.prefix)
        if name not in self.busy:
            self.asked[name] = time.time()
        partition = partition_for(namespace, name, PARTITIONS)
        await self._publisher.publish(Output(topic, partition, record_key(namespace, name), value))
        self.sent += 1

    def woken(self, seen: Seen) -> Mapping[str, float]:
        """When each target's wake was first told to be done: accepted, or found to be so.

        An API server that is slow may take a change and say nothing in time: whoever asks again finds it done.
        """
        done: dict[str, float] = {}
        for result in seen.results:
            if result.phase in (Phase.ACCEPTED, Phase.UNCHANGED) and result.replicas:
                done[result.service] = min(result.at.timestamp(), done.get(result.service, math.inf))
        return done

    async def changed(self) -> Mapping[str, tuple[int, int]]:
        """How often each target was changed since it was made, and the replicas that it has now."""
        path = await self.places.kube.path(Ref("apps/v1", "Deployment", self.places.namespace, ""))
        listed = await self.places.kube.call("GET", path)
        return {
            each["metadata"]["name"]: (each["metadata"]["generation"] - 1, each["spec"].get("replicas", 0))
            for each in listed["items"]
        }

    async def seen(self) -> Seen:
        """Everything that is durable of commands, results and decisions."""
        seen = Seen()
        for topic in _OUTPUTS:
            for record in await self._records(topic, PARTITIONS):
                seen.take(self.places.prefix, record)
        for record in await self._records(Topic.DEAD_LETTER, 1):
            seen.take(self.places.prefix, record)
        return seen

    async def _records(self, topic: Topic, partitions: int) -> Sequence[Record]:
        reader, name = KafkaReader(KafkaConnection(self.places.kafka)), topic.under(self.places.prefix)
        return [
            record
            for partition in range(partitions)
            async for batch in reader.read_to_end(name, partition)
            for record in batch
        ]

    async def _until_woken(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not self.asked.keys() <= _ready(await self.seen()):  # noqa: ASYNC110 - it lies in Kafka
                await asyncio.sleep(_LOOK_AGAIN)

    async def _until_known(self) -> None:
        """Wait until workers know what every target has."""
        async with asyncio.timeout(_PATIENCE):
            while not {*self.sleepers, *self.busy} <= await self._known():  # noqa: ASYNC110 - it lies in Kafka
                await asyncio.sleep(_LOOK_AGAIN)

    async def _known(self) -> set[str]:
        states = [state_from_bytes(record.value or b"") for record in await self._records(Topic.STATE, PARTITIONS)]
        return {state.key.name for state in states if isinstance(state, ServiceState) and state.target and state.waking}

    async def _fill(self) -> None:
        doors = asyncio.Semaphore(_AT_ONCE)

        async def create(name: str, replicas: int) -> None:
            async with doors:
                await self.places.kube.apply(deployment(name, replicas), self.places.namespace)
                await self.places.kube.apply(_policy(name), self.places.namespace)

        await asyncio.gather(*(create(name, 0) for name in self.sleepers), *(create(name, 1) for name in self.busy))


def _ready(seen: Seen) -> set[str]:
    return {result.service for result in seen.results if result.ready_replicas > 0}


def _policy(name: str) -> Manifest:
    """An ElastiService that sleeps in a quarter of an hour, when all this is over."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name},
        "spec": {
            "service": name,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [{"type": "request-count", "metadata": {"threshold": "1", "window": "5m"}}],
        },
    }
