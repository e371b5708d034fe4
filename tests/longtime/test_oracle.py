"""The oracle notices what it is there for: one violation of each kind, made by hand, and a service that does well."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.longtime.oracle import BUDGET_LEAST, Oracle, Windows
from tests.longtime.trace import DAY, HOUR, MILLISECOND, MINUTE, Nights, Plan, Rhythm

T0 = datetime(2026, 3, 6, tzinfo=UTC)
CYCLE = 5 * MINUTE
COOLDOWN = 15 * MINUTE
SECOND = timedelta(seconds=1)
NIGHTS = Nights(0, 20, 10 * HOUR, "UTC")


def plan(name: str = "web", **changes: object) -> Plan:
    known: dict[str, object] = {
        "name": name,
        "rhythm": Rhythm.SHOP,
        "cooldown": COOLDOWN,
        "created_at": T0 - DAY,
        "zone": "UTC",
    }
    return Plan(**(known | changes))  # type: ignore[arg-type]


def oracle_of(*plans: Plan, asleep: bool = False) -> Oracle:
    oracle = Oracle(CYCLE, T0, T0 + 2 * DAY)
    for each in plans or (plan(),):
        oracle.knows(each, 0, T0, asleep=asleep)
    oracle.started(T0)
    return oracle


def zero(oracle: Oracle, now: datetime, name: str = "web") -> None:
    oracle.commanded(name, up=False, again=False, now=now)


def up(oracle: Oracle, now: datetime, name: str = "web") -> None:
    oracle.commanded(name, up=True, again=False, now=now)


def kinds(oracle: Oracle) -> list[str]:
    return [violation.kind for violation in oracle.violations]


def test_a_service_that_sleeps_when_it_may_and_wakes_when_it_must_is_none_of_its_business() -> None:
    oracle = oracle_of()
    asked = T0 + HOUR
    oracle.requested("web", asked)
    up(oracle, asked)
    oracle.scaled("web", up=True, now=asked + SECOND)
    slept = asked + SECOND + COOLDOWN
    zero(oracle, slept)
    oracle.scaled("web", up=False, now=slept + SECOND)
    oracle.judged(0, slept + CYCLE)
    again = slept + HOUR
    oracle.requested("web", again)
    up(oracle, again)
    oracle.settled(again)
    oracle.scaled("web", up=True, now=again + SECOND)
    oracle.settled(again + SECOND)
    summary = oracle.summary(again + SECOND)
    assert summary.violations == ()
    assert (summary.requests, summary.wakes, summary.sleeps) == (2, 1, 1)
    # Asleep for an hour but for the second that the zero took, and half a second... of two hours and a quarter.
    assert summary.asleep == pytest.approx(HOUR / (again + SECOND - T0))


@pytest.mark.parametrize(
    ("too_early", "expected"), [(MILLISECOND, ["early sleep"]), (timedelta(), [])], ids=["a millisecond", "not"]
)
def test_a_sleep_before_the_end_of_a_cooldown_is_early(too_early: timedelta, expected: list[str]) -> None:
    after_request, after_first_sight, newborn, after_wake, after_ready = (oracle_of() for _ in range(5))
    asked = T0 + HOUR
    after_request.requested("web", asked)
    zero(after_request, asked + COOLDOWN - too_early)
    zero(after_first_sight, T0 + COOLDOWN - too_early)
    newborn = oracle_of(plan(created_at=T0 + HOUR))
    zero(newborn, T0 + HOUR + COOLDOWN - too_early)
    after_wake, after_ready = oracle_of(asleep=True), oracle_of()
    after_wake.scaled("web", up=True, now=asked)
    zero(after_wake, asked + COOLDOWN - too_early)
    after_ready.became_ready("web", asked)
    zero(after_ready, asked + COOLDOWN - too_early)
    for oracle in (after_request, after_first_sight, newborn, after_wake, after_ready):
        assert kinds(oracle) == expected


def test_a_sleep_outside_of_the_period_or_at_work_or_while_a_wake_is_owed_is_early() -> None:
    by_day = oracle_of(plan(nights=NIGHTS))
    zero(by_day, T0 + 12 * HOUR)
    working = oracle_of(plan(rhythm=Rhythm.BATCH))
    zero(working, T0 + 2 * HOUR)
    owed = oracle_of(plan(cooldown=MINUTE), asleep=True)
    owed.requested("web", T0 + HOUR)
    zero(owed, T0 + 2 * HOUR)
    counted = oracle_of(plan(counted=True, cooldown=MINUTE))
    counted.requested("web", T0 + HOUR)
    zero(counted, T0 + HOUR + 20 * MINUTE)
    for oracle in (by_day, working, owed, counted):
        assert kinds(oracle) == ["early sleep"]


def test_a_request_that_nobody_is_asked_for_is_lost() -> None:
    oracle = oracle_of(asleep=True)
    oracle.requested("web", T0 + HOUR)
    oracle.settled(T0 + HOUR)
    assert kinds(oracle) == ["lost wake"]


def test_a_wake_that_is_not_asked_for_again_in_time_is_lost() -> None:
    oracle, asked = oracle_of(asleep=True), T0 + HOUR
    oracle.requested("web", asked)
    up(oracle, asked)
    oracle.settled(asked)
    oracle.refused("web", asked + SECOND)
    oracle.settled(asked + 9 * SECOND)
    assert kinds(oracle) == []
    # 5 s after the refusal, and 3 s for an answer.
    oracle.settled(asked + 10 * SECOND)
    assert kinds(oracle) == ["lost wake"]


def test_a_request_while_a_zero_is_on_its_way_is_owed_a_wake() -> None:
    oracle, at = oracle_of(), T0 + HOUR
    zero(oracle, at)
    oracle.requested("web", at + SECOND)
    oracle.scaled("web", up=False, now=at + 2 * SECOND)
    oracle.settled(at + 2 * SECOND)
    assert kinds(oracle) == ["lost wake"]


def test_a_batch_and_the_end_of_a_period_are_owed_a_wake() -> None:
    working = oracle_of(plan(rhythm=Rhythm.BATCH), asleep=True)
    working.cycled(0, T0 + 2 * HOUR)
    working.settled(T0 + 2 * HOUR)
    by_day = oracle_of(plan(nights=NIGHTS), asleep=True)
    by_day.cycled(0, T0 + 6 * HOUR)
    by_day.settled(T0 + 6 * HOUR)
    assert kinds(working) == kinds(by_day) == ["lost wake"]


def test_a_request_that_waited_for_a_worker_is_owed_a_wake_unless_it_waited_too_long() -> None:
    soon, late = oracle_of(asleep=True), oracle_of(asleep=True)
    for oracle, away in ((soon, 10 * MINUTE), (late, 10 * MINUTE + MILLISECOND)):
        oracle.stopped()
        oracle.requested("web", T0 + HOUR)
        oracle.settled(T0 + HOUR)
        oracle.started(T0 + HOUR + away)
        oracle.settled(T0 + HOUR + away)
    assert kinds(soon) == ["lost wake"]
    assert kinds(late) == []


def test_of_several_requests_that_waited_for_a_worker_the_last_one_counts() -> None:
    oracle, back = oracle_of(asleep=True), T0 + HOUR + 15 * MINUTE
    oracle.stopped()
    oracle.requested("web", T0 + HOUR)
    oracle.requested("web", T0 + HOUR + 8 * MINUTE)
    oracle.started(back)
    up(oracle, back)
    oracle.settled(back + SECOND)
    assert kinds(oracle) == []
    oracle.settled(back + 4 * SECOND)
    assert kinds(oracle) == ["lost wake"]


def test_a_wake_that_nothing_asked_for_is_needless() -> None:
    oracle = oracle_of(asleep=True)
    up(oracle, T0 + HOUR)
    assert kinds(oracle) == ["needless wake"]


def test_an_idle_service_that_stays_up_for_more_than_two_cycles_never_sleeps() -> None:
    oracle = oracle_of()
    for cycle in range(3, 6):
        assert kinds(oracle) == []
        oracle.judged(0, T0 + cycle * CYCLE)
    assert kinds(oracle) == ["never sleeps"]


def test_an_idle_service_may_stay_up_while_the_budget_is_used_up() -> None:
    names = [f"s{number}" for number in range(BUDGET_LEAST)]
    oracle = oracle_of(plan(), *(plan(name) for name in names))
    for cycle in range(3, 6):
        now = T0 + cycle * CYCLE
        for name in names if cycle % 2 else ():
            zero(oracle, now, name)
        oracle.judged(0, now)
    assert "never sleeps" not in kinds(oracle)


def test_more_sleeps_than_the_budget_allows_are_too_many() -> None:
    names = [f"s{number}" for number in range(BUDGET_LEAST + 2)]
    oracle = oracle_of(*(plan(name) for name in names))
    for name in names:
        zero(oracle, T0 + HOUR, name)
    assert kinds(oracle) == ["budget"]


@pytest.mark.parametrize(
    ("zone", "local", "inside"),
    [
        # New York skips 02:00 to 03:00: 02:30 does not come, so nothing starts that night.
        ("America/New_York", (2026, 3, 8, 3, 30), False),
        ("America/New_York", (2026, 3, 7, 3, 30), True),
        ("America/New_York", (2026, 3, 9, 4, 29), True),
        ("America/New_York", (2026, 3, 9, 4, 30), False),
        ("America/New_York", (2026, 3, 9, 2, 29), False),
    ],
)
def test_windows_follow_the_wall_clock(zone: str, local: tuple[int, int, int, int, int], *, inside: bool) -> None:
    windows = Windows(Nights(30, 2, 2 * HOUR, zone), T0, T0 + 4 * DAY)
    assert windows.holds(datetime(*local, tzinfo=ZoneInfo(zone)).astimezone(UTC)) is inside
