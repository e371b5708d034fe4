"""The only source of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """Broker time, in milliseconds, and whether it is sure within a second."""

    now: datetime
    sure: bool


class Clock(Protocol):
    """The only source of time."""

    def read(self) -> Moment:
        """Local monotonic time plus the offset measured on the append times of our own records."""

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Take the append time of one of our records into account, sent and acknowledged at these moments."""

    async def sleep(self, length: timedelta) -> None:
        """Wait that long in this clock's time."""
