"""The enabledPeriod against the Go predecessor's tables, robfig/cron itself and a minute-by-minute search.

`tests/golden/cron.json` was made by a throw-away Go program with robfig/cron v3.0.1, its parser set to
`Minute | Hour | Dom | Month | Dow`, and Go 1.26. Per schedule it walked `Next` from
now - duration - 24 h up to now, as the predecessor does: `last` is the last start it met, null for none.
Its zones turn their clocks by whole hours away from midnight; where they do not, see the test of Cairo.
"""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypedDict
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.schedule import (
    EnabledPeriod,
    InvalidDuration,
    InvalidSchedule,
    Schedule,
    parse_go_duration,
    parse_period,
    parse_schedule,
)

MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)
LOOK_BACK = timedelta(hours=24)


class GoldenSchedule(TypedDict):
    """One schedule and what robfig/cron says of it: rows of now, last, inside, next."""

    expr: str
    duration: str
    seen: list[tuple[str, str | None, bool, str | None]]


class Golden(TypedDict):
    """The whole file."""

    schedules: list[GoldenSchedule]
    refused: list[str]


GOLDEN: Golden = json.loads((Path(__file__).parents[1] / "golden" / "cron.json").read_text(encoding="utf-8"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(schedule: str, duration: str) -> EnabledPeriod:
    return parse_period(schedule=schedule, duration=duration)


def latest_start(enabled: EnabledPeriod, now: datetime) -> datetime | None:
    """The latest start at or before `now`, if there is one in the eight years that two leap days can lie apart."""
    return enabled.schedule.latest(now - timedelta(days=8 * 366), now)


@pytest.mark.parametrize("row", GOLDEN["schedules"], ids=lambda row: row["expr"])
def test_starts_and_windows_are_those_of_robfig_cron(row: GoldenSchedule) -> None:
    enabled = period(row["expr"], row["duration"])
    for text, last, inside, following in row["seen"]:
        now = at(text)
        start = latest_start(enabled, now)
        if last is None:
            # Go looks back a day further than the duration and no more; a start before that is not news to it.
            assert start is None or start <= now - enabled.duration - LOOK_BACK
        else:
            assert start == at(last)
        assert enabled.contains(now) is inside
        assert enabled.next_start(now) == (at(following) if following else None)


def test_the_golden_table_is_large_and_has_both_answers() -> None:
    answers = [inside for row in GOLDEN["schedules"] for _, _, inside, _ in row["seen"]]
    assert len(GOLDEN["schedules"]) > 300
    assert answers.count(True) > 1_000
    assert answers.count(False) > 1_000


@pytest.mark.parametrize("text", GOLDEN["refused"])
def test_what_robfig_cron_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchedule, match="; write "):
        parse_schedule(text)


def test_a_number_of_thousands_of_digits_is_refused_like_any_other() -> None:
    with pytest.raises(InvalidSchedule, match="is too large"):
        parse_schedule("9" * 5_000 + " 0 * * *")


@pytest.mark.parametrize("text", ["-1h", "0h", "0", "-0", "-1ns"])
def test_a_period_must_last_longer_than_nothing(text: str) -> None:
    with pytest.raises(InvalidDuration, match=r"must be above zero; write "):
        parse_period(duration=text)
    with pytest.raises(InvalidDuration):
        EnabledPeriod(parse_schedule("0 0 * * *"), parse_go_duration(text))


def test_the_shortest_period_holds_its_start_alone() -> None:
    shortest = period("0 0 * * *", "1ns")
    assert shortest.contains(at("2024-01-15T00:00:00"))
    assert not shortest.contains(at("2024-01-15T00:00:00.001"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 25 * * *", 'hour "25": goes beyond 0 to 23; write 0 to 23, or *'),
        ("0 0 * * 7", 'day of week "7": goes beyond 0 to 6; write 0 to 6 or sun to sat, or *'),
        ("x/2 * * * *", 'minute "x/2": "x" is not a number; write 0 to 59, or *'),
        ("*/0 * * * *", 'minute "*/0": has a step of 0; write 0 to 59, or *'),
        (
            "@daily",
            'schedule "@daily": must have exactly 5 fields, has 1; '
            'write minute, hour, day of month, month and day of week, like "0 0 * * *"',
        ),
        (
            "TZ=Mars/Base 0 0 * * *",
            'time zone "Mars/Base": is not known here; write a name like "Europe/Berlin", or leave it out for UTC',
        ),
    ],
)
def test_a_refusal_says_where_what_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse_schedule(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("schedule", "duration", "now", "inside"),
    [
        ("0 0 * * *", "24h", "2024-01-15T12:00:00", True),
        ("0 0 * * *", "1h", "2024-01-15T12:00:00", False),
        ("0 9 * * 1-5", "8h", "2024-01-15T14:00:00", True),
        ("0 9 * * 1-5", "8h", "2024-01-15T18:00:00", False),
        ("0 9 * * 1-5", "8h", "2024-01-13T14:00:00", False),
        ("0 14 * * *", "1h", "2024-01-15T14:05:00", True),
        ("0 0 * * *", "168h", "2024-01-15T18:00:00", True),
    ],
)
def test_the_predecessors_own_examples_hold(schedule: str, duration: str, now: str, inside: bool) -> None:
    assert period(schedule, duration).contains(at(now)) is inside


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2024-01-15T08:59:59.999", False),
        ("2024-01-15T09:00:00", True),
        ("2024-01-15T16:59:59.999", True),
        ("2024-01-15T17:00:00", False),
    ],
)
def test_the_start_lies_inside_the_window_and_the_end_outside(now: str, inside: bool) -> None:
    enabled = period("0 9 * * 1-5", "8h")
    assert enabled.contains(at(now)) is inside
    assert enabled.window_end(at(now)) == (at("2024-01-15T17:00:00") if inside else None)


def test_back_to_back_days_leave_no_gap() -> None:
    always = parse_period()
    for now in ("2024-01-14T23:59:59.999", "2024-01-15T00:00:00", "2024-01-15T00:00:00.001"):
        assert always.contains(at(now))


def test_an_hour_is_the_same_in_whichever_zone_now_is_given() -> None:
    enabled = period("0 9 * * *", "1h")
    assert enabled.contains(at("2024-07-01T09:30:00").astimezone(ZoneInfo("Asia/Tokyo")))
    assert latest_start(enabled, at("2024-07-01T09:30:00").astimezone(ZoneInfo("Asia/Tokyo"))) == at("2024-07-01T09:00")


@pytest.mark.parametrize("zone", ["", "TZ=Europe/Berlin "])
def test_a_date_that_never_comes_has_no_start(zone: str) -> None:
    never = period(f"{zone}0 0 31 2 *", "8760h")
    now = at("2024-03-01T00:00:00")
    assert latest_start(never, now) is None
    assert never.next_start(now) is None
    assert not never.contains(now)


@pytest.mark.parametrize("zone", ["", "TZ=Europe/Berlin "])
def test_the_rarest_date_is_found_across_a_century_without_leap_day(zone: str) -> None:
    leap = period(f"{zone}0 12 29 2 *", "1h")
    assert latest_start(leap, at("1904-02-28T00:00:00")) is not None
    after = leap.next_start(at("2096-03-01T00:00:00"))
    assert after is not None
    assert after.date() == at("2104-02-29T00:00").date()


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("0 0 13 * *", {13}),
        ("0 0 13 * FRI", {5, 12, 13, 19, 26}),
        ("0 0 */1 * FRI", {5, 12, 19, 26}),
        ("0 0 ? * FRI", {5, 12, 19, 26}),
        ("0 0 */15 * FRI", {1, 5, 12, 16, 19, 26, 31}),
        ("0 0 13 * */1", {13}),
        ("0 0 13 * */6", {6, 7, 13, 14, 20, 21, 27, 28}),
    ],
)
def test_a_restricted_date_and_weekday_combine_as_or_and_a_star_in_one_as_and(schedule: str, days: set[int]) -> None:
    parsed = parse_schedule(schedule)
    midnights = [at("2024-01-01T00:00") + timedelta(days=day) for day in range(31)]
    assert {midnight.day for midnight in midnights if parsed.latest(midnight, midnight)} == days


BERLIN_SPRING = ("2024-03-30T01:30:00", "2024-04-01T00:30:00")
BERLIN_AUTUMN = ("2024-10-26T00:30:00", "2024-10-27T00:30:00", "2024-10-27T01:30:00", "2024-10-28T01:30:00")


@pytest.mark.parametrize(
    ("first", "starts"),
    [("2024-03-30T00:00:00", BERLIN_SPRING), ("2024-10-26T00:00:00", BERLIN_AUTUMN)],
    ids=["skipped in spring", "twice in autumn"],
)
def test_half_past_two_in_berlin_when_the_clocks_turn(first: str, starts: tuple[str, ...]) -> None:
    enabled = period("TZ=Europe/Berlin 30 2 * * *", "20m")
    now, end = at(first), at(starts[-1])
    found: list[datetime] = []
    while now < end:
        following = enabled.next_start(now)
        assert following is not None
        assert latest_start(enabled, following) == following
        if found:
            assert latest_start(enabled, following - MILLISECOND) == found[-1]
        found.append(following)
        now = following
    assert found == [at(start) for start in starts]


@pytest.mark.parametrize(
    ("schedule", "duration", "now", "inside"),
    [
        # 02:00 is 03:00 at 01:00 UTC: the hour from 01:30 ends at 03:30 by the clock.
        ("TZ=Europe/Berlin 30 1 * * *", "1h", "2024-03-31T01:29:59", True),
        ("TZ=Europe/Berlin 30 1 * * *", "1h", "2024-03-31T01:30:00", False),
        # 02:50 comes twice; between the two the clock shows 02:10 again, and the first still counts.
        ("TZ=Europe/Berlin 50 2 * * *", "30m", "2024-10-27T01:10:00", True),
        ("TZ=Europe/Berlin 50 2 * * *", "30m", "2024-10-27T01:20:00", False),
        ("TZ=Europe/Berlin 50 2 * * *", "30m", "2024-10-27T01:50:00", True),
    ],
)
def test_a_window_lasts_its_duration_though_the_clocks_turn(
    schedule: str, duration: str, now: str, inside: bool
) -> None:
    assert period(schedule, duration).contains(at(now)) is inside


@pytest.mark.parametrize(
    ("schedule", "now", "start"),
    [
        # robfig/cron loses the whole Friday on which Cairo skips midnight, and lets Thursday's search end in it.
        ("TZ=Africa/Cairo 0 5 * * FRI", "2024-04-26T12:00:00", "2024-04-26T02:00:00"),
        ("TZ=Africa/Cairo 0 5 * * THU", "2024-04-26T12:00:00", "2024-04-25T03:00:00"),
        # Lord Howe turns back by half an hour at 02:00, which comes once.
        ("TZ=Australia/Lord_Howe 0 2 * * *", "2024-04-06T20:00:00", "2024-04-06T15:30:00"),
    ],
)
def test_the_wall_clock_decides_where_robfig_cron_loses_its_way(schedule: str, now: str, start: str) -> None:
    assert latest_start(period(schedule, "1h"), at(now)) == at(start)


ZONES = ("", "TZ=Europe/Berlin ", "CRON_TZ=America/St_Johns ", "TZ=Africa/Cairo ", "TZ=Australia/Lord_Howe ")
TURNS = ("2024-03-31T01:00", "2024-10-27T01:00", "2024-04-25T22:00", "2024-10-31T21:00", "2024-04-06T15:00")


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ends = st.tuples(number, number).map(sorted)
    step = st.integers(1, high + 1)
    one = st.one_of(
        st.sampled_from(["*", "*", "?"]),
        number.map(str),
        ends.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(st.one_of(st.just("*"), number.map(str)), step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(ends, step).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
    )
    return st.lists(one, min_size=1, max_size=3).map(",".join)


@st.composite
def schedules(draw: st.DrawFn) -> str:
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    return draw(st.sampled_from(ZONES)) + " ".join(draw(field(low, high)) for low, high in bounds)


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    if draw(st.booleans()):
        near = st.integers(-6 * 3_600_000, 6 * 3_600_000)
        return at(draw(st.sampled_from(TURNS))) + timedelta(milliseconds=draw(near))
    return at("2023-01-01T00:00") + timedelta(milliseconds=draw(st.integers(0, 3 * 365 * 86_400_000)))


def starts_between(schedule: Schedule, first: datetime, last: datetime) -> list[datetime]:
    """Try every minute by the definition of a start, without the code under test's search."""
    minute = first.replace(second=0, microsecond=0)
    found = []
    while minute <= last:
        wall = minute.astimezone(schedule.zone)
        by_date, by_weekday = schedule.days >> wall.day & 1, schedule.weekdays >> wall.isoweekday() % 7 & 1
        day = by_date and by_weekday if schedule.both_days else by_date or by_weekday
        clock = schedule.minutes >> wall.minute & 1 and schedule.hours >> wall.hour & 1
        if day and clock and schedule.months >> wall.month & 1 and minute >= first:
            found.append(minute)
        minute += MINUTE
    return found


@given(schedules(), moments())
def test_nothing_starts_between_the_latest_start_and_now(text: str, now: datetime) -> None:
    enabled = period(text, "24h")
    begin = now - timedelta(hours=30)
    starts = starts_between(enabled.schedule, begin, now)
    latest = latest_start(enabled, now)
    if starts:
        assert latest == starts[-1]
    else:
        assert latest is None or latest < begin
    assert enabled.contains(now) is bool(starts_between(enabled.schedule, now - LOOK_BACK + MILLISECOND, now))


@given(schedules(), moments())
def test_nothing_starts_between_now_and_the_next_start(text: str, now: datetime) -> None:
    enabled = period(text, "24h")
    end = now + timedelta(hours=30)
    starts = [start for start in starts_between(enabled.schedule, now, end) if start > now]
    following = enabled.next_start(now)
    if starts:
        assert following == starts[0]
    else:
        assert following is None or following > end


@given(schedules(), moments())
def test_the_latest_and_the_next_start_enclose_now_and_lead_to_each_other(text: str, now: datetime) -> None:
    enabled = period(text, "24h")
    latest, following = latest_start(enabled, now), enabled.next_start(now)
    assert latest is None or latest <= now
    assert following is None or now < following
    if latest and following:
        assert enabled.next_start(latest) == following
        assert latest_start(enabled, following - MILLISECOND) == latest


@given(schedules())
def test_a_written_schedule_reads_as_the_same_schedule(text: str) -> None:
    parsed = parse_schedule(text)
    assert parse_schedule(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "written"), [(", * * * *", ", * * * *"), ("0 0 , * MON", "0 0 , * 1"), ("1,,2 * * * *", "1,2 * * * *")]
)
def test_empty_parts_of_a_list_are_skipped(text: str, written: str) -> None:
    assert str(parse_schedule(text)) == written
    assert parse_schedule(written) == parse_schedule(text)


def test_a_schedule_is_written_in_plain_numbers() -> None:
    assert str(parse_schedule("TZ=Europe/Berlin */30 9-11 ? JAN,mar MON-fri")) == (
        "TZ=Europe/Berlin 0,30 9,10,11 * 1,3 1,2,3,4,5"
    )


@given(st.text(alphabet="0123456789*?/-,LW#@ TZ=UCmonjan", max_size=24))
def test_any_text_is_a_schedule_or_an_invalid_schedule(text: str) -> None:
    try:
        parsed = parse_schedule(text)
    except InvalidSchedule:
        return
    assert parse_schedule(str(parsed)) == parsed


def test_starts_of_an_unbroken_schedule_are_a_minute_apart_whatever_the_clocks_do() -> None:
    schedule = parse_schedule("TZ=Europe/Berlin * * * * *")
    begin = at("2024-10-27T00:00")
    found = [schedule.latest(begin, begin + MINUTE * minute) for minute in range(180)]
    assert all(after and before and after - before == MINUTE for before, after in pairwise(found))
