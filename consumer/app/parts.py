"""Builds worker and handler for the roles of one process, and says how each is."""

import gc
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from consumer.adapters.clock import chance
from consumer.adapters.kafka import KafkaMembership, KafkaPublisher, KafkaReader, KafkaWriters
from consumer.app.kubernetes import ClusterDoors
from consumer.app.log import connection_of
from consumer.app.reaching import KafkaReach
from consumer.gateway.wiring import HealthReport, Resources
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import Clock, Judges, Policies
from consumer.settings import Settings
from consumer.telemetry import Telemetry
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker

_COLLECT_AFTER = 50_000
"""New objects between two looks of the garbage collector. At Python's 700, every batch of records has it walk through
the states of all services, time and again: half of what a record cost beside 10,000 services."""

_STUCK = timedelta(seconds=30)
"""A loop that did not go round for so long is stuck: its longest rest is a few seconds."""


class PolicySource(Policies, Resources, Protocol):
    """Policies, the resources behind them, and the task that keeps both current."""

    async def run(self) -> None:
        """Follow what changes, until cancelled."""


@dataclass(frozen=True, slots=True)
class Commons:
    """What all parts of one process share; `doors` None: it has nothing to do with a cluster."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    policies: PolicySource
    publisher: KafkaPublisher
    reach: KafkaReach
    doors: ClusterDoors | None = None


def collect_rarely() -> None:
    """Let the garbage collector look less often, in the whole process; nearly all that dies here dies without it."""
    gc.set_threshold(_COLLECT_AFTER)


def worker_of(commons: Commons, judges: Judges) -> Worker:
    """Build the worker."""
    collect_rarely()
    settings = commons.settings
    connection = connection_of(settings, "worker")
    ours = WorkerSettings(
        prefix=settings.topic_prefix,
        group=settings.worker_group,
        tenants=settings.tenants,
        cluster=settings.cluster,
        mode=settings.mode,
        interval=settings.polling_interval,
        max_request_age=settings.max_request_age,
    )
    subscription = ours.subscription()
    return Worker(
        WorkerPorts(
            membership=KafkaMembership(connection, subscription),
            writers=KafkaWriters(connection, subscription.group),
            publisher=commons.publisher,
            reader=KafkaReader(connection),
            judges=judges,
            policies=commons.policies,
            clock=commons.clock,
            telemetry=commons.telemetry,
            switches=commons.doors.switches if commons.doors else None,
        ),
        ours,
    )


def handler_of(commons: Commons, doors: ClusterDoors) -> ScaleHandler:
    """Build the handler of this cluster."""
    settings = commons.settings
    connection = connection_of(settings, "handler")
    ours = HandlerSettings(
        group=settings.handler_group,
        cluster=settings.cluster,
        prefix=settings.topic_prefix,
        mode=settings.mode,
        parallel=settings.handler_parallelism,
        zero_within=settings.kafka_session_timeout,
    )
    return ScaleHandler(
        HandlerPorts(
            membership=KafkaMembership(connection, ours.subscription()),
            publisher=commons.publisher,
            reader=KafkaReader(connection),
            targets=doors.targets,
            policies=commons.policies,
            clock=commons.clock,
            telemetry=commons.telemetry,
            chance=chance,
            autoscalers=doors.autoscalers,
            notices=doors.notices,
            resources=doors.resources,
            switches=doors.switches,
        ),
        ours,
    )


@dataclass(frozen=True, slots=True)
class WorkerPulse:
    """Says how the worker is."""

    worker: Worker
    clock: Clock
    reach: KafkaReach

    def health(self) -> HealthReport:
        """Moving while its fetching goes round, ready when every assigned partition is restored."""
        if not self.reach.found.is_set():
            return HealthReport(part="worker", moving=True, ready=False, detail="begins when Kafka is there", away=True)
        health = self.worker.health()
        rest = self.clock.read().now - health.moved_at
        restored = sum(partition.restored for partition in health.partitions)
        joined = "" if health.joined else ", not a member of the group"
        return HealthReport(
            part="worker",
            moving=rest < _STUCK,
            ready=health.ready,
            detail=f"{restored} of {len(health.partitions)} partitions restored{joined}{_because(health.trouble)}",
            away=bool(health.trouble),
        )


@dataclass(frozen=True, slots=True)
class HandlerPulse:
    """Says how the handler is."""

    handler: ScaleHandler
    clock: Clock

    def health(self) -> HealthReport:
        """Moving while its fetching goes round, ready when all it owns is restored."""
        health = self.handler.health()
        rest = self.clock.read().now - health.moved_at
        return HealthReport(
            part="handler",
            moving=health.running and rest < _STUCK,
            ready=health.ready,
            detail=f"{len(health.partitions)} partitions, {health.pending} commands unanswered"
            f"{_because(health.trouble)}",
            away=health.running and bool(health.trouble),
        )


def _because(trouble: str) -> str:
    return f"; waits for Kafka: {trouble}" if trouble else ""
