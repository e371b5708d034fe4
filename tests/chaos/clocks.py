"""`python -m tests.chaos.clocks SECONDS WORDS...`: `elasti WORDS...` on a machine whose clock is so far ahead."""

import sys
import time
from datetime import datetime, timedelta, tzinfo
from unittest.mock import patch

from consumer.cli import main


class _Wrong:
    """The time of day that our one reader of it reads."""

    ahead = timedelta()

    @classmethod
    def now(cls, zone: tzinfo | None = None) -> datetime:
        return datetime.now(zone) + cls.ahead


def _begin(ahead: timedelta) -> None:
    """Set every clock that this process reads, but for the monotonic one and the times of log lines."""
    _Wrong.ahead = ahead
    seconds, nanoseconds = time.time, time.time_ns
    with (
        patch("consumer.adapters.clock.datetime", _Wrong),
        patch("time.time", lambda: seconds() + ahead.total_seconds()),
        patch("time.time_ns", lambda: nanoseconds() + round(ahead.total_seconds() * 1e9)),
    ):
        main()


if __name__ == "__main__":
    _begin(timedelta(seconds=float(sys.argv.pop(1))))
