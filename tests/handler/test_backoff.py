"""Retries wait longer each time, by chance within bounds, and as long as a server asks."""

from datetime import timedelta

import pytest

from consumer.handler.backoff import Backoff
from tests.handler.samples import MS, SECOND

BACKOFF = Backoff(first=100 * MS, longest=5 * SECOND, patience=60 * SECOND)


@pytest.mark.parametrize(
    ("attempt", "least"),
    [(1, 50 * MS), (2, 100 * MS), (3, 200 * MS), (6, 1600 * MS), (7, 2500 * MS), (1000, 2500 * MS)],
)
def test_the_wait_doubles_up_to_its_longest_and_half_of_it_is_chance(attempt: int, least: timedelta) -> None:
    assert BACKOFF.delay(attempt, 0.0) == least
    assert least < BACKOFF.delay(attempt, 0.999) < 2 * least


def test_what_a_server_asks_for_is_the_least_and_has_a_limit() -> None:
    assert BACKOFF.delay(1, 0.0, 7 * SECOND) == 7 * SECOND + 25 * MS
    assert BACKOFF.delay(1, 0.0, timedelta(hours=1)) == 60 * SECOND + 25 * MS
