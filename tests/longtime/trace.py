"""What happens in the weeks of a run, drawn from a seed: services, who asks for them when, and their metrics."""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
SATURDAY = 5
# The load that a batch puts on its metric, and that a request does; a service is idle below 1.
BATCH_LOAD = 5.0
FOLLOWS = 2 * MINUTE
"""For how long a request shows in the metric of its service."""


class Rhythm(StrEnum):
    """When a service is used."""

    SHOP = "shop"
    """By day more than by night, every day of the week."""
    OFFICE = "office"
    """On workdays from 8 to 18."""
    WEEKLY = "weekly"
    """Once a week."""
    BATCH = "batch"
    """At night, by its metric alone."""
    BURSTS = "bursts"
    """Long silences, then many requests at once."""
    SILENT = "silent"
    """Its first request comes when the run is nearly over."""
    EDGES = "edges"
    """A millisecond before, at, and a millisecond after the end of its cooldown, and of its sleep."""
    NEVER = "never"
    """Only when the run says so by name."""


_SHARES = {
    Rhythm.SHOP: 30,
    Rhythm.OFFICE: 25,
    Rhythm.WEEKLY: 10,
    Rhythm.BATCH: 10,
    Rhythm.BURSTS: 8,
    Rhythm.SILENT: 7,
    Rhythm.EDGES: 10,
}
_COOLDOWNS = (5 * MINUTE, 15 * MINUTE, 15 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 26 * HOUR)
_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "UTC")


@dataclass(frozen=True, slots=True)
class Nights:
    """When a service may sleep: for `length` from each of these wall clocks of a zone; None: every one."""

    minute: int
    hour: int
    length: timedelta
    zone: str
    weekdays: tuple[int, ...] | None = None
    """Cron's: 0 is Sunday."""
    day: int | None = None
    month: int | None = None

    @property
    def schedule(self) -> str:
        """The same as a cron schedule."""
        weekdays = "*" if self.weekdays is None else ",".join(map(str, self.weekdays))
        day, month = ("*" if each is None else str(each) for each in (self.day, self.month))
        return f"TZ={self.zone} {self.minute} {self.hour} {day} {month} {weekdays}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One service; `counted`: its trigger counts requests, else it reads the metric."""

    name: str
    rhythm: Rhythm
    cooldown: timedelta
    created_at: datetime
    zone: str
    nights: Nights | None = None
    counted: bool = False

    def batch(self, now: datetime) -> bool:
        """Whether its batch runs, from 01:30 to 03:10 of its zone."""
        if self.rhythm is not Rhythm.BATCH:
            return False
        local = now.astimezone(ZoneInfo(self.zone))
        return 90 <= local.hour * 60 + local.minute < 190


@dataclass(frozen=True, slots=True)
class Trace:
    """A run's services and time; the same seed gives the same ones."""

    seed: int
    start: datetime
    days: int
    cycle: timedelta
    plans: Sequence[Plan] = field(default_factory=tuple)
    asked: Sequence[tuple[datetime, str]] = field(default_factory=tuple)
    """Requests beside those that are drawn."""

    @property
    def end(self) -> datetime:
        """When it is over."""
        return self.start + self.days * DAY

    def requests(self) -> Iterator[tuple[datetime, str]]:
        """Yield every request, by rising time."""
        return heapq.merge(sorted(self.asked), *(self._of(plan) for plan in self.plans))

    def _of(self, plan: Plan) -> Iterator[tuple[datetime, str]]:
        chance = random.Random(f"{self.seed}/{plan.name}")
        first = max(self.start, plan.created_at) + MINUTE
        at = first
        for visit in _visits(plan, chance, self):
            # Visits may overlap: each begins when the one before it is over.
            at = max(at, visit)
            for moment in _records(plan, chance, at):
                if first <= moment < self.end:
                    yield moment, plan.name
                at = moment + MILLISECOND


def draw(seed: int, services: int, *, start: datetime, days: int, cycle: timedelta) -> Trace:
    """Draw a fleet; one in ten is created in the midst of the run."""
    chance = random.Random(seed)
    trace = Trace(seed, start, days, cycle)
    return Trace(seed, start, days, cycle, tuple(_plan(chance, number, trace) for number in range(services)))


def _plan(chance: random.Random, number: int, trace: Trace) -> Plan:
    rhythm = chance.choices(tuple(_SHARES), weights=tuple(_SHARES.values()))[0]
    zone = chance.choice(_ZONES)
    newborn = chance.random() < 0.1 and rhythm is not Rhythm.SILENT
    born = trace.start + chance.random() * trace.days * DAY if newborn else trace.start - DAY
    edges = rhythm is Rhythm.EDGES
    return Plan(
        name=f"s{number:05}",
        rhythm=rhythm,
        cooldown=chance.choice(_COOLDOWNS[:5] if edges else _COOLDOWNS),
        created_at=whole(born),
        zone=zone,
        nights=_nights(chance, zone) if chance.random() < 0.2 and not edges else None,
        counted=rhythm is not Rhythm.BATCH and chance.random() < 0.25,
    )


def _nights(chance: random.Random, zone: str) -> Nights:
    weekdays = (1, 2, 3, 4, 5) if chance.random() < 0.5 else None
    length = chance.choice((8 * HOUR, 10 * HOUR, 12 * HOUR + 90 * timedelta(seconds=1)))
    return Nights(chance.choice((0, 30)), chance.choice((0, 2, 19, 20)), length, zone, weekdays)


def whole(moment: datetime) -> datetime:
    """Cut to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _visits(plan: Plan, chance: random.Random, trace: Trace) -> Iterator[datetime]:
    match plan.rhythm:
        case Rhythm.SHOP | Rhythm.OFFICE:
            yield from _by_the_clock(plan, chance, trace)
        case Rhythm.WEEKLY:
            yield from _every(trace, 7 * DAY, chance.random() * 7 * DAY)
        case Rhythm.BURSTS:
            yield from _now_and_then(chance, trace)
        case Rhythm.BATCH:
            yield from _every(trace, 3 * DAY, chance.random() * 3 * DAY)
        case Rhythm.SILENT:
            yield whole(trace.end - chance.random() * min(2 * HOUR, trace.days * HOUR) - MINUTE)
        case Rhythm.EDGES:
            yield from _edges(plan, chance, trace)
        case Rhythm.NEVER:
            return


def _now_and_then(chance: random.Random, trace: Trace) -> Iterator[datetime]:
    at = trace.start
    while at < trace.end:
        at += chance.expovariate(1 / 24) * HOUR
        yield whole(at)


def _every(trace: Trace, gap: timedelta, first: timedelta) -> Iterator[datetime]:
    at = trace.start + first
    while at < trace.end:
        yield whole(at)
        at += gap


def _by_the_clock(plan: Plan, chance: random.Random, trace: Trace) -> Iterator[datetime]:
    zone, at = ZoneInfo(plan.zone), trace.start
    while at < trace.end:
        # The most there is at noon; of these as many are left out as the hour asks for.
        at += chance.expovariate(0.4) * HOUR
        local = at.astimezone(zone)
        if chance.random() < _busyness(plan.rhythm, local):
            yield whole(at)


def _busyness(rhythm: Rhythm, local: datetime) -> float:
    if rhythm is Rhythm.OFFICE:
        return 0.8 if 8 <= local.hour < 18 and local.weekday() < SATURDAY else 0.0
    by_day = 1.0 if 8 <= local.hour < 22 else 0.05
    return by_day * (1.2 if local.weekday() >= SATURDAY else 0.8)


def _edges(plan: Plan, chance: random.Random, trace: Trace) -> Iterator[datetime]:
    """A request whose cooldown ends about a cycle, then one about the moment at which it can first be asleep."""
    at = trace.start
    while at < trace.end:
        at += (chance.randint(2, 90) + plan.cooldown // trace.cycle) * trace.cycle
        ends = at + plan.cooldown
        yield at + chance.choice((-1, 0, 1)) * MILLISECOND
        later = ends + (-(ends - trace.start)) % trace.cycle + chance.choice((0, 0, 1)) * trace.cycle
        if chance.random() < 0.7:
            yield later + chance.choice((-1, 0, 1)) * MILLISECOND
        at = later


def _records(plan: Plan, chance: random.Random, at: datetime) -> Iterator[datetime]:
    """The requests of one visit."""
    yield at
    if plan.rhythm is Rhythm.EDGES:
        return
    count = chance.randint(20, 80) if plan.rhythm is Rhythm.BURSTS else chance.choice((0, 0, 1, 2, 5))
    for _ in range(count):
        gap = chance.expovariate(0.5 if plan.rhythm is Rhythm.BURSTS else 0.05)
        at = whole(at + timedelta(seconds=gap)) + MILLISECOND
        yield at


DEFAULT_START = datetime(2026, 3, 6, tzinfo=UTC)
"""Thirty days from here New York, Berlin and Lord Howe each turn their clocks."""
