"""The request window: never too few, too many by one bucket at most, the same in any order, bounded."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.window import MOST_BUCKETS, Window

T0 = datetime(2024, 1, 15, 12, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)
MILLISECOND = timedelta(milliseconds=1)

Requests = list[tuple[int, datetime]]

lengths = st.integers(1, 7 * 86_400_000).map(lambda milliseconds: MILLISECOND * milliseconds)


@st.composite
def timelines(draw: st.DrawFn) -> tuple[timedelta, Requests, datetime]:
    """A window's length, requests within three lengths before now (many near its edges), and now."""
    length = draw(lengths)
    now = T0 + MILLISECOND * draw(st.integers(0, 86_400_000))
    span = length // MILLISECOND
    ages = st.one_of(st.integers(0, 3 * span), st.sampled_from([0, 1, span - 1, span, span + 1]))
    requests = draw(st.lists(st.tuples(st.integers(0, 5), ages), max_size=150))
    return length, [(count, now - MILLISECOND * age) for count, age in requests], now


def counted(length: timedelta, requests: Requests) -> Window:
    window = Window(length)
    for count, at in requests:
        window = window.add(count, at)
    return window


def exact(requests: Requests, first: datetime) -> int:
    return sum(count for count, at in requests if at >= first)


@given(timelines())
def test_no_request_inside_the_window_is_missed(timeline: tuple[timedelta, Requests, datetime]) -> None:
    length, requests, now = timeline
    assert counted(length, requests).total(now) >= exact(requests, now - length)


@given(timelines())
def test_a_request_counts_for_one_bucket_too_long_at_most(timeline: tuple[timedelta, Requests, datetime]) -> None:
    length, requests, now = timeline
    window = counted(length, requests)
    assert window.total(now) <= exact(requests, now - length - window.width)


@given(timelines(), st.randoms(use_true_random=False))
def test_the_order_of_requests_does_not_matter(
    timeline: tuple[timedelta, Requests, datetime], shuffler: Random
) -> None:
    length, requests, _ = timeline
    shuffled = list(requests)
    shuffler.shuffle(shuffled)
    assert counted(length, shuffled) == counted(length, requests)


@given(timelines())
def test_a_window_stays_small(timeline: tuple[timedelta, Requests, datetime]) -> None:
    length, requests, _ = timeline
    buckets = counted(length, requests).buckets
    assert len(buckets) <= MOST_BUCKETS
    assert [index for index, _ in buckets] == sorted({index for index, _ in buckets})
    assert all(count > 0 for _, count in buckets)


@given(timelines())
def test_a_request_up_to_one_bucket_ahead_of_now_hides_nothing(
    timeline: tuple[timedelta, Requests, datetime],
) -> None:
    length, requests, now = timeline
    window = counted(length, requests)
    ahead = window.add(1, now + window.width)
    assert ahead.total(now) >= exact(requests, now - length) + 1


def test_a_request_every_second_for_an_hour_keeps_the_bound_and_the_count() -> None:
    requests = [(1, T0 + timedelta(seconds=second)) for second in range(3_600)]
    window = counted(FIVE_MINUTES, requests)
    now = T0 + timedelta(seconds=3_599)
    assert len(window.buckets) <= MOST_BUCKETS
    # 301 lie in the window, its first instant included, and at most a bucket of 5.2 s before it.
    assert 301 <= window.total(now) <= 301 + 6


def test_a_request_at_the_windows_first_instant_counts_and_is_gone_a_bucket_later() -> None:
    window = Window(FIVE_MINUTES).add(3, T0)
    assert window.total(T0 + FIVE_MINUTES) == 3
    assert window.total(T0 + FIVE_MINUTES + window.width) == 0


def test_a_request_long_past_adds_nothing_to_a_newer_window() -> None:
    window = Window(FIVE_MINUTES).add(1, T0)
    assert window.add(7, T0 - timedelta(hours=1)) == window


def test_every_order_of_requests_around_the_bound_gives_the_same_window() -> None:
    width = Window(FIVE_MINUTES).width
    requests = [(1, T0), (2, T0 - width * 59), (4, T0 - width * 60), (8, T0 + width)]
    assert len({counted(FIVE_MINUTES, list(order)) for order in permutations(requests)}) == 1


def test_a_count_of_zero_changes_nothing() -> None:
    window = Window(FIVE_MINUTES).add(2, T0)
    assert window.add(0, T0 + timedelta(minutes=1)) == window


@pytest.mark.parametrize(
    ("watched", "full"), [(FIVE_MINUTES - MILLISECOND, False), (FIVE_MINUTES, True), (FIVE_MINUTES * 2, True)]
)
def test_a_window_is_full_once_it_was_watched_for_its_whole_length(watched: timedelta, full: bool) -> None:
    assert Window(FIVE_MINUTES, since=T0).full(T0 + watched) is full


def test_a_window_of_unknown_beginning_is_never_full() -> None:
    assert not Window(FIVE_MINUTES).add(1, T0).full(T0 + timedelta(days=365))


def test_requests_leave_the_beginning_as_it_is() -> None:
    assert Window(FIVE_MINUTES, since=T0).add(1, T0 + MILLISECOND).since == T0


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Window(FIVE_MINUTES).add(-1, T0)


@pytest.mark.parametrize("length", [timedelta(), -FIVE_MINUTES])
def test_a_window_must_have_a_length(length: timedelta) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        Window(length)
