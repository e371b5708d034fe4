"""Wakes from request to ready, stage by stage, folded from the scale results alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from consumer.core.service import ServiceKey
from schemas.scale_result import Phase, ScaleResult


class Stage(StrEnum):
    """The stages of a wake; together they are `TOTAL`, from the triggering event to the first ready replica."""

    DECIDED = "decided"
    ACCEPTED = "accepted"
    READY = "ready"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Journey:
    """One wake: when its event came, when it was decided, taken by the API, and ready; None = not (yet)."""

    key: ServiceKey
    command_id: str
    triggered_at: datetime
    decided_at: datetime
    accepted_at: datetime
    ready_at: datetime | None = None

    def stages(self) -> Mapping[Stage, timedelta]:
        """How long each finished stage took."""
        known = {
            Stage.DECIDED: self.decided_at - self.triggered_at,
            Stage.ACCEPTED: self.accepted_at - self.decided_at,
        }
        if self.ready_at is not None:
            known[Stage.READY] = self.ready_at - self.accepted_at
            known[Stage.TOTAL] = self.ready_at - self.triggered_at
        return known


@dataclass(frozen=True, slots=True)
class Spread:
    """How long a stage took over many wakes."""

    count: int
    p50: timedelta
    p99: timedelta


def spread(lengths: Sequence[timedelta]) -> Spread | None:
    """The nearest-rank percentiles (the smallest value that at least p % do not exceed); None of nothing."""
    if not lengths:
        return None
    ordered = sorted(lengths)
    return Spread(len(ordered), _rank(ordered, 50), _rank(ordered, 99))


def _rank(ordered: Sequence[timedelta], percent: int) -> timedelta:
    # Nearest rank: of 10 values the 50th percentile is the 5th, the 99th the 10th.
    return ordered[-(-len(ordered) * percent // 100) - 1]


class Journeys:
    """Every wake and sleep of a run so far; feed it each scale result in the order of its partition."""

    def __init__(self) -> None:
        self.sleeps = 0
        self.failures = 0
        self._open: dict[ServiceKey, Journey] = {}
        self._done: list[Journey] = []
        self._seen: set[str] = set()

    def add(self, result: ScaleResult) -> Journey | None:
        """Fold one result in; returns the journey that it moved on, if it did."""
        if result.id in self._seen:
            return None
        self._seen.add(result.id)
        key = ServiceKey(result.namespace, result.service)
        match result.phase:
            case Phase.ACCEPTED if result.replicas == 0:
                self.sleeps += 1
                self._open.pop(key, None)
                return None
            case Phase.ACCEPTED:
                return self._accepted(key, result)
            case Phase.READY:
                return self._ready(key, result)
            case Phase.FAILED:
                self.failures += 1
                return None
            case _:
                return None

    @property
    def wakes(self) -> int:
        """How many wakes were accepted."""
        return len(self._done) + len(self._open)

    def spreads(self) -> Mapping[Stage, Spread]:
        """Each stage's spread over the finished wakes; empty before the first."""
        by_stage = {stage: spread([journey.stages()[stage] for journey in self._done]) for stage in Stage}
        return {stage: known for stage, known in by_stage.items() if known is not None}

    def _accepted(self, key: ServiceKey, result: ScaleResult) -> Journey | None:
        if result.command_id is None or result.triggered_at is None or result.decided_at is None:
            return None
        journey = Journey(key, result.command_id, result.triggered_at, result.decided_at, result.at)
        self._open[key] = journey
        return journey

    def _ready(self, key: ServiceKey, result: ScaleResult) -> Journey | None:
        started = self._open.pop(key, None)
        if started is None:
            return None
        journey = replace(started, ready_at=max(result.at, started.accepted_at))
        self._done.append(journey)
        return journey
