"""Tells the oracle what a whole installation does, read from its log and its cluster at every moment that is over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from consumer.adapters.memory import MemoryLog
from consumer.ports import Record
from consumer.worker.schedule import next_cycle
from consumer.worker.settings import WorkerSettings
from schemas.codec import Undecodable, decode, decode_request_count
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ResultCause, ScaleResult
from schemas.topics import Topic
from tests.longtime.oracle import Oracle
from tests.longtime.trace import MILLISECOND


@dataclass(frozen=True, slots=True)
class Court:
    """What is looked at; `works` is whether workers judge at all."""

    log: MemoryLog
    settings: WorkerSettings
    partitions: int
    oracle: Oracle
    works: Callable[[], bool]


class Jury:
    """Hears what happened in its order: what was asked, then what was decided, then what came of it."""

    def __init__(self, court: Court, now: datetime) -> None:
        self._court = court
        self._read: dict[tuple[str, int], int] = {}
        self._zeros: set[str] = set()
        self._refused: set[str] = set()
        self._judging: list[tuple[int, datetime]] = []
        self._looked_at = now
        self._worked = False

    def jumped(self, now: datetime, after: datetime) -> None:
        """Everything that could happen at `now` has happened; the cycles up to `after` are about to begin."""
        self.look()
        oracle, works = self._court.oracle, self._court.works()
        if works is not self._worked:
            self._worked = works
            oracle.started(now) if works else oracle.stopped()
        for partition, _ in self._judging if works else ():
            oracle.judged(partition, now)
        oracle.settled(now)
        self._judging = list(self._cycles(now, after)) if works else []
        for partition, at in self._judging:
            oracle.cycled(partition, at)

    def _cycles(self, now: datetime, after: datetime) -> Iterator[tuple[int, datetime]]:
        interval, partitions = self._court.settings.interval, self._court.partitions
        for partition in range(partitions):
            # The first after a moment: at the millisecond before it, that is the moment itself.
            at = next_cycle(max(now, after - MILLISECOND), interval, partition=partition, partitions=partitions)
            if at <= after:
                yield partition, at

    def look(self) -> None:
        """Take in what the log got since the last look."""
        oracle = self._court.oracle
        for record in self._new(Topic.REQUEST_COUNTS):
            request = decode_request_count(record.value)
            assert not isinstance(request, Undecodable), request
            oracle.requested(request.svc, record.at)
        for record in self._new(Topic.SCALE_COMMANDS):
            command = decode(ScaleCommand, record.value)
            assert not isinstance(command, Undecodable), command
            again = command.direction is Direction.ZERO and command.service in self._refused
            if command.direction is Direction.ZERO:
                self._zeros.add(command.id)
            oracle.commanded(command.service, up=command.direction is Direction.UP, again=again, now=record.at)
        for record in self._new(Topic.SCALE_RESULTS):
            result = decode(ScaleResult, record.value)
            assert not isinstance(result, Undecodable), result
            self._answered(result, record.at)

    def _answered(self, result: ScaleResult, at: datetime) -> None:
        """Note the answers that changed nothing in the cluster, where those that did are seen."""
        oracle, name = self._court.oracle, result.service
        if result.cause is not ResultCause.COMMAND:
            return
        zero = result.command_id in self._zeros
        if zero and result.phase in (Phase.SUPERSEDED, Phase.FAILED):
            self._refused.add(name)
            oracle.stayed(name)
        elif zero:
            self._refused.discard(name)
        elif result.phase is Phase.UNCHANGED:
            oracle.scaled(name, up=True, now=at)

    def _new(self, topic: Topic) -> Iterator[Record]:
        log, name = self._court.log, self._court.settings.topic(topic)
        for partition in range(self._court.partitions):
            place = (name, partition)
            position = self._read.get(place, 0)
            if log.end(place, committed_only=False) != position:
                records, self._read[place] = log.read(place, position, limit=100_000, committed_only=True)
                yield from records
