"""Broker time: learned from append times, sure within a second, never shifted by a worse lesson."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.clock import BrokerClock, ManualClock
from consumer.ports import Moment

SECOND = timedelta(seconds=1)


def lesson(clock: BrokerClock, ahead: timedelta, took: timedelta = timedelta(milliseconds=10)) -> None:
    """Let a broker whose clock is `ahead` of this one append a record half-way through."""
    sent = clock.read()
    received = Moment(sent.now + took, sent.sure)
    clock.learn(sent.now + took / 2 + ahead, sent, received)


def off(clock: BrokerClock) -> timedelta:
    return clock.read().now - datetime.now(UTC)


def test_nothing_is_sure_before_the_first_lesson() -> None:
    clock = BrokerClock()
    assert not clock.read().sure
    assert abs(off(clock)) < SECOND


def test_a_lesson_sets_the_clock() -> None:
    clock = BrokerClock()
    lesson(clock, timedelta(hours=1))
    assert clock.read().sure
    assert abs(off(clock) - timedelta(hours=1)) < SECOND


def test_a_slow_lesson_is_not_sure() -> None:
    clock = BrokerClock()
    lesson(clock, timedelta(), took=timedelta(seconds=3))
    assert not clock.read().sure


def test_a_worse_lesson_that_agrees_changes_nothing() -> None:
    clock = BrokerClock()
    lesson(clock, timedelta(seconds=60))
    lesson(clock, timedelta(milliseconds=400), took=timedelta(seconds=1))
    assert clock.read().sure
    assert abs(off(clock) - timedelta(seconds=60)) < timedelta(milliseconds=300)


def test_a_lesson_that_contradicts_is_believed() -> None:
    clock = BrokerClock()
    lesson(clock, timedelta(seconds=60))
    lesson(clock, timedelta(seconds=30), took=timedelta(milliseconds=100))
    assert abs(off(clock) - timedelta(seconds=90)) < SECOND


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_anew_says_when_by_the_later_of_its_readings(hours: int) -> None:
    clock = BrokerClock()
    lesson(clock, timedelta(seconds=60))
    assert clock.read().set_at is None
    before = clock.read().now
    lesson(clock, timedelta(hours=hours))
    found = clock.read()
    assert found.set_at is not None
    assert abs(found.set_at - max(before, found.now)) < SECOND
    assert not found.sure_over(SECOND)


def test_clocks_of_brokers_that_differ_by_seconds_are_none_set_anew() -> None:
    clock = BrokerClock()
    for ahead in (60, 4, -4, 4):
        lesson(clock, timedelta(seconds=ahead))
    assert clock.read().set_at is None


def test_a_moment_is_sure_over_a_span_that_began_after_the_clock_was_set() -> None:
    now = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    assert Moment(now, sure=True).sure_over(timedelta(days=1))
    assert Moment(now, sure=True, set_at=now - quarter).sure_over(quarter)
    assert not Moment(now, sure=True, set_at=now - quarter + timedelta(milliseconds=1)).sure_over(quarter)
    assert not Moment(now, sure=False, set_at=now - timedelta(days=1)).sure_over(quarter)


def test_a_lesson_that_ends_before_it_begins_is_ignored() -> None:
    clock = BrokerClock()
    now = clock.read()
    clock.learn(now.now, now, Moment(now.now - SECOND, sure=False))
    assert not clock.read().sure


def test_moments_are_whole_milliseconds() -> None:
    clock = BrokerClock()
    assert clock.read().now.microsecond % 1000 == 0


async def test_the_brokers_clock_sleeps_in_real_time() -> None:
    await BrokerClock().sleep(timedelta(milliseconds=1))


async def test_a_manual_clock_wakes_sleepers_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds * SECOND)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3, 1, 0, 2):
            tasks.create_task(sleeper(seconds))
        cancelled = tasks.create_task(sleeper(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert woken == [0]
        clock.advance(2 * SECOND)
        await asyncio.sleep(0)
        assert woken == [0, 1, 2]
        clock.advance(SECOND)
    assert woken == [0, 1, 2, 3]
    assert clock.read() == Moment(datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC), sure=True)
