"""Wakes are followed from their event to the first ready replica."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.insight.journeys import Journeys, Spread, Stage, spread
from schemas.parts import KnownTarget
from schemas.scale_result import Phase, ResultCause, ScaleResult

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
WEB = KnownTarget(api_version="apps/v1", kind="Deployment", name="web", uid="u1", generation=2)


def ms(count: int) -> timedelta:
    return timedelta(milliseconds=count)


def result(phase: Phase, after: int, *, replicas: int = 1, command: str | None = "c1") -> ScaleResult:
    return ScaleResult(
        cluster="default",
        id=f"{command}:{phase}:{after}",
        command_id=command,
        namespace="shop",
        service="web",
        target=WEB,
        phase=phase,
        replicas=replicas,
        ready_replicas=1 if phase is Phase.READY else 0,
        cause=ResultCause.OBSERVED if command is None else ResultCause.COMMAND,
        triggered_at=None if command is None else T0,
        decided_at=None if command is None else T0 + ms(5),
        at=T0 + ms(after),
    )


def test_a_wake_is_followed_from_its_event_to_ready() -> None:
    journeys = Journeys()
    journeys.add(result(Phase.ACCEPTED, 12))
    moved = journeys.add(result(Phase.READY, 512, command=None))
    assert moved is not None
    assert moved.stages() == {
        Stage.DECIDED: ms(5),
        Stage.ACCEPTED: ms(7),
        Stage.READY: ms(500),
        Stage.TOTAL: ms(512),
    }
    assert (journeys.wakes, journeys.sleeps) == (1, 0)


def test_a_wake_that_is_not_ready_yet_counts_as_a_wake_without_a_total() -> None:
    journeys = Journeys()
    journeys.add(result(Phase.ACCEPTED, 12))
    assert journeys.wakes == 1
    assert journeys.spreads() == {}


def test_the_same_result_twice_counts_once() -> None:
    journeys = Journeys()
    asleep = result(Phase.ACCEPTED, 12, replicas=0)
    journeys.add(asleep)
    journeys.add(asleep)
    assert journeys.sleeps == 1


def test_ready_without_a_wake_of_ours_is_nobodys_journey() -> None:
    journeys = Journeys()
    assert journeys.add(result(Phase.READY, 512, command=None)) is None
    assert journeys.wakes == 0


def test_a_sleep_ends_the_wake_before_it() -> None:
    journeys = Journeys()
    journeys.add(result(Phase.ACCEPTED, 12))
    journeys.add(result(Phase.ACCEPTED, 900, replicas=0, command="c2"))
    assert journeys.add(result(Phase.READY, 950, command=None)) is None


@pytest.mark.parametrize(
    ("count", "p50", "p99"),
    [(1, 1, 1), (2, 1, 2), (10, 5, 10), (100, 50, 99), (101, 51, 100)],
)
def test_percentiles_are_by_nearest_rank(count: int, p50: int, p99: int) -> None:
    lengths = [ms(value) for value in range(count, 0, -1)]
    assert spread(lengths) == Spread(count, ms(p50), ms(p99))


def test_the_spread_of_nothing_is_unknown() -> None:
    assert spread([]) is None
