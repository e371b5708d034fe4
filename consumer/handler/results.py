"""Builds the records of `scale-results`: what came of a command, and what was seen of a target."""

from dataclasses import dataclass
from datetime import datetime

from consumer.core.outcome import Command
from consumer.core.reasons import stamp
from consumer.core.service import Phase, ServiceKey, TargetRef
from consumer.handler.judge import Obstacle
from consumer.ports import LogError, Membership, Moment, Output, TargetView
from schemas.cloudevents import CloudEvent, EventType, source
from schemas.partitioning import partition_for
from schemas.parts import KnownTarget
from schemas.scale_result import Phase as WirePhase
from schemas.scale_result import ResultCause, ResultError, ScaleResult
from schemas.topics import Topic


@dataclass(frozen=True, slots=True)
class Result:
    """One result before it is a record.

    `view` is the target as it was seen at `moment`, None when it could not be seen. `command_id` may differ from the
    command's: `released` answers the prepare that it takes back.
    """

    key: ServiceKey
    target: TargetRef
    phase: Phase
    view: TargetView | None
    moment: Moment
    command: Command | None = None
    command_id: str | None = None
    obstacle: Obstacle | None = None
    attempts: int = 0
    trace: str | None = None
    cause: ResultCause = ResultCause.COMMAND

    @property
    def at(self) -> datetime:
        """When it came to that."""
        return self.moment.now

    @property
    def asked_at(self) -> datetime:
        """When it was asked for."""
        return self.command.triggered_at if self.command else self.at


@dataclass(frozen=True, slots=True)
class Address:
    """What every record of ours says of where it comes from and where it goes."""

    cluster: str
    prefix: str
    log: Membership

    def partition(self, key: ServiceKey) -> int:
        """Where the records of a service belong, in every topic."""
        return partition_for(key.namespace, key.name, self.log.partitions)

    def output(self, result: Result) -> Output:
        """Return the record of a result; raises LogError while it is not known how many partitions there are."""
        if not self.log.partitions:
            # A handler that began while Kafka was away has wakes to tell of before it ever was a member.
            raise LogError(f"{Topic.SCALE_RESULTS.under(self.prefix)}: no member yet; its partitions are not known")
        message = self._message(result)
        event = CloudEvent(
            EventType.SCALE_RESULT,
            id=message.id,
            source=source(self.cluster, "handler"),
            subject=str(result.key),
            time=result.at,
            trace=result.trace,
        )
        return Output(
            Topic.SCALE_RESULTS.under(self.prefix),
            self.partition(result.key),
            bytes(result.key),
            message.encode(),
            event.headers(),
        )

    def _message(self, result: Result) -> ScaleResult:
        view, command = result.view, result.command
        return ScaleResult(
            cluster=self.cluster,
            id=_id(result),
            command_id=result.command_id,
            namespace=result.key.namespace,
            service=result.key.name,
            target=_target(result.target, view),
            phase=WirePhase(result.phase.value),
            replicas=view.replicas if view else 0,
            ready_replicas=view.ready if view else 0,
            error=_error(result.obstacle),
            cause=result.cause,
            manager=view.manager if view else None,
            attempts=result.attempts,
            triggered_at=command.triggered_at if command else None,
            decided_at=command.decided_at if command else None,
            at=result.at,
            clock_sure=result.moment.sure,
        )


def _id(result: Result) -> str:
    """Derived, so that a handler that answers a redelivered command, or sees the same again, says so."""
    if result.command_id is not None:
        return f"{result.command_id}:{result.phase.value}"
    seen = f"{result.view.uid}@{result.view.resource_version}" if result.view else "unseen"
    # One that nothing was done at leaves no version of its own behind.
    asked = f":{stamp(result.asked_at)}" if result.cause is ResultCause.DIRECT else ""
    return f"{result.key}:{seen}:{result.phase.value}{asked}"


def _target(ref: TargetRef, view: TargetView | None) -> KnownTarget:
    return KnownTarget(
        api_version=ref.api_version,
        kind=ref.kind,
        name=ref.name,
        uid=view.uid if view else None,
        generation=view.generation if view else None,
    )


def _error(obstacle: Obstacle | None) -> ResultError | None:
    return ResultError(code=obstacle.code, message=obstacle.message, retryable=obstacle.retryable) if obstacle else None
