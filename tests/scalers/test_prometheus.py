"""The `prometheus` trigger: idle below, busy from the threshold on, and blind when there is doubt."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import Answer, Evidence, No, Unknown, UnknownCause, Yes
from consumer.core.policy import DEFAULT_COOLDOWN, Trigger
from consumer.core.readings import Reading, Series, Shape
from consumer.core.service import ServiceKey
from consumer.scalers import Assignment, Defaults, Scaler
from consumer.scalers.batcher import Batcher
from consumer.scalers.prometheus import PROMETHEUS, health_query
from tests.scalers.bed import BROKEN, T0, World, asking, one, queries, trigger

HEALTH = 'min_over_time((max(up{container="prometheus"}) or vector(0))[900s:])'
MASKED = "sum(load) or vector(0)"
METRIC = "sum(load)"
CONSTANT = "the query's constant, its metric has no series"
HISTORY = "count(count_over_time((sum(load))[1d:5m]) or count_over_time((sum(load))[1h:15s]))"


def scaler(twin: MemoryMeasurements, of: Trigger, cooldown: timedelta = DEFAULT_COOLDOWN) -> tuple[Scaler, Batcher]:
    batcher = Batcher(twin)
    made = PROMETHEUS.create(Assignment(ServiceKey("shop", "web"), of, cooldown, Defaults(), batcher, lambda: None))
    return made, batcher


async def judged(made: tuple[Scaler, Batcher], now: datetime = T0) -> tuple[Answer, Answer, Answer]:
    judge, batcher = made
    async with batcher.round(now, asyncio.get_running_loop().time() + 30):
        return (
            await judge.is_healthy(now),
            await judge.should_scale_to_zero(now),
            await judge.should_scale_from_zero(now),
        )


async def test_everything_that_a_trigger_wants_to_know_is_one_request() -> None:
    twin = World({HEALTH: one("1"), METRIC: one("0.2")}).twin()
    healthy, to_zero, from_zero = await judged(scaler(twin, asking(MASKED)))
    assert healthy == Yes(Evidence(1.0, 1.0, "up"), T0)
    assert to_zero == Yes(Evidence(0.2, 1.0), T0)
    assert from_zero == No(Evidence(0.2, 1.0), T0)
    assert len(twin.asked) == 1


async def test_a_busy_service_is_not_idle() -> None:
    _, to_zero, from_zero = await judged(scaler(World({"load": one("1")}).twin(), asking("load")))
    assert to_zero == No(Evidence(1.0, 1.0), T0)
    assert from_zero == Yes(Evidence(1.0, 1.0), T0)


@pytest.mark.parametrize(
    ("up", "answer"),
    [
        (one("1"), Yes(Evidence(1.0, 1.0, "up"), T0)),
        (one("0"), No(Evidence(0.0, 1.0, "up"), T0)),
        (one("0.99"), No(Evidence(0.99, 1.0, "up"), T0)),
        (one("2"), Unknown(UnknownCause.UNHEALTHY, T0, "up is 2; expected 1")),
        (one("NaN"), Unknown(UnknownCause.NAN, T0, "the query gives NaN, as 0/0 does")),
    ],
)
async def test_health_is_exactly_one(up: Reading, answer: Answer) -> None:
    healthy, to_zero, _ = await judged(scaler(World({HEALTH: up, "load": one("0")}).twin(), asking("load")))
    assert healthy == answer
    # Health is an answer of its own: what the metric says is told all the same.
    assert isinstance(to_zero, Yes)


@pytest.mark.parametrize(("seconds", "window"), [(900, "900s"), (0.2, "1s"), (30.5, "31s"), (604_800, "604800s")])
def test_the_health_query_looks_back_over_the_cooldown_in_whole_seconds(seconds: float, window: str) -> None:
    assert health_query('job="x"', timedelta(seconds=seconds)) == (
        f'min_over_time((max(up{{job="x"}}) or vector(0))[{window}:])'
    )


async def test_a_broken_query_is_unknown_both_ways_and_health_is_not_touched() -> None:
    twin = World({HEALTH: one("1"), "load": BROKEN}).twin()
    healthy, to_zero, from_zero = await judged(scaler(twin, asking("load")))
    assert isinstance(healthy, Yes)
    assert to_zero == from_zero == Unknown(UnknownCause.HTTP_ERROR, T0, BROKEN.detail)


async def test_a_metric_that_was_never_there_lets_its_constant_speak() -> None:
    twin = World().twin()
    _, to_zero, from_zero = await judged(scaler(twin, asking(MASKED)))
    assert to_zero == Yes(Evidence(0.0, 1.0, CONSTANT), T0)
    assert isinstance(from_zero, No)
    assert queries(twin)[-1] == HISTORY


async def test_a_metric_that_vanished_within_a_day_is_blindness_not_idleness() -> None:
    world = World({HISTORY: one("1")})
    made = scaler(world.twin(), asking(MASKED))
    _, to_zero, from_zero = await judged(made)
    told = "sum(load) had series in the last day, now it has none"
    vanished = Unknown(UnknownCause.METRIC_VANISHED, T0, told)
    assert to_zero == from_zero == vanished


async def test_a_constant_that_says_busy_is_believed_since_up_is_never_stopped() -> None:
    busy = "sum(load) or vector(7)"
    world = World({HISTORY: one("1")})
    _, to_zero, from_zero = await judged(scaler(world.twin(), asking(busy)))
    assert isinstance(to_zero, No)
    assert from_zero == Yes(Evidence(7.0, 1.0, CONSTANT), T0)


async def test_a_metric_that_vanishes_under_our_eyes_is_remembered_without_asking_for_its_history() -> None:
    world = World({METRIC: one("0")})
    twin = world.twin()
    made = scaler(twin, asking(MASKED))
    assert isinstance((await judged(made))[1], Yes)
    del world.results[METRIC]
    causes = await looked_at(made, [timedelta(seconds=30), timedelta(minutes=5, seconds=30)])
    assert causes == [UnknownCause.METRIC_VANISHED] * 2
    assert HISTORY not in queries(twin)
    world.results[METRIC] = one("0.1")
    assert await looked_at(made, [timedelta(minutes=6)]) == [None]


async def looked_at(made: tuple[Scaler, Batcher], after: Sequence[timedelta]) -> list[UnknownCause | None]:
    answers = [(await judged(made, T0 + each))[1] for each in after]
    return [answer.cause if isinstance(answer, Unknown) else None for answer in answers]


async def test_while_the_history_says_that_it_was_there_it_is_asked_again_each_hour() -> None:
    world = World({HISTORY: one("1")})
    twin = world.twin()
    made = scaler(twin, asking(MASKED))
    steps = [timedelta(minutes=5 * number) for number in range(13)]
    assert await looked_at(made, steps) == [UnknownCause.METRIC_VANISHED] * 13
    assert queries(twin).count(HISTORY) == 1
    # A day has passed since it was there: its constant speaks again.
    del world.results[HISTORY]
    assert await looked_at(made, [steps[-1] + timedelta(milliseconds=1)]) == [None]
    assert queries(twin).count(HISTORY) == 2


async def test_a_day_after_we_saw_it_last_the_history_has_the_word() -> None:
    world = World({METRIC: one("0.1")})
    made = scaler(world.twin(), asking(MASKED))
    assert await looked_at(made, [timedelta()]) == [None]
    del world.results[METRIC]
    steps = [timedelta(minutes=5 * number) for number in range(1, 289)]
    assert await looked_at(made, steps) == [UnknownCause.METRIC_VANISHED] * 288
    assert steps[-1] == timedelta(days=1)
    assert await looked_at(made, [timedelta(days=1, milliseconds=1)]) == [None]


async def test_after_a_gap_in_our_own_looking_the_history_is_asked_for_again() -> None:
    world = World()
    twin = world.twin()
    made = scaler(twin, asking(MASKED))
    steps = [timedelta(minutes=5 * number) for number in range(4)]
    assert await looked_at(made, steps) == [None] * 4
    assert queries(twin).count(HISTORY) == 1
    assert await looked_at(made, [steps[-1] + timedelta(minutes=5, milliseconds=1)]) == [None]
    assert queries(twin).count(HISTORY) == 2


@pytest.mark.parametrize("broken", [METRIC, HISTORY])
async def test_not_knowing_whether_the_metric_is_there_is_blindness(broken: str) -> None:
    world = World({broken: BROKEN})
    _, to_zero, _ = await judged(scaler(world.twin(), asking(MASKED)))
    assert to_zero == Unknown(UnknownCause.HTTP_ERROR, T0, BROKEN.detail)


async def test_each_masked_metric_of_a_query_is_looked_at() -> None:
    both = "(sum(a) or vector(0)) + (sum(b) or vector(0))"
    history = "count(count_over_time((sum(b))[1d:5m]) or count_over_time((sum(b))[1h:15s]))"
    world = World({both: one("0"), "count(sum(a))": one("1"), history: one("1")})
    _, to_zero, _ = await judged(scaler(world.twin(), asking(both)))
    assert isinstance(to_zero, Unknown)
    assert to_zero.detail.startswith("sum(b) had series")


async def test_a_scaler_can_be_asked_outside_of_a_sweep() -> None:
    judge, _ = scaler(World({"load": one("0")}).twin(), asking("load"))
    assert isinstance(await judge.should_scale_to_zero(T0), Yes)
    await judge.close()


def test_the_check_says_nothing_of_a_good_trigger_and_all_of_a_bad_one() -> None:
    assert PROMETHEUS.check(asking("load"), Defaults()) == ()
    assert [field for field, _ in PROMETHEUS.check(trigger(query="load"), Defaults())] == [
        "metadata.serverAddress",
        "metadata.threshold",
    ]
    assert PROMETHEUS.window(asking("load")) is None


@pytest.mark.parametrize(
    ("metric", "cause"),
    [
        (Reading(Shape.VECTOR, (Series((("__name__", "load"),), "0.1"),)), None),
        # The constant comes beside a series that has labels, so the query gives two.
        (one("0.1", pod="x"), UnknownCause.MANY_SERIES),
        (Reading(Shape.VECTOR, (), ("a store is down",)), UnknownCause.PARTIAL),
    ],
)
async def test_a_constant_is_added_to_the_metric_as_the_server_would(
    metric: Reading, cause: UnknownCause | None
) -> None:
    _, to_zero, _ = await judged(scaler(World({"load": metric}).twin(), asking("load or vector(0)")))
    assert (to_zero.cause if isinstance(to_zero, Unknown) else None) is cause


async def test_a_metric_that_came_and_went_between_two_silences_is_remembered() -> None:
    world = World()
    made = scaler(world.twin(), asking(MASKED))
    assert await looked_at(made, [timedelta()]) == [None]
    world.results[METRIC] = one("9")
    assert await looked_at(made, [timedelta(minutes=1)]) == [None]
    del world.results[METRIC]
    assert await looked_at(made, [timedelta(minutes=2)]) == [UnknownCause.METRIC_VANISHED]
