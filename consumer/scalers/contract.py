"""What a scaler type is and what it is given: the whole contract for built-in types and plug-ins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from consumer.core.policy import Trigger
from consumer.core.readings import Failure, Question, Reading
from consumer.core.service import ServiceKey
from consumer.core.window import Window
from consumer.ports import Scaler

Faults = Sequence[tuple[str, str]]
"""What is wrong with a trigger: (field, what to write instead) for each fault."""


class Measure(Protocol):
    """Asks Prometheus, together with whatever else the sweep wants to know."""

    def expect(self, question: Question, now: datetime) -> None:
        """Announce a question, so that it can travel with the first one that is awaited."""

    async def ask(self, question: Question, now: datetime) -> Reading | Failure:
        """Return what the query gives at `now`, exactly as if it were asked alone; never raises."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the installation fills in where a trigger says nothing: the Prometheus server and its headers."""

    server: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything that a scaler is made from: one trigger of one service, and the means to judge it."""

    service: ServiceKey
    trigger: Trigger
    cooldown: timedelta
    defaults: Defaults
    measure: Measure
    requests: Callable[[], Window | None]
    """The requests of this service, counted over the window that the scaler type asked for."""


class ScalerType(Protocol):
    """One value of a trigger's `type`; an entry point in the group `elasti.scalers` names an instance of it."""

    def check(self, trigger: Trigger, defaults: Defaults) -> Faults:
        """Say what is wrong with the trigger; empty when `create` will accept it."""

    def create(self, assignment: Assignment) -> Scaler:
        """Make the scaler for a trigger that passed the check; opens nothing that `close` does not close."""

    def window(self, trigger: Trigger) -> timedelta | None:
        """Tell how long a window of counted requests the trigger needs; None: it needs none."""
