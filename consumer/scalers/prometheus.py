"""The `prometheus` trigger: idle below its threshold, busy from it on, unknown whenever there is doubt."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumer.core.answers import Answer, No, Unknown, UnknownCause, Yes
from consumer.core.policy import Trigger
from consumer.core.readings import Failure, Question, Reading
from consumer.ports import Scaler
from consumer.scalers.contract import Assignment, Defaults, Faults, Measure
from consumer.scalers.metadata import FaultyTriggerError, PrometheusTrigger, read
from consumer.scalers.promql import backed, masked
from consumer.scalers.verdict import Measured, below, blindness, number, reached, with_constant

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
# A series that is not marked stale stays visible for 5 minutes, so looking that often misses hardly any.
_LOOKBACK: Final = timedelta(minutes=5)

CONSTANT: Final = "the query's constant, its metric has no series"
"""What an answer's evidence says of a value that was not measured."""


def health_query(uptime_filter: str, cooldown: timedelta) -> str:
    """Write KubeElasti's question whether Prometheus was up for the whole cooldown."""
    seconds = math.ceil(cooldown.total_seconds())
    return f"min_over_time((max(up{{{uptime_filter}}}) or vector(0))[{seconds}s:])"


@dataclass(frozen=True, slots=True)
class _Sight:
    """When a masked metric was looked for last, and until when its absence counts as vanished (None: it does not)."""

    looked: datetime
    until: datetime | None

    def tells(self, now: datetime) -> bool:
        """Whether it says enough about a metric that is missing now."""
        return timedelta() <= now - self.looked <= _LOOKBACK and (self.until is None or now <= self.until)


class _Masked:
    """One X of an `X or vector(c)`: whether it had series in the last day and has none now."""

    def __init__(self, now_there: Question, metric: str) -> None:
        self.metric = metric
        self.now_there = now_there
        # Asked when the metric is first found missing; afterwards our own looking tells. The cheapest form: asking
        # for the last time too, or with a step of 1m for the whole day, takes Prometheus 5 to 20 times as long. What
        # was there for less than 5m is looked for in the last hour: just deployed, and renamed at once.
        day, hour = f"count_over_time(({metric})[1d:5m])", f"count_over_time(({metric})[1h:15s])"
        self._history = Question(now_there.source, f"count({day} or {hour})")
        self._sight: _Sight | None = None

    async def vanished(self, measure: Measure, now: datetime) -> Unknown | None:
        """Return why the constant behind `or` must not be believed, if so."""
        there = await measure.ask(self.now_there, now)
        if isinstance(there, Failure) or there.partial:
            return blindness(there, now)
        if there.series:
            self._sight = _Sight(now, now + _DAY)
            return None
        until = await self._missing_until(measure, now)
        if isinstance(until, Unknown):
            return until
        self._sight = _Sight(now, until)
        if until is None:
            return None
        return Unknown(UnknownCause.METRIC_VANISHED, now, f"{self.metric} had series in the last day, now it has none")

    async def _missing_until(self, measure: Measure, now: datetime) -> datetime | Unknown | None:
        if self._sight is not None and self._sight.tells(now):
            return self._sight.until
        match number(await measure.ask(self._history, now), now):
            case Measured():
                # It does not say when; an hour from now it will be asked again.
                return now + _HOUR
            case Unknown(cause=UnknownCause.NO_SERIES):
                return None
            case Unknown() as unknown:
                return unknown


@dataclass(frozen=True, slots=True)
class _Facts:
    """The value of the query at a time, a word on it where it was not measured, and why not to believe it."""

    at: datetime
    measured: Measured | Unknown
    text: str
    vanished: Unknown | None


class PrometheusScaler:
    """Judges one trigger; all of its questions travel together."""

    def __init__(self, trigger: PrometheusTrigger, cooldown: timedelta, measure: Measure) -> None:
        source, query = trigger.question.source, trigger.question.query
        self._threshold = trigger.threshold
        self._measure = measure
        self._health = Question(source, health_query(trigger.uptime_filter, cooldown))
        self._backed = backed(query)
        # With a constant behind it, the metric alone tells both what the query says and whether it vanished.
        self._asked = trigger.question if self._backed is None else Question(source, self._backed.metric)
        self._latest: _Facts | None = None
        self._masked = tuple(_Masked(self._presence(metric), metric) for metric in masked(query))

    async def is_healthy(self, now: datetime) -> Answer:
        """Yes if Prometheus was up, by its own measurement, for a whole cooldown."""
        self._announce(now)
        measured = number(await self._measure.ask(self._health, now), now)
        if isinstance(measured, Measured) and measured.value > 1:
            return Unknown(UnknownCause.UNHEALTHY, now, f"up is {measured.value:g}; expected 1")
        return reached(measured, 1.0, now, "up")

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        """Yes below the threshold, unless that is a constant in the place of a metric that vanished."""
        facts = await self._facts(now)
        answer = below(facts.measured, self._threshold, now, facts.text)
        return facts.vanished if facts.vanished is not None and isinstance(answer, Yes) else answer

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        """Yes from the threshold on, be it a constant's value."""
        facts = await self._facts(now)
        answer = reached(facts.measured, self._threshold, now, facts.text)
        return facts.vanished if facts.vanished is not None and isinstance(answer, No) else answer

    async def close(self) -> None:
        """Nothing is held: connections belong to the batcher."""

    def _presence(self, metric: str) -> Question:
        # Of many series only their number matters; `count` keeps them at the server.
        is_asked = self._backed is not None and self._backed.metric == metric
        return self._asked if is_asked else Question(self._asked.source, f"count({metric})")

    def _announce(self, now: datetime) -> None:
        self._measure.expect(self._health, now)
        self._measure.expect(self._asked, now)
        for metric in self._masked:
            self._measure.expect(metric.now_there, now)

    async def _facts(self, now: datetime) -> _Facts:
        """What both questions are answered from, found out once for each sweep."""
        if self._latest is None or self._latest.at != now:
            self._announce(now)
            outcome = await self._measure.ask(self._asked, now)
            vanished = await self._vanished(now)
            self._latest = self._told(outcome, vanished, now)
        return self._latest

    def _told(self, outcome: Reading | Failure, vanished: Unknown | None, now: datetime) -> _Facts:
        if self._backed is None:
            return _Facts(now, number(outcome, now), "", vanished)
        text = "" if isinstance(outcome, Failure) or outcome.series else CONSTANT
        return _Facts(now, number(with_constant(outcome, self._backed.constant), now), text, vanished)

    async def _vanished(self, now: datetime) -> Unknown | None:
        # Each is looked at in each sweep, busy or not: a metric that came and went must not pass unseen.
        unknowns = [await metric.vanished(self._measure, now) for metric in self._masked]
        return next((unknown for unknown in unknowns if unknown is not None), None)


class PrometheusType:
    """The scaler type `prometheus`."""

    def check(self, trigger: Trigger, defaults: Defaults) -> Faults:
        """Say what is wrong with server, query, threshold, filter and headers."""
        try:
            read(trigger, defaults)
        except FaultyTriggerError as faulty:
            return faulty.faults
        return ()

    def create(self, assignment: Assignment) -> Scaler:
        """Make the scaler; raises FaultyTriggerError for a trigger that does not pass the check."""
        trigger = read(assignment.trigger, assignment.defaults, assignment.service.namespace)
        return PrometheusScaler(trigger, assignment.cooldown, assignment.measure)

    def window(self, trigger: Trigger) -> timedelta | None:  # noqa: ARG002 - the contract's parameter
        """Need no requests counted."""
        return None


PROMETHEUS = PrometheusType()
