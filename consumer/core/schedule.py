"""When a service may sleep at all: the ``enabledPeriod``, its cron schedule and its Go duration."""

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DEFAULT_SCHEDULE: Final = "0 0 * * *"
DEFAULT_DURATION: Final = "24h"

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
# No zone has turned its clocks twice within a week, so a week holds one turn at most.
_ONE_TURN: Final = timedelta(days=7)
# The rarest date that exists, 29 February, is at most eight years from its next (1896 to 1904).
_RAREST: Final = timedelta(days=8 * 366)
_LAST_MINUTE: Final = time(23, 59)

_INT64_MAX: Final = 2**63 - 1
_INT64_DIGITS: Final = 19
_INTEGER: Final = re.compile(r"\+?([0-9]+)")
_DURATION_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^.0-9]*)")
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


class InvalidSchedule(ValueError):  # noqa: N818 - its name is what it says of the text
    """The text is not a cron schedule; the message says what is wrong and what to write."""

    def __init__(self, place: str, *, wrong: str, write: str) -> None:
        super().__init__(f"{place}: {wrong}; write {write}")


class InvalidDuration(ValueError):  # noqa: N818 - its name is what it says of the text
    """The text is not a usable Go duration; the message says what is wrong and what to write."""

    def __init__(self, text: str, *, wrong: str) -> None:
        super().__init__(f'duration "{text}": {wrong}; write a number with a unit, like "90m" or "1h30m"')


@dataclass(frozen=True, slots=True)
class _Place:
    """One of the five fields: its name, its bounds and the names that stand for numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def wrong(self, text: str, wrong: str) -> InvalidSchedule:
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return InvalidSchedule(f'{self.name} "{text}"', wrong=wrong, write=f"{self.low} to {self.high}{named}, or *")

    def number(self, text: str, span: str) -> int:
        if text.lower() in self.names:
            return self.low + self.names.index(text.lower())
        digits = _INTEGER.fullmatch(text)
        if digits is None:
            raise self.wrong(span, f'"{text}" is not a number')
        number = _int64(digits[1])
        if number is None or number > _INT64_MAX:
            raise self.wrong(span, f"{text} is too large")
        return number


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PLACES: Final = (
    _Place("minute", 0, 59),
    _Place("hour", 0, 23),
    _Place("day of month", 1, 31),
    _Place("month", 1, 12, _MONTHS),
    _Place("day of week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class _Field:
    """The numbers that one field allows, one bit each, and whether a ``*`` or ``?`` stands in it."""

    mask: int
    star: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed cron schedule: the wall-clock minutes, in its zone, at which it starts something.

    A start is every instant whose wall clock matches. So a minute that the
    clocks jump over in spring has no start that day, and a minute that they
    pass twice in autumn has two. robfig/cron v3.0.1 does the same wherever
    clocks turn by whole hours away from midnight; where they skip midnight
    (Cairo, Beirut) or turn by half an hour (Lord Howe) it loses or shifts
    starts depending on where its search began, which is not repeated here.
    """

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    both_days: bool
    """Whether day of month and day of week must both match (one has a star), not just either."""
    zone: tzinfo = UTC

    def __str__(self) -> str:
        """Write it in five fields, such that parsing that gives an equal schedule."""
        masks = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        stars = (True, True, self.both_days, True, self.both_days)
        fields = (_written(*field) for field in zip(masks, _PLACES, stars, strict=True))
        prefix = "" if self.zone is UTC else f"TZ={self.zone} "
        return prefix + " ".join(fields)

    def latest(self, first: datetime, last: datetime) -> datetime | None:
        """Give the latest start from ``first`` to ``last``, both included."""
        first, end = _whole_second(first), _whole_second(last)
        while end >= first:
            offset = self._offset(end)
            begin = self._same_clock_since(end, first)
            # The wall clock is kept as if it were UTC, so that it can be counted with.
            if wall := self._latest_wall(begin + offset, end + offset):
                return wall - offset
            end = begin - _SECOND
        return None

    def earliest(self, first: datetime, last: datetime) -> datetime | None:
        """Give the earliest start from ``first`` to ``last``, both included."""
        begin, last = _whole_second(first), _whole_second(last)
        while begin <= last:
            offset = self._offset(begin)
            end = self._same_clock_until(begin, last)
            if wall := self._earliest_wall(begin + offset, end + offset):
                return wall - offset
            begin = end + _SECOND
        return None

    def _offset(self, at: datetime) -> timedelta:
        return at.astimezone(self.zone).utcoffset() or timedelta()

    def _same_clock_since(self, end: datetime, first: datetime) -> datetime:
        if self.zone is UTC:
            return first
        begin, offset = max(first, end - _ONE_TURN), self._offset(end)
        if self._offset(begin) == offset:
            return begin
        seconds = range(int((end - begin).total_seconds()))
        return begin + _SECOND * bisect_left(
            seconds, x=True, key=lambda second: self._offset(begin + _SECOND * second) == offset
        )

    def _same_clock_until(self, begin: datetime, last: datetime) -> datetime:
        if self.zone is UTC:
            return last
        end, offset = min(last, begin + _ONE_TURN), self._offset(begin)
        if self._offset(end) == offset:
            return end
        seconds = range(int((end - begin).total_seconds()))
        turned = bisect_left(seconds, x=True, key=lambda second: self._offset(begin + _SECOND * second) != offset)
        return begin + _SECOND * (turned - 1)

    def _latest_wall(self, first: datetime, last: datetime) -> datetime | None:
        day, until = last.date(), last.time()
        while day >= first.date():
            if not self.months >> day.month & 1:
                day = day.replace(day=1)
            elif self._has_day(day) and (found := self._latest_time(until)):
                wall = datetime.combine(day, found, UTC)
                return wall if wall >= first else None
            day, until = day - _DAY, _LAST_MINUTE
        return None

    def _earliest_wall(self, first: datetime, last: datetime) -> datetime | None:
        begin = first + timedelta(seconds=59)
        day, since = begin.date(), begin.time()
        while day <= last.date():
            if not self.months >> day.month & 1:
                day = _last_of_month(day)
            elif self._has_day(day) and (found := self._earliest_time(since)):
                wall = datetime.combine(day, found, UTC)
                return wall if wall <= last else None
            day, since = day + _DAY, time.min
        return None

    def _has_day(self, day: date) -> bool:
        by_date = bool(self.days >> day.day & 1)
        by_weekday = bool(self.weekdays >> day.isoweekday() % 7 & 1)
        return by_date and by_weekday if self.both_days else by_date or by_weekday

    def _latest_time(self, until: time) -> time | None:
        if self.hours >> until.hour & 1 and (minutes := self.minutes & (2 << until.minute) - 1):
            return time(until.hour, _highest(minutes))
        hours = self.hours & (1 << until.hour) - 1
        return time(_highest(hours), _highest(self.minutes)) if hours and self.minutes else None

    def _earliest_time(self, since: time) -> time | None:
        if self.hours >> since.hour & 1 and (minutes := self.minutes >> since.minute << since.minute):
            return time(since.hour, _lowest(minutes))
        hours = self.hours >> since.hour + 1 << since.hour + 1
        return time(_lowest(hours), _lowest(self.minutes)) if hours and self.minutes else None


@dataclass(frozen=True, slots=True)
class EnabledPeriod:
    """The windows in which a service may sleep: ``duration`` long, one from every start of ``schedule``.

    A window is half-open: its start lies inside, start + duration outside.
    Raises ``InvalidDuration`` when the duration is not above zero.
    """

    schedule: Schedule
    duration: timedelta

    def __post_init__(self) -> None:
        if self.duration <= timedelta():
            raise InvalidDuration(str(self.duration), wrong="must be above zero")

    def contains(self, now: datetime) -> bool:
        """Tell whether ``now`` lies in a window: the latest start at or before it decides."""
        return self.window_end(now) is not None

    def window_end(self, now: datetime) -> datetime | None:
        """Give the end of the window that ``now`` lies in, as its latest start sets it; None outside.

        A later start that comes before this end moves the end on.
        """
        # A start that is a whole duration ago can not hold now, so the search ends there.
        start = self.schedule.latest(now - self.duration, now)
        return start + self.duration if start and now < start + self.duration else None

    def next_start(self, now: datetime) -> datetime | None:
        """Give the first start after ``now``; None for a date that never comes, like 31 February."""
        return self.schedule.earliest(now + _SECOND, now + _RAREST)


def parse_period(*, schedule: str = DEFAULT_SCHEDULE, duration: str = DEFAULT_DURATION) -> EnabledPeriod:
    """Read an ``enabledPeriod``; raises ``InvalidSchedule`` or ``InvalidDuration``."""
    parsed, length = parse_schedule(schedule), parse_go_duration(duration)
    if length <= timedelta():
        raise InvalidDuration(duration, wrong="must be above zero")
    return EnabledPeriod(parsed, length)


def parse_schedule(text: str) -> Schedule:
    """Read five cron fields as robfig/cron v3's ``NewParser(Minute | Hour | Dom | Month | Dow)`` does.

    UTC unless the text begins with ``TZ=`` or ``CRON_TZ=`` and a zone.
    Raises ``InvalidSchedule``.
    """
    zone, rest = _zone_and_fields(text)
    fields = rest.split()
    if len(fields) != len(_PLACES):
        raise InvalidSchedule(
            f'schedule "{text}"',
            wrong=f"must have exactly 5 fields, has {len(fields)}",
            write=f'minute, hour, day of month, month and day of week, like "{DEFAULT_SCHEDULE}"',
        )
    minutes, hours, days, months, weekdays = (
        _field(field, place) for field, place in zip(fields, _PLACES, strict=True)
    )
    both_days = days.star or weekdays.star
    return Schedule(minutes.mask, hours.mask, days.mask, months.mask, weekdays.mask, both_days, zone)


def parse_go_duration(text: str) -> timedelta:
    """Read a duration by the grammar and the limits of Go's ``time.ParseDuration``; raises ``InvalidDuration``.

    What is finer than a microsecond is rounded up, so that ``1ns`` is not zero.
    """
    sign, rest = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if rest == "0":
        return timedelta()
    if not rest:
        raise InvalidDuration(text, wrong="has no number")
    total = 0
    while rest:
        part = _DURATION_PART.match(rest)
        if part is None or not (part[1] or part[2]):
            raise InvalidDuration(text, wrong=f'has no number before "{rest}"')
        unit = _NANOSECONDS.get(part[3])
        if unit is None:
            raise InvalidDuration(text, wrong=f'"{part[3]}" is not a unit (ns, us, ms, s, m, h)')
        whole = _int64(part[1] or "0")
        total = _INT64_MAX + 2 if whole is None else total + whole * unit + _fraction(part[2] or "", unit)
        # Like int64, one more fits below zero than above it.
        if total > _INT64_MAX + (sign == "-"):
            raise InvalidDuration(text, wrong="is longer than 292 years")
        rest = rest[part.end() :]
    return timedelta(microseconds=-(-(-total if sign == "-" else total) // 1_000))


def _int64(digits: str) -> int | None:
    significant = digits.lstrip("0") or "0"
    # 2**63, which only a negative duration may reach, has 19 digits too.
    number = int(significant) if len(significant) <= _INT64_DIGITS else None
    return number if number is not None and number <= _INT64_MAX + 1 else None


def _fraction(digits: str, unit: int) -> int:
    # As Go does it, digit by digit until 63 bits are full and then in floating point, to the same nanosecond.
    value, scale = 0, 1.0
    for digit in digits:
        if value > _INT64_MAX // 10 or value * 10 + int(digit) > _INT64_MAX + 1:
            break
        value, scale = value * 10 + int(digit), scale * 10
    return int(value * (unit / scale))


def _zone_and_fields(text: str) -> tuple[tzinfo, str]:
    if not text.startswith(("TZ=", "CRON_TZ=")):
        return UTC, text
    prefix, _, fields = text.partition(" ")
    name = prefix.partition("=")[2]
    # Go reads no name as UTC, and "Local" as the zone of the time asked about, which is UTC here.
    if name in ("", "UTC", "Local"):
        return UTC, fields
    try:
        return ZoneInfo(name), fields
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise InvalidSchedule(
            f'time zone "{name}"',
            wrong="is not known here",
            write='a name like "Europe/Berlin", or leave it out for UTC',
        ) from unknown


def _field(text: str, place: _Place) -> _Field:
    mask, star = 0, False
    # Like robfig, empty parts are skipped: "1,,2" is "1,2", and "," alone never comes.
    for part in filter(None, text.split(",")):
        span = _span(part, place)
        mask, star = mask | span.mask, star or span.star
    return _Field(mask, star)


def _span(text: str, place: _Place) -> _Field:
    ends, *steps = text.split("/")
    low, *highs = ends.split("-")
    if len(steps) > 1:
        raise place.wrong(text, "has too many slashes")
    step = place.number(steps[0], text) if steps else 1
    if step == 0:
        raise place.wrong(text, "has a step of 0")
    if low in ("*", "?"):
        # A step above 1 takes the star away: "*/2" restricts the day, "*/1" does not.
        return _Field(_mask(place.low, place.high, step), star=step == 1)
    if len(highs) > 1:
        raise place.wrong(text, "has too many hyphens")
    start = place.number(low, text)
    end = place.number(highs[0], text) if highs else start
    if steps and not highs:
        end = place.high  # "N/step" means "N-max/step".
    if start < place.low or end > place.high:
        raise place.wrong(text, f"goes beyond {place.low} to {place.high}")
    if start > end:
        raise place.wrong(text, "begins after its end")
    return _Field(_mask(start, end, step), star=False)


def _mask(low: int, high: int, step: int) -> int:
    return sum(1 << number for number in range(low, high + 1, step))


def _written(mask: int, place: _Place, star: bool) -> str:  # noqa: FBT001
    numbers = [number for number in range(place.low, place.high + 1) if mask >> number & 1]
    if star and len(numbers) == place.high - place.low + 1:
        return "*"
    return ",".join(map(str, numbers)) or ","


def _whole_second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def _last_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY


def _highest(mask: int) -> int:
    return mask.bit_length() - 1


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
