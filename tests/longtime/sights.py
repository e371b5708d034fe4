"""A Prometheus in memory that can be dark: the load of each service, and whether it was up for a while."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape
from tests.longtime.jumping import LoopClock
from tests.longtime.trace import BATCH_LOAD, FOLLOWS, Plan

SERVER: Final = "http://prometheus"
THRESHOLD: Final = 1.0
_HEALTH: Final = re.compile(r"min_over_time\(.*\[(?P<seconds>\d+)s:\]\)")


@dataclass(frozen=True, slots=True)
class Dark:
    """From when until when nobody measures, nor answers; `mute`: a connection is taken, and that is all."""

    begins: datetime
    ends: datetime
    mute: bool = False

    def at(self, now: datetime) -> bool:
        """Whether it is dark now."""
        return self.begins <= now < self.ends

    def in_the_last(self, span: timedelta, now: datetime) -> bool:
        """Whether it was, at any moment of that span."""
        return self.begins <= now and now - span < self.ends


@dataclass(slots=True)
class Prometheus:
    """Measures the services of a trace; who was asked for, or works through a batch, is busy."""

    plans: Mapping[str, Plan]
    clock: LoopClock
    dark: Dark | None = None
    requested: dict[str, datetime] = field(default_factory=dict)

    def measurements(self) -> MemoryMeasurements:
        """The way to ask it."""
        return MemoryMeasurements(self.evaluate, self._gate)

    def load(self, plan: Plan, now: datetime) -> float:
        """What the metric of a service says."""
        last = self.requested.get(plan.name)
        recent = THRESHOLD if last is not None and now - last <= FOLLOWS else 0.0
        return recent + (BATCH_LOAD if plan.batch(now) else 0.0)

    def evaluate(self, query: str, at: datetime) -> Reading | Failure:
        """Answer one query; nothing was scraped in the dark, so that it says afterwards that it was not up."""
        if self.dark is not None and self.dark.at(at):
            return Failure(UnknownCause.UNREACHABLE, Blame.SERVER, f"{SERVER} can not be reached")
        if (health := _HEALTH.fullmatch(query)) is not None:
            span = timedelta(seconds=int(health["seconds"]))
            return _vector(0.0 if self.dark is not None and self.dark.in_the_last(span, at) else 1.0)
        return _vector(self.load(self.plans[query], at))

    async def _gate(self, _question: Question) -> None:
        if self.dark is not None and self.dark.mute and self.dark.at(self.clock.now):
            await asyncio.Event().wait()


def _vector(value: float) -> Reading:
    return Reading(Shape.VECTOR, (Series((), str(value)),))
