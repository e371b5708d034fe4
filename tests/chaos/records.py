"""The log of a run, read to its end: for the checker, and for the judge who compares it with what was seen outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from consumer.app import verifying
from consumer.checker.records import Record, Recording
from consumer.settings import Settings
from schemas.cloudevents import TRACEPARENT, header
from schemas.codec import Undecodable, decode, decode_request_count
from schemas.decision import Decision
from schemas.message import Message
from schemas.origin import origin_of
from schemas.partitioning import partition_for
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the log holds at the end.

    `logged` is when each request (by its trace) was appended first, `arrived` when in the partition of its service:
    nobody who judges the service can know of it before.
    """

    records: Sequence[Record]
    partitions: int
    logged: Mapping[str, datetime]
    arrived: Mapping[str, datetime]
    commands: Sequence[ScaleCommand]
    results: Sequence[ScaleResult]
    begun: Mapping[str, datetime]
    """When the cycle behind a command had read where the inputs ended: what came later it could not know of."""

    @property
    def recording(self) -> Recording:
        """The same for the checker."""
        return Recording(self.records, self.partitions)

    def zeros(self) -> Mapping[tuple[str, int], ScaleCommand]:
        """Return the command behind each accepted zero, by the target's name and the generation that it made."""
        commands = {command.id: command for command in self.commands if command.direction is Direction.ZERO}
        return {
            (result.target.name, result.target.generation): commands[result.command_id]
            for result in self.results
            if result.phase is Phase.ACCEPTED and result.command_id in commands and result.target.generation is not None
        }


async def recorded(settings: Settings) -> Recorded:
    """Read every topic to its end, and where the groups stand."""
    recording = await verifying.recorded(settings)
    records = list(recording.records)
    logged, arrived = _requests(records, settings.partitions)
    return Recorded(
        records=records,
        partitions=settings.partitions,
        logged=logged,
        arrived=arrived,
        commands=_messages(records, Topic.SCALE_COMMANDS, ScaleCommand),
        results=_messages(records, Topic.SCALE_RESULTS, ScaleResult),
        begun=_begun(records),
    )


def _requests(records: Sequence[Record], partitions: int) -> tuple[Mapping[str, datetime], Mapping[str, datetime]]:
    logged: dict[str, datetime] = {}
    arrived: dict[str, datetime] = {}
    for record in records:
        if record.topic != Topic.REQUEST_COUNTS or (mark := header(record.headers, TRACEPARENT)) is None:
            continue
        trace, origin, request = mark.decode(), origin_of(record.headers), decode_request_count(record.value)
        at = origin.time if origin else record.time
        logged[trace] = min(at, logged.get(trace, at))
        if isinstance(request, Undecodable):
            continue
        if partition_for(request.namespace, request.svc, partitions) == record.partition:
            arrived[trace] = min(record.time, arrived.get(trace, record.time))
    return logged, arrived


def _begun(records: Sequence[Record]) -> Mapping[str, datetime]:
    found = {}
    for decision in _messages(records, Topic.DECISIONS, Decision):
        if decision.command_id is not None:
            answers = decision.inputs.answers
            found[decision.command_id] = decision.now - (answers.took if answers else timedelta())
    return found


def _messages(records: Sequence[Record], topic: Topic, model: type[M]) -> list[M]:
    """Return what can be read of a topic; what can not is the checker's affair."""
    read = (decode(model, record.value) for record in records if record.topic == topic)
    return [message for message in read if not isinstance(message, Undecodable)]
