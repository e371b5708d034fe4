"""The whole system on a real Kafka: the program itself, a simulated cluster, and eyes on everything that it writes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import yaml

from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka.connection import admin
from consumer.adapters.simulated_cluster import SimulatedCluster, Startup
from consumer.app import log
from consumer.app.running import Assignment, Started, run
from consumer.core.service import ServiceKey
from consumer.ports import Clock, Moment, Output, Placed, Targets
from consumer.settings import ALL_ROLES, ClusterAccess, Role, Settings
from consumer.worker.settings import WorkerSettings
from schemas.decision import Decision
from schemas.partitioning import partition_for
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic
from tests.live.seen import Seen, Service

COOLDOWN = timedelta(seconds=2)
SESSION = timedelta(seconds=2)
# Only a test that failed waits so long; what is waited for takes a few seconds on a busy machine.
_PATIENCE = 60
_AT_ONCE = Startup(takes=timedelta())
_LOOK_AGAIN = 0.05
_MACHINE = BrokerClock()
COUNTED: Mapping[str, object] = {"type": "request-count", "metadata": {"threshold": "1", "window": "1s"}}


class StandingClock:
    """Time that stands still until it is moved; who waits, waits in real time, as Kafka and the network do."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def read(self) -> Moment:
        """The moment it was moved to."""
        return Moment(self.now, sure=True)

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Nothing: the records have their times from this clock."""

    async def sleep(self, length: timedelta) -> None:
        """Wait in real time."""
        await asyncio.sleep(length.total_seconds())


class Program:
    """`elasti run` with some roles in this process."""

    def __init__(self, assignment: Assignment) -> None:
        self._stopping = asyncio.Event()
        self._up: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self.running = asyncio.create_task(
            run(assignment, stopping=self._stopping, started=self._up.set_result), name="elasti run"
        )

    async def up(self) -> Started:
        """Wait until it serves."""
        await asyncio.wait((self.running, self._up), return_when=asyncio.FIRST_COMPLETED)
        return self._up.result() if self._up.done() else _failed(self.running)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._up.result().port

    def owns(self) -> int:
        """How many partitions its worker has taken over; 0 while some of those it was given are not."""
        (report,) = [report for part in self._up.result().health if (report := part.health()).part == "worker"]
        return int(report.detail.split()[0]) if report.ready else 0

    async def stop(self) -> None:
        """Ask it to end, as SIGTERM does, and wait for the end."""
        self._stopping.set()
        await self.running


def _failed(task: asyncio.Task[None]) -> Started:
    task.result()
    raise AssertionError("the program ended before it was asked to")


class System:
    """One installation: topics under a prefix, a folder of policies, a cluster, and what became durable so far."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, clock: Clock | None = None) -> None:
        self.settings = Settings(
            kafka_bootstrap=(bootstrap,),
            kafka_session_timeout=SESSION,
            topic_prefix=prefix,
            partitions=1 if clock else 3,
            replication_factor=1,
            cluster_access=ClusterAccess.SIMULATED,
            policies=(folder,),
            polling_interval=timedelta(seconds=0.5),
            http_host="127.0.0.1",
            http_port=0,
        )
        self.seen = Seen()
        self.cluster = SimulatedCluster(clock or BrokerClock())
        self.targets: Targets = self.cluster
        """What handlers scale; the simulated cluster unless a test brings a real one."""
        self._clock = clock
        self._folder = folder
        self._programs: list[Program] = []
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Create the topics, let the cluster live, and follow what is written."""
        self._folder.mkdir(exist_ok=True)
        await log.create(self.settings)
        self._tasks = [asyncio.create_task(work) for work in (self.cluster.run(), self._follow())]

    async def stop(self) -> None:
        """End every program politely, then the rest."""
        for program in self._programs:
            if not program.running.done():
                await program.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run(self, roles: frozenset[Role] = ALL_ROLES, **otherwise: object) -> Program:
        """Run these roles in this process, with the settings of the installation but for those named."""
        settings = self.settings.model_copy(update=otherwise)
        program = Program(Assignment(settings, roles, targets=self.targets, clock=self._clock))
        self._programs.append(program)
        await program.up()
        return program

    def forget(self, program: Program) -> None:
        """A program that ended as it was to end: its error is no news any more."""
        self._programs.remove(program)

    @asynccontextmanager
    async def process(self, *launcher: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a worker as a process of its own, killed at the end if it still lives; what it says is a pipe."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *(launcher or ("consumer",)),
            "run",
            "--roles=worker",
            f"--kafka-bootstrap={self.settings.kafka_bootstrap[0]}",
            f"--topic-prefix={self.settings.topic_prefix}",
            f"--policies={self._folder}",
            f"--polling-interval={self.settings.polling_interval.total_seconds():g}s",
            f"--kafka-session-timeout={SESSION.total_seconds():g}s",
            "--http-host=127.0.0.1",
            "--http-port=0",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
            await process.communicate()

    # What the tests do.

    def now(self) -> datetime:
        """The time of the installation."""
        return (self._clock or _MACHINE).read().now

    def service(
        self,
        name: str,
        *,
        replicas: int = 0,
        cooldown: timedelta = COOLDOWN,
        trigger: Mapping[str, object] = COUNTED,
        **more: object,
    ) -> Service:
        """Create a Deployment with so many replicas, and its ElastiService as a policy file; `more` is more spec."""
        service = Service(ServiceKey("shop", name))
        self.cluster.create(service.target, replicas=replicas, startup=_AT_ONCE)
        self.policy(service, cooldown=cooldown, trigger=trigger, **more)
        return service

    def policy(
        self,
        service: Service,
        *,
        cooldown: timedelta = COOLDOWN,
        trigger: Mapping[str, object] = COUNTED,
        **more: object,
    ) -> None:
        """Write the service's policy file, in place of the one that was."""
        name = service.key.name
        resource = {
            "apiVersion": "elasti.truefoundry.com/v1alpha1",
            "kind": "ElastiService",
            "metadata": {"name": name, "namespace": service.key.namespace},
            "spec": {
                "service": name,
                "minTargetReplicas": 1,
                "cooldownPeriod": int(cooldown.total_seconds()),
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "triggers": [trigger],
                **more,
            },
        }
        (self._folder / f"{name}.yaml").write_text(yaml.safe_dump(resource), encoding="utf-8")

    async def sleeping(self, name: str) -> Service:
        """A service that everybody knows to be asleep."""
        service = self.service(name)
        await self.until(lambda: self.replicas(service) == 0)
        return service

    async def request(self, service: Service, count: int = 1) -> Placed:
        """A request, sent by a producer that knows Kafka's own way of partitioning."""
        value = f'{{"count": {count}, "svc": "{service.key.name}", "namespace": "{service.key.namespace}"}}'
        return await self.send(
            Topic.REQUEST_COUNTS, value.encode(), partition=self.partition(service), key=bytes(service.key)
        )

    async def send(self, topic: Topic, value: bytes | None, *, partition: int, key: bytes | None = None) -> Placed:
        """Whatever somebody writes."""
        async with log.publisher(self.settings) as publisher:
            return await publisher.publish(Output(topic.under(self.settings.topic_prefix), partition, key, value))

    def partition(self, service: Service) -> int:
        """Where the service's records belong."""
        return partition_for(service.key.namespace, service.key.name, self.settings.partitions)

    # What the tests look at.

    def replicas(self, service: Service) -> int | None:
        """How many replicas the service's last status shows."""
        statuses = [status for status in self.seen.statuses if service.is_meant(status)]
        return statuses[-1].replicas if statuses else None

    def commands(self, service: Service, direction: Direction | None = None) -> list[ScaleCommand]:
        """The service's commands so far."""
        return [c for c in self.seen.commands if service.is_meant(c) and direction in (None, c.direction)]

    def ready(self, service: Service) -> bool:
        """Whether the service's last wake has come to a ready replica."""
        ups, ready = self.commands(service, Direction.UP), self.results(service, Phase.READY)
        return bool(ups and ready) and ready[-1].at >= ups[-1].decided_at

    def results(self, service: Service, phase: Phase | None = None) -> list[ScaleResult]:
        """The service's results so far."""
        return [r for r in self.seen.results if service.is_meant(r) and phase in (None, r.phase)]

    def decisions(self, service: Service, code: str | None = None) -> list[Decision]:
        """The service's decisions so far, all or those with this reason."""
        return [d for d in self.seen.decisions if service.is_meant(d) and code in (None, d.reason.code)]

    def written(self) -> int:
        """How many records the system has written so far, states left out."""
        seen = self.seen
        return len(seen.commands) + len(seen.results) + len(seen.decisions) + len(seen.statuses) + len(seen.letters)

    async def durable_commands(self, service: Service) -> list[ScaleCommand]:
        """Every command of the service that is in the log now, read anew from its beginning to its end."""
        topic, seen = Topic.SCALE_COMMANDS.under(self.settings.topic_prefix), Seen()
        async for records in log.reader(self.settings).read_to_end(topic, self.partition(service)):
            for record in records:
                seen.take(self.settings.topic_prefix, record)
        return [command for command in seen.commands if service.is_meant(command)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, record by record, until it holds."""
        async with asyncio.timeout(_PATIENCE), self._changed:
            while not holds():
                # Looked at from time to time: a program that ended writes nothing more.
                self._alive()
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await self._changed.wait()

    async def until_dealt_with(self, *placed: Placed, group: str | None = None) -> None:
        """Wait until the workers (or another group) committed an offset behind each of these records."""
        group = group or self.worker_group
        async with asyncio.timeout(_PATIENCE), admin(log.connection_of(self.settings, "test")) as client:
            while True:
                offsets = await client.list_consumer_group_offsets(group)
                done = {(place.topic, place.partition): meta.offset for place, meta in offsets.items()}
                if all(done.get((each.topic, each.partition), 0) > each.offset for each in placed):
                    return
                self._alive()
                await asyncio.sleep(_LOOK_AGAIN)

    async def until_evaluated(self, program: Program) -> None:
        """Wait until a whole evaluation cycle of every partition began and ended after this call."""
        async with asyncio.timeout(_PATIENCE), aiohttp.ClientSession() as session:
            before = await _evaluations(session, program.port)
            # One of each may have begun before.
            while await _evaluations(session, program.port) < before + 2 * self.settings.partitions:
                self._alive()
                await asyncio.sleep(_LOOK_AGAIN)

    async def until_owns(self, program: Program, enough: Callable[[int], bool]) -> None:
        """Wait until the program's worker owns so many partitions."""
        async with asyncio.timeout(_PATIENCE):
            while not enough(program.owns()):
                self._alive()
                await asyncio.sleep(_LOOK_AGAIN)

    @property
    def worker_group(self) -> str:
        """The consumer group of the workers."""
        settings = self.settings
        ours = WorkerSettings(prefix=settings.topic_prefix, group=settings.worker_group, tenants=settings.tenants)
        return ours.subscription().group

    @property
    def handler_group(self) -> str:
        """The consumer group of the handlers."""
        return f"{self.settings.topic_prefix}{self.settings.handler_group}"

    def _alive(self) -> None:
        """A program or a watcher that failed ends the waiting at once, with its own words."""
        for task in (*self._tasks, *(program.running for program in self._programs)):
            if task.done() and not task.cancelled():
                task.result()

    async def _follow(self) -> None:
        prefix = self.settings.topic_prefix
        async for records in log.follow(self.settings, *_OUTPUTS, from_beginning=True):
            async with self._changed:
                for record in records:
                    self.seen.take(prefix, record)
                self._changed.notify_all()


_OUTPUTS: Sequence[Topic] = (
    Topic.SCALE_COMMANDS,
    Topic.SCALE_RESULTS,
    Topic.DECISIONS,
    Topic.SERVICE_STATUS,
    Topic.DEAD_LETTER,
)


async def _evaluations(session: aiohttp.ClientSession, port: int) -> int:
    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        page = await answer.text()
    counts = [
        line.rsplit(" ", 1)[1] for line in page.splitlines() if line.startswith("elasti_evaluation_seconds_count")
    ]
    return sum(int(float(count)) for count in counts)


@asynccontextmanager
async def installed(system: System) -> AsyncIterator[System]:
    """Start an installation and end it, for one test."""
    try:
        await system.start()
        yield system
    finally:
        await system.stop()
