"""The worker's small parts: alarms, the sleep budget, the schedule of cycles, the subscription."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.service import Direction, ServiceKey
from consumer.core.state import Ask, ServiceState, Sleep
from consumer.ports import Headers, Record
from consumer.worker.alarms import Alarms
from consumer.worker.budget import SleepBudget
from consumer.worker.partition import weight_of
from consumer.worker.schedule import next_cycle
from consumer.worker.settings import WorkerSettings

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
A, B = ServiceKey("shop", "a"), ServiceKey("shop", "b")


def test_alarms_ring_once_when_their_time_has_come_and_in_its_order() -> None:
    alarms = Alarms()
    alarms.set(A, T0 + 2 * SECOND)
    alarms.set(B, T0 + SECOND)
    assert list(alarms.ring(T0 + SECOND - timedelta(milliseconds=1))) == []
    assert list(alarms.ring(T0 + 2 * SECOND)) == [B, A]
    assert list(alarms.ring(T0 + 3 * SECOND)) == []


def test_only_the_last_alarm_of_a_service_counts() -> None:
    alarms = Alarms()
    alarms.set(A, T0)
    alarms.set(A, T0 + SECOND)
    alarms.set(A, T0 + SECOND)
    alarms.set(B, T0)
    alarms.set(B, None)
    assert list(alarms.ring(T0)) == []
    assert list(alarms.ring(T0 + SECOND)) == [A]


@pytest.mark.parametrize(("awake", "left"), [(0, 10), (200, 10), (220, 11), (1_000, 50)])
def test_the_budget_is_ten_or_a_twentieth_of_the_awake(awake: int, left: int) -> None:
    assert SleepBudget().left(awake, T0) == left


def test_a_sleep_counts_against_the_budget_for_ten_minutes() -> None:
    budget = SleepBudget()
    for _ in range(10):
        budget = budget.spend(T0)
    assert budget.left(0, T0 + timedelta(minutes=10) - timedelta(milliseconds=1)) == 0
    assert budget.left(0, T0 + timedelta(minutes=10)) == 10
    assert len(budget.spend(T0 + timedelta(minutes=10)).spent) == 1


def test_services_that_fell_asleep_in_the_span_still_count_as_awake() -> None:
    budget = SleepBudget()
    for _ in range(10):
        budget = budget.spend(T0)
    assert budget.left(390, T0) == 10


@given(
    st.integers(0, 10**9),
    st.integers(1, 600),
    st.integers(1, 50).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count))),
)
def test_a_cycle_comes_within_an_interval_and_at_the_partitions_phase(
    seconds: int, length: int, place: tuple[int, int]
) -> None:
    partition, partitions = place
    now, interval = datetime.fromtimestamp(seconds, UTC), timedelta(seconds=length)
    due = next_cycle(now, interval, partition=partition, partitions=partitions)
    assert now < due <= now + interval
    assert next_cycle(due, interval, partition=partition, partitions=partitions) == due + interval


def test_the_groups_name_changes_with_its_topics_and_its_rivals_share_its_stem() -> None:
    one, other = WorkerSettings().subscription(), WorkerSettings(prefix="x.").subscription()
    assert one.group.startswith("elasti.worker-")
    assert one.group.rpartition("-")[2] != other.group.rpartition("-")[2]
    assert one.rivals == "elasti.worker-"
    assert WorkerSettings(group="w").subscription().group.startswith("elasti.w-")


def test_delays_double_up_to_forty_times() -> None:
    settings = replace(WorkerSettings(), back_off=SECOND)
    assert [settings.delay(attempt) / SECOND for attempt in (0, 1, 2, 5, 6, 1_000)] == [1, 2, 4, 32, 40, 40]


def state(*sleeps: datetime, ask: Ask | None = None) -> ServiceState:
    return ServiceState(A, first_seen_at=T0, ask=ask, sleeps=tuple(Sleep(at) for at in sleeps))


@pytest.mark.parametrize(
    ("known", "spent"),
    [
        (state(), ()),
        (state(ask=Ask("c", 1, Direction.ZERO, 0, T0)), (T0,)),
        (state(ask=Ask("c", 1, Direction.UP, 1, T0)), ()),
        # It slept, and was woken since: a fleet that falls asleep again and again has no budget anew each time.
        (state(T0, ask=Ask("c", 2, Direction.UP, 1, T0 + SECOND)), (T0,)),
        # The zero was asked for, and then accepted: one sleep.
        (state(T0 + SECOND, ask=Ask("c", 1, Direction.ZERO, 0, T0)), (T0 + SECOND,)),
        # The last one was accepted, the next is under way.
        (state(T0, ask=Ask("c", 2, Direction.ZERO, 0, T0 + SECOND)), (T0, T0 + SECOND)),
    ],
)
def test_what_the_states_say_was_spent_counts_each_sleep_once(known: ServiceState, spent: tuple[datetime, ...]) -> None:
    assert SleepBudget.of([known]).spent == spent


@pytest.mark.parametrize(
    ("key", "value", "headers", "weight"),
    [
        (None, None, (), 0),
        (b"shop/web", b"{}", (), 10),
        (b"", b"", (("", b""),) * 3, 450),
        (None, b"{}", (("trace", b"0123456789"),), 167),
    ],
)
def test_a_record_is_as_heavy_as_its_value_its_key_and_what_python_keeps_of_its_headers(
    key: bytes | None, value: bytes | None, headers: Headers, weight: int
) -> None:
    record = Record("requests", 0, 0, key, value, T0, headers)
    assert weight_of([]) == 0
    assert weight_of([record, record]) == 2 * weight
