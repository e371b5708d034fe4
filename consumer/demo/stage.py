"""The stage of the demo: starts everything, plays the traffic, follows the topics, and tidies up whatever happens."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from consumer.adapters.clock import BrokerClock
from consumer.app import log
from consumer.app.dev import embedded
from consumer.app.running import Assignment, Started, run
from consumer.core.service import ServiceKey
from consumer.demo.child import WorkerProcess
from consumer.demo.folder import guarded_folder
from consumer.demo.ground import Ground, Label
from consumer.demo.metrics import PretendPrometheus, Sample, sample
from consumer.demo.scenario import ACTORS, policy_of
from consumer.demo.show import NEWS, Scene
from consumer.demo.summary import Summary
from consumer.insight.board import Board, Standing
from consumer.insight.brief import brief
from consumer.ports import Clock, Output, Record
from consumer.settings import Role, Settings
from schemas.codec import Undecodable, decode
from schemas.control import Control, Freeze
from schemas.decision import Action, Decision
from schemas.request_count import RequestCount
from schemas.scale_result import ScaleResult
from schemas.service_status import ServiceStatus
from schemas.topics import Topic

Say = Callable[[str], None]
Open = Callable[[Path, Clock], AbstractAsyncContextManager[Ground]]
"""Starts a cluster with the actors' workloads, whose files may lie in this folder."""

INTERVAL = timedelta(seconds=2)
SESSION = timedelta(seconds=3)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _World:
    """The make-believe surroundings: cluster, metrics, clock, and the folder for policies and logs."""

    ground: Ground
    prometheus: PretendPrometheus
    clock: BrokerClock
    folder: Path


class Stage:
    """A running demo; everything that the keys do is a method of it."""

    def __init__(self, settings: Settings, world: _World, worker: WorkerProcess, *, gateway: int) -> None:
        self.board = Board()
        self.frozen = False
        self.news: deque[str] = deque(maxlen=NEWS)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.worker = worker
        self._settings = settings
        self._world = world
        self._started = world.clock.read().now
        self._gateway = f"http://127.0.0.1:{gateway}/informer/incoming-request"

    def now(self) -> datetime:
        """The time of the demo."""
        return self._world.clock.read().now

    @property
    def label(self) -> Label:
        """What the cluster of the demo is."""
        return self._world.ground.label

    @property
    def kafka(self) -> str:
        """Where the Kafka of the demo is."""
        return self._settings.kafka_bootstrap[0]

    async def sleep(self, length: timedelta) -> None:
        """Wait in the demo's time."""
        await self._world.clock.sleep(length)

    def elapsed(self) -> timedelta:
        """How long it has been playing."""
        return self.now() - self._started

    def scene(self, length: timedelta | None) -> Scene:
        """What is to be shown now."""
        return Scene(
            rows=self.board.rows(),
            elapsed=self.elapsed(),
            length=length,
            kafka=self.kafka,
            worker=self.worker.pid,
            blind=self._world.prometheus.blind,
            frozen=self.frozen,
            wakes=self.board.journeys.wakes,
            sleeps=self.board.journeys.sleeps,
            saved=self._world.ground.pod_time(self.now()).saved,
            news=tuple(self.news),
            label=self.label,
        )

    def summary(self) -> Summary:
        """What it came to so far."""
        usage = self._world.ground.pod_time(self.now())
        journeys = self.board.journeys
        return Summary(
            ran=self.elapsed(),
            wakes=journeys.wakes,
            sleeps=journeys.sleeps,
            failures=journeys.failures,
            deaths=self.worker.deaths,
            spreads=journeys.spreads(),
            used=usage.used,
            always_on=usage.always_on,
        )

    async def toggle_blindness(self) -> None:
        """Make Prometheus fail, or see again."""
        self._world.prometheus.blind = not self._world.prometheus.blind
        self._tell("Prometheus answers 503 from now on" if self._world.prometheus.blind else "Prometheus sees again")

    async def kill_worker(self) -> None:
        """Kill the worker with -9."""
        self._tell(f"killed the worker, pid {self.worker.pid}, with -9; the next one takes over when it is missed")
        self.worker.kill()

    async def wake_one(self) -> None:
        """Send a request to the service that has been asleep for longest."""
        asleep = [row for row in self.board.rows() if row.standing is Standing.ASLEEP]
        if not asleep:
            self._tell("nothing is asleep")
            return
        chosen = min(asleep, key=lambda row: row.since or self._started)
        self._tell(f"one request to {chosen.key}")
        async with aiohttp.ClientSession() as session:
            await self._request(session, chosen.key)

    async def toggle_freeze(self) -> None:
        """Freeze the sleeps through the control topic, or thaw them."""
        self.frozen = not self.frozen
        now = self.now()
        freeze = Freeze(by="you", at=now, why="key f") if self.frozen else None
        message = Control(cluster=self._settings.cluster, scope="*", by="you", at=now, why="key f", freeze=freeze)
        async with log.publisher(self._settings) as publisher:
            topic = Topic.CONTROL.under(self._settings.topic_prefix)
            await publisher.publish(Output(topic, 0, b"*", message.encode()))
        self._tell("sleeps are frozen, wakes go on" if self.frozen else "sleeps are allowed again")

    async def play(self) -> None:
        """Send every actor's requests, second by second, as resolvers do."""
        async with aiohttp.ClientSession() as session:
            second = 0
            while True:
                due = [actor.key for actor in ACTORS for _ in range(actor.traffic.at(second * _SECOND))]
                async with asyncio.TaskGroup() as tasks:
                    for key in due:
                        tasks.create_task(self._request(session, key))
                second += 1
                await self._world.clock.sleep(max(second * _SECOND - self.elapsed(), timedelta()))

    async def follow(self) -> None:
        """Keep the board current from the topics."""
        topics = (Topic.SERVICE_STATUS, Topic.SCALE_RESULTS, Topic.DECISIONS)
        readers = {
            topic.under(self._settings.topic_prefix): read for topic, read in zip(topics, self._reads, strict=True)
        }
        async for records in log.follow(self._settings, *topics, from_beginning=True):
            for record in records:
                readers[record.topic](record)

    @property
    def _reads(self) -> Sequence[Callable[[Record], None]]:
        return (self._status, self._result, self._decision)

    def _status(self, record: Record) -> None:
        key = ServiceKey.parse((record.key or b"").decode())
        status = decode(ServiceStatus, record.value) if record.value is not None else None
        if not isinstance(status, Undecodable):
            self.board.status(key, status)

    def _result(self, record: Record) -> None:
        result = decode(ScaleResult, record.value)
        if not isinstance(result, Undecodable):
            self.board.result(result)

    def _decision(self, record: Record) -> None:
        decision = decode(Decision, record.value)
        if not isinstance(decision, Undecodable):
            name = f"{decision.namespace}/{decision.service}"
            line = f"{name:<18} {decision.action:<5} {brief(decision.reason)} [{decision.reason.code}]"
            # The rows show who is left as it is; the few lines below them are for what changes something.
            self._tell(line, shown=decision.action is not Action.HOLD)

    def _tell(self, line: str, *, shown: bool = True) -> None:
        told = f"{self.now():%H:%M:%S} {line}"
        if shown:
            self.news.append(told)
        self.told.put_nowait(told)

    async def _request(self, session: aiohttp.ClientSession, key: ServiceKey) -> None:
        body = RequestCount(count=1, svc=key.name, namespace=key.namespace).encode()
        try:
            async with session.post(self._gateway, data=body) as answer:
                await answer.read()
        except aiohttp.ClientError as error:
            self._tell(f"the request for {key} was not taken: {error}")


@asynccontextmanager
async def staged(settings: Settings, cluster: Open, *, say: Say) -> AsyncIterator[Stage]:
    """Start a Kafka, the surroundings, handler, gateway and worker; end and remove all of it afterwards."""
    async with (
        guarded_folder("elasti-demo-") as folder,
        embedded(settings, say=say) as ready,
        _world(folder, cluster) as world,
        _metrics(world) as address,
    ):
        await world.ground.take("---\n".join(policy_of(actor, prometheus=address) for actor in ACTORS))
        ours = ready.model_copy(
            update={
                **world.ground.settings,
                "polling_interval": INTERVAL,
                "http_host": "127.0.0.1",
                "http_port": 0,
            }
        )
        say("starting the handler and the gateway in this process, the worker in one of its own")
        async with _running(ours, world) as gateway, asyncio.TaskGroup() as tasks:
            worker = WorkerProcess((*_worker_arguments(ours), *world.ground.flags), log=world.folder / "worker.log")
            stage = Stage(ours, world, worker, gateway=gateway)
            playing = [tasks.create_task(work()) for work in (worker.run, stage.play, stage.follow)]
            yield stage
            for task in playing:
                task.cancel()


def _worker_arguments(settings: Settings) -> Sequence[str]:
    return (
        "run",
        "--roles=worker",
        f"--kafka-bootstrap={','.join(settings.kafka_bootstrap)}",
        f"--topic-prefix={settings.topic_prefix}",
        f"--polling-interval={INTERVAL.total_seconds():g}s",
        f"--kafka-session-timeout={SESSION.total_seconds():g}s",
        "--http-host=127.0.0.1",
        "--http-port=0",
        "--log-format=console",
    )


@asynccontextmanager
async def _world(folder: Path, cluster: Open) -> AsyncIterator[_World]:
    clock = BrokerClock()
    started = clock.read().now

    def samples() -> Sequence[Sample]:
        elapsed = clock.read().now - started
        loads = [
            sample(
                "http_requests_per_second", actor.load(elapsed), namespace=actor.key.namespace, service=actor.key.name
            )
            for actor in ACTORS
            if actor.measured
        ]
        return [sample("up", 1, container="prometheus"), *loads]

    async with cluster(folder, clock) as ground:
        # Its start can take seconds, and the traffic begins after it.
        started = clock.read().now
        yield _World(ground, PretendPrometheus(samples), clock, folder)


@asynccontextmanager
async def _metrics(world: _World) -> AsyncIterator[str]:
    runner = web.AppRunner(world.prometheus.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _running(settings: Settings, world: _World) -> AsyncIterator[int]:
    """Run handler and gateway in this process; yields the gateway's port."""
    stopping = asyncio.Event()
    up: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
    assignment = Assignment(settings, frozenset({Role.HANDLER, Role.GATEWAY}), targets=world.ground.targets)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(assignment, stopping=stopping, started=up.set_result))
        yield (await up).port
        stopping.set()
