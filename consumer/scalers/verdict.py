"""What a reading means against a threshold: Yes, No, or Unknown with its cause; nothing is guessed."""

import math
from dataclasses import dataclass
from datetime import datetime

from consumer.core.answers import Answer, Evidence, No, Unknown, UnknownCause, Yes
from consumer.core.readings import Failure, Reading, Series, Shape

_SHOWN = 3
_SHOWN_OF_A_SERIES = 100
_SHOWN_OF_WARNINGS = 300
"""What is said goes into states and decisions, and a server can put any length into labels and warnings."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The one number that a reading holds."""

    value: float


def number(outcome: Reading | Failure, now: datetime) -> Measured | Unknown:
    """Return the only value of a reading, or why there is none."""
    match outcome:
        case Failure() | Reading(partial=(_, *_)):
            return blindness(outcome, now)
        case Reading(shape=Shape.OTHER):
            return Unknown(UnknownCause.NOT_NUMERIC, now, "the query gives a range of samples or a text")
        case Reading(series=()):
            return Unknown(UnknownCause.NO_SERIES, now, "the query gives no series")
        case Reading(series=(only,)):
            return _finite(only.value, now)
        case Reading():
            return Unknown(UnknownCause.MANY_SERIES, now, _many(outcome))


def blindness(outcome: Reading | Failure, now: datetime) -> Unknown:
    """Say why a failure, or a reading with data missing, tells nothing."""
    if isinstance(outcome, Failure):
        return Unknown(outcome.cause, now, outcome.detail)
    return Unknown(UnknownCause.PARTIAL, now, "; ".join(outcome.partial)[:_SHOWN_OF_WARNINGS])


def below(measured: Measured | Unknown, threshold: float, now: datetime, text: str = "") -> Answer:
    """Answer whether the value is strictly below the threshold."""
    if isinstance(measured, Unknown):
        return measured
    evidence = Evidence(measured.value, threshold, text)
    return Yes(evidence, now) if measured.value < threshold else No(evidence, now)


def reached(measured: Measured | Unknown, threshold: float, now: datetime, text: str = "") -> Answer:
    """Answer whether the value is at the threshold or above; the exact threshold counts as reached."""
    match below(measured, threshold, now, text):
        case Yes(evidence, at):
            return No(evidence, at)
        case No(evidence, at):
            return Yes(evidence, at)
        case Unknown() as unknown:
            return unknown


def with_constant(outcome: Reading | Failure, constant: float) -> Reading | Failure:
    """What `X or vector(constant)` gives, told from what X gives.

    `or` takes the constant, which has no labels, unless X has a series without labels itself; a name is no label.
    """
    if isinstance(outcome, Failure) or any(_is_bare(series) for series in outcome.series):
        return outcome
    return Reading(outcome.shape, (*outcome.series, Series((), repr(constant))), outcome.partial)


def _is_bare(series: Series) -> bool:
    return all(name == "__name__" for name, _ in series.labels)


def _finite(text: str | None, now: datetime) -> Measured | Unknown:
    if text is None:
        return Unknown(UnknownCause.NOT_NUMERIC, now, "the query gives a histogram")
    try:
        # Python also reads 1_000, and digits of any script: no server writes numbers like that.
        value = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        return Unknown(UnknownCause.NOT_NUMERIC, now, f"{text[:40]!r} is not a number")
    if math.isnan(value):
        return Unknown(UnknownCause.NAN, now, "the query gives NaN, as 0/0 does")
    if math.isinf(value):
        return Unknown(UnknownCause.INFINITE, now, f"the query gives {text}")
    return Measured(value)


def _many(reading: Reading) -> str:
    count = len(reading.series)
    shown = ", ".join(map(_named, reading.series[:_SHOWN])) + (", …" if count > _SHOWN else "")
    return f"the query gives {count} series ({shown}); aggregate them, for example with sum(…)"


def _named(series: Series) -> str:
    name = "{" + ", ".join(f'{name}="{text}"' for name, text in series.labels) + "}"
    return name if len(name) <= _SHOWN_OF_A_SERIES else name[:_SHOWN_OF_A_SERIES] + "…"
