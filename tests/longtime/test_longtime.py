"""Days and weeks of a worker in a few seconds: the edges of time, long silences, and a small run of the whole trace."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from schemas.partitioning import record_key
from schemas.topics import Topic
from tests.longtime.__main__ import deeds_of
from tests.longtime.drive import Deed, Drive
from tests.longtime.town import NAMESPACE, Luck
from tests.longtime.trace import DAY, DEFAULT_START, HOUR, MILLISECOND, MINUTE, Nights, Plan, Rhythm, Trace, draw

COOLDOWN = 15 * MINUTE
CYCLE = 5 * MINUTE


def plan(name: str, start: datetime, **changes: object) -> Plan:
    known: dict[str, object] = {
        "name": name,
        "rhythm": Rhythm.NEVER,
        "cooldown": COOLDOWN,
        "created_at": start - DAY,
        "zone": "UTC",
    }
    return Plan(**(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [1])
def test_days_of_a_drawn_trace_have_no_early_sleep_and_no_lost_wake(seed: int) -> None:
    trace = draw(seed, 40, start=DEFAULT_START, days=3, cycle=CYCLE)
    drive = Drive(trace, deeds=deeds_of(trace))
    summary = drive.run()
    assert summary.violations == ()
    assert summary.wakes > 50
    assert 0.4 < summary.asleep < 0.9
    assert drive.kills == 2


def test_a_cooldown_ends_to_the_millisecond() -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    at = start + 6 * HOUR
    offsets = {"before": -MILLISECOND, "exactly": timedelta(), "after": MILLISECOND}
    plans = tuple(plan(name, start) for name in offsets)
    asked = tuple((at - COOLDOWN + offset, name) for name, offset in offsets.items())
    drive = Drive(Trace(1, start, 1, CYCLE, plans, asked), partitions=1)
    drive.town.luck = Luck.none()
    assert drive.run().violations == ()
    # They slept before, were woken, and sleep again at the first cycle that is not too early.
    again = [(name, slept) for name, slept in drive.oracle.zeros if slept >= at]
    starting = timedelta(minutes=2)
    assert {name for name, _ in again} == set(offsets)
    assert all(at <= slept <= at + CYCLE + starting for _, slept in again)


def test_a_request_ends_its_cooldown_to_the_millisecond_when_the_service_was_up() -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    at = start + COOLDOWN + 2 * CYCLE
    offsets = {"before": -MILLISECOND, "exactly": timedelta(), "after": MILLISECOND}
    plans = tuple(plan(name, start) for name in offsets)
    # The first request has its up answered; only the second one counts, for its service is up and asked for.
    first = tuple((start + MINUTE, name) for name in offsets)
    asked = tuple((at - COOLDOWN + offset, name) for name, offset in offsets.items())
    drive = Drive(Trace(1, start, 1, CYCLE, plans, (*first, *asked)), partitions=1)
    drive.town.luck = Luck.none()
    assert drive.run().violations == ()
    assert dict(drive.oracle.zeros) == {"before": at, "exactly": at, "after": at + CYCLE}


ZONES = (
    ("Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, tzinfo=UTC)),
    # By half an hour.
    ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),
    # From midnight to one o'clock, and back.
    ("Africa/Cairo", datetime(2026, 4, 23, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 10, 29, tzinfo=UTC)),
)


@pytest.mark.parametrize(("zone", "start"), ZONES, ids=str)
def test_a_period_follows_the_wall_clock_where_clocks_are_turned(zone: str, start: datetime) -> None:
    starts = ((0, 0), (0, 30), (1, 0), (1, 30), (1, 45), (2, 0), (2, 30), (3, 0), (23, 30))
    plans = tuple(
        plan(f"at-{hour:02}-{minute:02}", start, zone=zone, nights=Nights(minute, hour, 2 * HOUR, zone))
        for hour, minute in starts
    )
    drive = Drive(Trace(1, start, 3, CYCLE, plans), partitions=1)
    summary = drive.run()
    assert summary.violations == ()
    # Every night but for a start that is skipped, and one more for a start that comes twice.
    assert 2 * len(starts) <= summary.sleeps <= 5 * len(starts)


@pytest.mark.parametrize(
    ("start", "nights", "asleep"),
    [
        (datetime(2028, 2, 27, tzinfo=UTC), Nights(0, 0, DAY, "UTC", day=29, month=2), {29}),
        (datetime(2027, 2, 26, tzinfo=UTC), Nights(0, 0, DAY, "UTC", day=29, month=2), set()),
        (datetime(2026, 12, 30, tzinfo=UTC), Nights(0, 22, 4 * HOUR, "Europe/Berlin"), {30, 31, 1}),
    ],
    ids=["leap year", "no leap year", "year's end"],
)
def test_a_period_knows_the_calendar(start: datetime, nights: Nights, asleep: set[int]) -> None:
    drive = Drive(Trace(1, start, 3, CYCLE, (plan("web", start, nights=nights),)), partitions=1)
    assert drive.run().violations == ()
    assert {slept.day for _, slept in drive.oracle.zeros} == asleep


def test_a_fleet_that_falls_idle_at_once_falls_asleep_some_at_a_time() -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    plans = tuple(plan(f"s{number}", start) for number in range(60))
    drive = Drive(Trace(1, start, 1, CYCLE, plans), partitions=1)
    drive.town.luck = Luck.none()
    assert drive.run().violations == ()
    slept = Counter((at - start) // (10 * MINUTE) for _, at in drive.oracle.zeros)
    assert set(slept.values()) == {10}
    assert len(drive.oracle.zeros) == len(plans)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_service_that_was_silent_for_a_month_is_woken_by_its_first_request(end: str) -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    away = start + 29 * DAY + 7 * MINUTE
    deeds = (Deed(away, end), Deed(away + MINUTE, "start"))
    asked = ((start + 31 * DAY - HOUR, "web"),)
    trace = Trace(1, start, 31, 30 * MINUTE, (plan("web", start), plan("idle", start)), asked)
    drive = Drive(trace, partitions=1, deeds=deeds)
    summary = drive.run()
    assert summary.violations == ()
    # Once each a month ago, and who was asked for once more; a restart wakes nobody and puts nobody to sleep.
    assert (summary.wakes, summary.sleeps) == (1, 3)
    idle = [r for r in drive.log.records(drive.settings.topic(Topic.STATE)) if r.key == record_key(NAMESPACE, "idle")]
    assert len(idle) == 1
    assert idle[0].at < start + DAY
