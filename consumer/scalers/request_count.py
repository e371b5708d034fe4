"""The `request-count` trigger: idle below a number of requests in a window, by our own count of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.core.answers import Answer, Evidence, Unknown, UnknownCause, Yes
from consumer.core.policy import Trigger
from consumer.core.reasons import span
from consumer.core.schedule import InvalidDuration, parse_go_duration
from consumer.core.window import Window
from consumer.ports import Scaler
from consumer.scalers.contract import Assignment, Defaults, Faults
from consumer.scalers.verdict import Measured, below, reached

# A count is never negative, and below 1 nothing but silence is idle.
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class RequestCountScaler:
    """Judges the requests of one service over a window."""

    threshold: float
    window: timedelta
    requests: Callable[[], Window | None]

    async def is_healthy(self, now: datetime) -> Answer:
        """Yes: the count is our own; whether it is up to date the core judges by how far the inputs were read."""
        return Yes(Evidence(1.0, None, "counted here"), now)

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        """Yes when fewer requests than the threshold came in a window that was watched as a whole."""
        return below(self._counted(now), self.threshold, now, "requests")

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        """Yes when as many requests as the threshold came, or more."""
        return reached(self._counted(now), self.threshold, now, "requests")

    async def close(self) -> None:
        """Nothing is held."""

    def _counted(self, now: datetime) -> Measured | Unknown:
        counted = self.requests()
        if counted is None or counted.length < self.window or counted.since is None:
            return Unknown(UnknownCause.WINDOW_NOT_FULL, now, f"0s of {span(self.window)} watched")
        if not counted.full(now, over=self.window):
            watched = f"{span(now - counted.since)} of {span(self.window)} watched"
            return Unknown(UnknownCause.WINDOW_NOT_FULL, now, watched)
        return Measured(float(counted.total(now, over=self.window)))


class RequestCountType:
    """The scaler type `request-count`."""

    def check(self, trigger: Trigger, defaults: Defaults) -> Faults:  # noqa: ARG002 - the contract's parameter
        """Say what is wrong with threshold and window."""
        named = trigger.named()
        found = (
            ("metadata.threshold", _threshold_fault(named.get("threshold"))),
            ("metadata.window", _window_fault(named.get("window"))),
        )
        return [(field, fault) for field, fault in found if fault is not None]

    def create(self, assignment: Assignment) -> Scaler:
        """Make the scaler; raises ValueError for a trigger that does not pass the check."""
        faults = self.check(assignment.trigger, assignment.defaults)
        if faults:
            raise ValueError("; ".join(f"{field}: {message}" for field, message in faults))
        named = assignment.trigger.named()
        window = parse_go_duration(named["window"])
        return RequestCountScaler(float(named["threshold"]), window, assignment.requests)

    def window(self, trigger: Trigger) -> timedelta | None:
        """Need the requests of the trigger's window."""
        text = trigger.named().get("window")
        return parse_go_duration(text) if text is not None and _window_fault(text) is None else None


def _threshold_fault(text: str | None) -> str | None:
    if text is None:
        return 'missing; write the number of requests from which on the service is busy, such as "1"'
    if not _NUMBER.fullmatch(text):
        return f'must be a number of requests, got "{text[:40]}"; write it like "1"'
    if float(text) == 0:
        return "0 requests are never too few, so the service could never be idle; write 1 or more"
    return None


def _window_fault(text: str | None) -> str | None:
    if text is None:
        return 'missing; write how far back requests count, such as "10m"'
    try:
        length = parse_go_duration(text)
    except InvalidDuration as invalid:
        return str(invalid)
    return None if length > timedelta() else f'must be longer than zero, got "{text}"; write it like "10m"'


REQUEST_COUNT = RequestCountType()
