"""What a scaler says of one trigger: yes, no, or unknown with its cause; never a number in place of unknown."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class UnknownCause(StrEnum):
    """Why an answer could not be had; closed, public, part of the reason `blind`."""

    NAN = "nan"
    INFINITE = "infinite"
    NO_SERIES = "no-series"
    MANY_SERIES = "many-series"
    NOT_NUMERIC = "not-numeric"
    NOT_SUCCESS = "not-success"
    PARTIAL = "partial"
    HTTP_ERROR = "http-error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    CREDENTIALS = "credentials"
    METRIC_VANISHED = "metric-vanished"
    UNHEALTHY = "unhealthy"
    WINDOW_NOT_FULL = "window-not-full"
    NOT_ASKED = "not-asked"
    SCALER_ERROR = "scaler-error"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measurement behind an answer, as it is shown to people: `value` beside its `threshold`."""

    value: float
    threshold: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Yes:
    """The question is answered with yes; `at` is the time the evidence speaks of."""

    evidence: Evidence
    at: datetime


@dataclass(frozen=True, slots=True)
class No:
    """The question is answered with no; `at` is the time the evidence speaks of."""

    evidence: Evidence
    at: datetime


@dataclass(frozen=True, slots=True)
class Unknown:
    """The question could not be answered; stops the way down, never the way up."""

    cause: UnknownCause
    at: datetime
    detail: str = ""


Answer = Yes | No | Unknown


@dataclass(frozen=True, slots=True)
class TriggerAnswers:
    """Everything that one trigger of a policy said in one sweep; `name` is `type#index`, as in `prometheus#0`."""

    name: str
    healthy: Answer
    to_zero: Answer
    from_zero: Answer

    def each(self) -> Iterator[Answer]:
        """All three answers."""
        yield self.healthy
        yield self.to_zero
        yield self.from_zero


@dataclass(frozen=True, slots=True)
class Answers:
    """What all triggers of one policy said in one sweep; `took` is how long the whole sweep lasted."""

    triggers: tuple[TriggerAnswers, ...]
    took: timedelta = timedelta()
