"""Plug-ins, good and bad, as other packages would bring them."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from consumer.scalers import Answer, Assignment, Defaults, Evidence, Faults, Scaler, Trigger, Unknown, UnknownCause, Yes

if TYPE_CHECKING:
    from consumer.core.window import Window


class Steady:
    """Says yes to everything, and remembers how often it was closed."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.closed = 0
        self.seen: list[Window | None] = []

    async def is_healthy(self, now: datetime) -> Answer:
        self.seen.append(self.assignment.requests())
        return Yes(Evidence(1.0), now)

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        return Yes(Evidence(0.0, 1.0), now)

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        return Unknown(UnknownCause.NOT_ASKED, now)

    async def close(self) -> None:
        self.closed += 1


class SteadyType:
    """The good plug-in; its scalers can be counted."""

    def __init__(self) -> None:
        self.made: list[Steady] = []

    def check(self, trigger: Trigger, defaults: Defaults) -> Faults:
        return () if "good" in trigger.named() else (("metadata.good", f"missing; ask {defaults.server}"),)

    def create(self, assignment: Assignment) -> Scaler:
        self.made.append(Steady(assignment))
        return self.made[-1]

    def window(self, trigger: Trigger) -> timedelta | None:
        return timedelta(minutes=int(trigger.named().get("good", "0"))) or None


class Rude(Steady):
    """Raises, hangs, and returns what is no answer."""

    async def is_healthy(self, now: datetime) -> Answer:
        raise RuntimeError(f"no health at {now:%H:%M}")

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        await asyncio.Event().wait()
        return Yes(Evidence(0.0), now)

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        return now > datetime.min.replace(tzinfo=now.tzinfo)  # type: ignore[return-value] # who checks plug-ins?

    async def close(self) -> None:
        raise RuntimeError("can not close")


class Impatient(Steady):
    """Gives up by itself."""

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        raise TimeoutError(f"no answer at {now:%H:%M}")


class ImpatientType(SteadyType):
    """The plug-in whose own time-out is shorter than the sweep's."""

    def create(self, assignment: Assignment) -> Scaler:
        self.made.append(Impatient(assignment))
        return self.made[-1]


class RudeType(SteadyType):
    """The plug-in whose scalers misbehave."""

    def create(self, assignment: Assignment) -> Scaler:
        self.made.append(Rude(assignment))
        return self.made[-1]


class BrokenType:
    """The plug-in that fails in every method."""

    def check(self, trigger: Trigger, defaults: Defaults) -> NoReturn:
        raise RuntimeError(f"can not check {trigger.type} with {defaults.server}")

    def create(self, assignment: Assignment) -> NoReturn:
        raise RuntimeError(f"can not create {assignment.trigger.type}")

    def window(self, trigger: Trigger) -> NoReturn:
        raise RuntimeError(f"can not tell of {trigger.type}")


STEADY = SteadyType()
HALF = object()
