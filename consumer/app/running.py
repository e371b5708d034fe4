"""Runs the roles of one process until it is told to stop, and puts the simulated cluster in where one is asked for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import structlog

from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaPublisher
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.simulated_cluster import SimulatedCluster
from consumer.app.judging import judges, policy_files
from consumer.app.kubernetes import ClusterDoors, cluster, follow_targets, is_real
from consumer.app.log import connection_of
from consumer.app.parts import Commons, HandlerPulse, PolicySource, WorkerPulse, handler_of, worker_of
from consumer.app.reaching import KafkaReach
from consumer.app.stopping import unless, until_told
from consumer.core.policy import Policy
from consumer.errors import first_error
from consumer.gateway.remote import RemoteWake
from consumer.gateway.server import serving
from consumer.gateway.wiring import DirectWake, GatewayPorts, GatewaySettings, Health
from consumer.ports import Clock, Policies, PolicyEntry, TargetGoneError, TargetKey, Targets
from consumer.settings import ClusterAccess, Role, Settings, SettingsError, environment_name, flag_name
from consumer.telemetry import Telemetry
from consumer.worker.worker import Worker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one process is to run.

    `targets` None means the cluster that the settings name, `clock` None the time of the brokers.
    """

    settings: Settings
    roles: frozenset[Role]
    targets: Targets | None = None
    clock: Clock | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """What is up: the HTTP port, and what each part says of itself; `away` is why Kafka can not be reached, if so."""

    port: int
    health: tuple[Health, ...]
    away: str = ""


async def run(assignment: Assignment, *, stopping: asyncio.Event, started: Callable[[Started], None]) -> None:
    """Run until `stopping` is set; what is in flight is finished, then everything is closed.

    Kafka may be away: HTTP, policies and direct wakes do without it, the rest begins when it is there.

    Raises:
        SettingsError: something is missing or not available; the message names the setting.
        TargetError: there is no way into the cluster.
        LogError: Kafka is not set up as it must be, or a partition could not be taken over.
        OSError: the HTTP port is taken.
    """
    _require(assignment)
    log.info("settings", **assignment.settings.describe())
    try:
        async with _commons(assignment) as commons, asyncio.TaskGroup() as tasks:
            for notice in assignment.settings.notices:
                log.warning(notice)
            background = [tasks.create_task(work) for work in _background(assignment, commons)]
            await _serve(assignment, commons, _Stop(stopping, started))
            for task in background:
                task.cancel()
    except BaseExceptionGroup as group:
        raise first_error(group) from group


@dataclass(frozen=True, slots=True)
class _Stop:
    """When to stop, and whom to tell that everything is up."""

    stopping: asyncio.Event
    started: Callable[[Started], None]


def _require(assignment: Assignment) -> None:
    settings = assignment.settings
    missing = list(settings.missing_for_run(assignment.roles))
    # Taken for an empty list, it would have every service given back; later on its absence is held against nobody.
    where = f"correct {environment_name('policies')} or {flag_name('policies')}, or create it"
    missing += [f"the policies {path} do not exist: {where}" for path in settings.policies if not path.exists()]
    if missing:
        raise SettingsError("\n".join(missing))


@asynccontextmanager
async def _commons(assignment: Assignment) -> AsyncIterator[Commons]:
    settings = assignment.settings
    publisher = KafkaPublisher(connection_of(settings, "publisher"))
    clock = assignment.clock or BrokerClock()
    async with _doors(assignment, clock) as doors:
        try:
            yield Commons(
                settings=settings,
                clock=clock,
                telemetry=Telemetry(settings.cluster, version("elasti-consumer")),
                policies=(doors and doors.policies) or policy_files(settings),
                publisher=publisher,
                reach=KafkaReach(settings, publisher, clock, assignment.roles),
                doors=doors,
            )
        finally:
            await publisher.close()


@asynccontextmanager
async def _doors(assignment: Assignment, clock: Clock) -> AsyncIterator[ClusterDoors | None]:
    """What this process has of the cluster; None when it has nothing to do with one."""
    settings = assignment.settings
    if assignment.targets is not None:
        yield ClusterDoors(assignment.targets)
    elif is_real(settings):
        async with cluster(settings, clock) as doors:
            yield doors
    else:
        yield ClusterDoors(SimulatedCluster(clock)) if Role.HANDLER in assignment.roles else None


def _background(assignment: Assignment, commons: Commons) -> Iterator[Coroutine[None, None, None]]:
    """Yield what goes on beside the roles for as long as they run."""
    policies, targets = commons.policies, commons.doors.targets if commons.doors else None
    yield policies.run()
    yield count_policies(policies, commons.telemetry)
    if isinstance(targets, SimulatedCluster) and assignment.targets is None:
        yield targets.run()
        yield _populate(targets, policies)
    if isinstance(targets, KubernetesTargets) and Role.HANDLER in assignment.roles:
        yield follow_targets(targets, policies)


async def count_policies(policies: Policies, telemetry: Telemetry) -> None:
    """Keep the count of valid and invalid policies, for ever."""
    changes = policies.changes()
    await policies.listed()
    # Told of each by itself: to look at all of 10,000 at each of the 10,000 first changes took eleven seconds.
    invalid = {key: bool(entry.problems) for key, entry in policies.entries().items()}
    faulty = sum(invalid.values())
    while True:
        telemetry.policies(valid=len(invalid) - faulty, invalid=faulty)
        change = await anext(changes)
        faulty -= invalid.pop(change.key, False)
        if isinstance(change, PolicyEntry):
            invalid[change.key] = bool(change.problems)
            faulty += invalid[change.key]


async def _populate(cluster: SimulatedCluster, policies: PolicySource) -> None:
    """Give the simulated cluster a workload for each policy's target."""
    changes = policies.changes()
    await policies.listed()
    for entry in policies.entries().values():
        await _exists(cluster, entry.policy)
    async for change in changes:
        if isinstance(change, PolicyEntry):
            await _exists(cluster, change.policy)


async def _exists(cluster: SimulatedCluster, policy: Policy | None) -> None:
    if policy is None:
        return
    key = TargetKey(policy.key.namespace, policy.target)
    try:
        await cluster.look(key)
    except TargetGoneError:
        cluster.create(key, replicas=policy.min_replicas)


async def _serve(assignment: Assignment, commons: Commons, stop: _Stop) -> None:
    """Run the roles and the HTTP server together; a role that fails ends the others."""
    settings, reach = assignment.settings, commons.reach
    async with AsyncExitStack() as stack:
        judging = await stack.enter_async_context(
            judges(settings, commons.telemetry, commons.doors.secrets if commons.doors else None)
        )
        direct = await _handler_elsewhere(settings, stack)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        finding = tasks.create_task(reach.find())
        health: tuple[Health, ...] = (reach,)
        own: DirectWake | None = None
        stops: list[Callable[[], Awaitable[None]]] = []
        if Role.WORKER in assignment.roles:
            worker = worker_of(commons, judging)
            health += (WorkerPulse(worker, commons.clock, reach),)
            stops.append(worker.stop)
            tasks.create_task(until_told("worker", partial(_once_found, reach, worker, stop.stopping), stop.stopping))
        if Role.HANDLER in assignment.roles and commons.doors is not None:
            direct = own = handler = handler_of(commons, commons.doors)
            health += (HandlerPulse(handler, commons.clock),)
            stops.append(handler.stop)
            tasks.create_task(until_told("handler", handler.run, stop.stopping))
        ports = GatewayPorts(
            publisher=commons.publisher,
            telemetry=commons.telemetry,
            partitions=reach.partitions,
            health=health,
            direct=direct,
            handler=own,
            # A gateway that reads none must not say that there are none.
            resources=commons.policies if settings.policies or is_real(settings) else None,
        )
        pages = GatewaySettings(
            prefix=settings.topic_prefix,
            tenants=settings.tenants,
            cluster=settings.cluster,
            simulated=settings.cluster_access is ClusterAccess.SIMULATED,
            token=_token(settings),
            secure=_certificate(settings),
        )
        async with serving(ports, pages, host=settings.http_host, port=settings.http_port) as port:
            if await unless(stop.stopping, reach.looked.wait()):
                stop.started(Started(port, health, reach.trouble))
            await stop.stopping.wait()
        for ask in stops:
            await ask()
        finding.cancel()


async def _handler_elsewhere(settings: Settings, stack: AsyncExitStack) -> DirectWake | None:
    if settings.handler_url is None:
        return None
    return await stack.enter_async_context(RemoteWake(settings.handler_url, token=_token(settings)))


def _token(settings: Settings) -> str | None:
    return settings.http_token.get_secret_value() if settings.http_token else None


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    """Return the server's side of TLS; raises SettingsError when its files can not be used."""
    if settings.http_tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.http_tls_cert, settings.http_tls_key)
    except (OSError, ssl.SSLError) as error:
        files = f"{settings.http_tls_cert}, {settings.http_tls_key}"
        told = (
            f"{environment_name('http_tls_cert')}: can not use {files} ({error}); give PEM files that belong together"
        )
        raise SettingsError(told) from error
    return context


async def _once_found(reach: KafkaReach, worker: Worker, stopping: asyncio.Event) -> None:
    """Run the worker, which has nothing to do without Kafka, once that is there."""
    if await unless(stopping, reach.found.wait()):
        await worker.run()
