"""The only source of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """Broker time, in milliseconds, and whether it is sure within a second.

    `set_at` is when the broker's clock was last found to be set anew, by the later of what it said before and after;
    from what was noted until then nobody can tell how much time has passed.
    """

    now: datetime
    sure: bool
    set_at: datetime | None = None

    def sure_over(self, span: timedelta) -> bool:
        """Whether it tells how long ago something was, up to `span` back: sure, and not set anew since.

        12:00 a request, 12:01 the broker's clock is set to 13:01: by that clock it came an hour ago, long enough to put
        its service to sleep, and too long to wake it. Until 13:16, over 15 minutes, it does not say so.
        """
        return self.sure and (self.set_at is None or self.now >= self.set_at + span)


class Clock(Protocol):
    """The only source of time."""

    def read(self) -> Moment:
        """Local monotonic time plus the offset measured on the append times of our own records."""

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Take the append time of one of our records into account, sent and acknowledged at these moments."""

    async def sleep(self, length: timedelta) -> None:
        """Wait that long in this clock's time."""
