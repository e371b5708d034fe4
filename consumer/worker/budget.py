"""How many more services of a partition may be put to sleep now: too many falling idle at once is an outage."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

SPAN = timedelta(minutes=10)
LEAST = 10
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class SleepBudget:
    """At most `max(10, 5 %)` of the services that were awake go to sleep in ten minutes; `spent` holds when."""

    spent: tuple[datetime, ...] = ()

    def left(self, awake: int, now: datetime) -> int:
        """Return how many more, where `awake` counts those awake now: what slept in the span was awake before."""
        recent = len([at for at in self.spent if now - at < SPAN])
        return max(LEAST, int(SHARE * (awake + recent))) - recent

    def spend(self, now: datetime) -> Self:
        """Return the budget after one more sleep; what left the span is forgotten."""
        return replace(self, spent=(*(at for at in self.spent if now - at < SPAN), now))
