"""Whether a moment lies in an enabledPeriod, minute by minute: slow, and as plain as the sentence that defines it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_MINUTE: Final = timedelta(minutes=1)
_ZONE: Final = "TZ="
_DAY_OF_MONTH: Final = 2
_DAY_OF_WEEK: Final = 4


def contains(schedule: str, duration: timedelta, now: datetime) -> bool:
    """Whether a start of the schedule is less than a duration ago.

    The schedule is in the form of the log: five fields, each `*` or a list of numbers, perhaps a zone before them.
    """
    zone, fields = _parsed(schedule)
    return any(_starts(at.astimezone(zone), fields) for at in _minutes(now, duration))


def _minutes(now: datetime, duration: timedelta) -> Iterator[datetime]:
    """Yield every whole minute that is less than a duration ago, the last first."""
    minute = now.astimezone(UTC).replace(second=0, microsecond=0)
    while now - minute < duration:
        yield minute
        minute -= _MINUTE


def _parsed(schedule: str) -> tuple[tzinfo, list[set[int] | None]]:
    zone: tzinfo = UTC
    if schedule.startswith(_ZONE):
        name, _, schedule = schedule.removeprefix(_ZONE).partition(" ")
        zone = ZoneInfo(name)
    return zone, [_numbers(field) for field in schedule.split()]


def _numbers(field: str) -> set[int] | None:
    """Return what a field allows; None: everything."""
    return None if field == "*" else {int(number) for number in field.split(",") if number}


def _starts(wall: datetime, fields: list[set[int] | None]) -> bool:
    """Whether the clock on the wall matches; of two restricted days either is enough."""
    shown = (wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7)
    matches = [field is None or number in field for number, field in zip(shown, fields, strict=True)]
    days = matches[_DAY_OF_MONTH], matches[_DAY_OF_WEEK]
    either = fields[_DAY_OF_MONTH] is not None and fields[_DAY_OF_WEEK] is not None
    return matches[0] and matches[1] and matches[3] and (any(days) if either else all(days))
