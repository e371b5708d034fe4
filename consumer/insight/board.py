"""The board of a live run: one row a service, folded from its status and its results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from consumer.core.service import ServiceKey
from consumer.insight.brief import brief
from consumer.insight.journeys import Journey, Journeys
from schemas.scale_result import Phase, ScaleResult
from schemas.service_status import ServiceStatus


class Standing(StrEnum):
    """How a service stands, in one word."""

    UNKNOWN = "unknown"
    ASLEEP = "asleep"
    WAKING = "waking"
    AWAKE = "awake"


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of one service: the sentence of its last reason, that in a few words, and the last refusal."""

    key: ServiceKey
    replicas: int | None = None
    ready: int = 0
    code: str = ""
    why: str = ""
    brief: str = ""
    since: datetime | None = None
    last_request_at: datetime | None = None
    journey: Journey | None = None
    error: str | None = None

    @property
    def standing(self) -> Standing:
        """Asleep without replicas, waking without a ready one, awake otherwise."""
        match (self.replicas, self.ready):
            case (None, _):
                return Standing.UNKNOWN
            case (0, _):
                return Standing.ASLEEP
            case (_, 0):
                return Standing.WAKING
            case _:
                return Standing.AWAKE


class Board:
    """All rows of a run; feed it statuses and results in the order of their partitions."""

    def __init__(self) -> None:
        self.journeys = Journeys()
        self._rows: dict[ServiceKey, Row] = {}

    def status(self, key: ServiceKey, status: ServiceStatus | None) -> None:
        """Fold in the present of a service as its owner sees it; None: its policy is gone."""
        if status is None:
            self._rows.pop(key, None)
            return
        self._rows[key] = replace(
            self._row(key),
            code=status.reason.code,
            why=status.reason.message,
            brief=brief(status.reason),
            since=status.since,
            last_request_at=status.last_request_at,
        )

    def result(self, result: ScaleResult) -> None:
        """Fold in what the handler did or saw."""
        key = ServiceKey(result.namespace, result.service)
        journey = self.journeys.add(result)
        row = self._row(key)
        failed = result.phase is Phase.FAILED and result.error is not None
        self._rows[key] = replace(
            row,
            replicas=result.replicas,
            ready=result.ready_replicas,
            journey=journey or row.journey,
            error=result.error.message if failed and result.error else None,
        )

    def rows(self) -> Sequence[Row]:
        """All rows by name."""
        return [self._rows[key] for key in sorted(self._rows)]

    def count(self, standing: Standing) -> int:
        """How many services stand so."""
        return sum(row.standing is standing for row in self._rows.values())

    def _row(self, key: ServiceKey) -> Row:
        return self._rows.get(key) or Row(key)
