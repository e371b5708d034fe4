"""How many more services of a partition may be put to sleep now: too many falling idle at once is an outage."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from consumer.core.service import Direction
from consumer.core.state import ServiceState

SPAN = timedelta(minutes=10)
LEAST = 10
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class SleepBudget:
    """At most `max(10, 5 %)` of the services that were awake go to sleep in ten minutes; `spent` holds when."""

    spent: tuple[datetime, ...] = ()

    @classmethod
    def of(cls, states: Iterable[ServiceState]) -> Self:
        """Return what is spent already by these states, also for services that were woken since."""
        return cls(tuple(at for state in states for at in _zeros(state)))

    def left(self, awake: int, now: datetime) -> int:
        """Return how many more, where `awake` counts those awake now: what slept in the span was awake before."""
        recent = len([at for at in self.spent if now - at < SPAN])
        return max(LEAST, int(SHARE * (awake + recent))) - recent

    def spend(self, now: datetime) -> Self:
        """Return the budget after one more sleep; what left the span is forgotten."""
        return replace(self, spent=(*(at for at in self.spent if now - at < SPAN), now))


def _zeros(state: ServiceState) -> tuple[datetime, ...]:
    """Return when zeros of a service were asked for or accepted, each once."""
    accepted, ask = tuple(sleep.at for sleep in state.sleeps), state.ask
    if ask is None or ask.direction is not Direction.ZERO or any(at >= ask.at for at in accepted):
        return accepted
    return (*accepted, ask.at)
