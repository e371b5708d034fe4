"""Measurements, and what judges a service by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from consumer.core.answers import Answer, Answers
from consumer.core.policy import Policy
from consumer.core.readings import Failure, Question, Reading
from consumer.core.service import ServiceKey
from consumer.core.window import Window


class Measurements(Protocol):
    """Servers that answer PromQL queries."""

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        """Evaluate the query at that time, within `limit`; never raises for what a server does or says."""

    async def close(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A service to be measured: its policy and the requests counted so far."""

    policy: Policy
    window: Window | None


class Scaler(Protocol):
    """One trigger of one policy; the contract of KubeElasti's Go interface. Never raises on bad measurements."""

    async def is_healthy(self, now: datetime) -> Answer:
        """Whether the source can be believed; anything but Yes blocks the way down only."""

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        """Yes: by this trigger the service is idle."""

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        """Yes: by this trigger the service is busy."""

    async def close(self) -> None:
        """Release what the scaler holds."""


class Judges(Protocol):
    """Asks every trigger of many policies in one sweep with one timestamp."""

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        """Return answers for every subject; failures are Unknown, nothing is raised for bad measurements."""

    def window_of(self, policy: Policy) -> timedelta | None:
        """The longest request window that a trigger of this policy counts over, or None."""
