"""A batched answer is exactly what the lone query would have given, on a real Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import Unknown
from consumer.core.readings import Failure, Question, Reading, Source
from consumer.ports import Measurements
from consumer.scalers.batcher import Batcher
from consumer.scalers.chunks import join
from consumer.scalers.promql import backed
from consumer.scalers.verdict import number, with_constant
from tests.live.prometheus_server import PrometheusServer
from tests.live.prometheus_shapes import SHAPES, fill

LIMIT = timedelta(seconds=30)


@dataclass(slots=True)
class Listening:
    """Passes every question on and remembers it."""

    to: Measurements
    heard: list[str] = field(default_factory=list)

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        self.heard.append(question.query)
        return await self.to.ask(question, at, limit)

    async def close(self) -> None:
        await self.to.close()


@dataclass(frozen=True, slots=True)
class Filled:
    """A Prometheus with the series of the shapes, and a time at which they were all there."""

    measurements: Listening
    source: Source
    at: datetime

    async def alone(self, queries: Sequence[str]) -> list[object]:
        return [
            comparable(await self.measurements.ask(Question(self.source, query), self.at, LIMIT)) for query in queries
        ]

    async def together(self, queries: Sequence[str], batcher: Batcher) -> list[object]:
        deadline = asyncio.get_running_loop().time() + LIMIT.total_seconds()
        async with batcher.round(self.at, deadline), asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(batcher.ask(Question(self.source, query), self.at)) for query in queries]
        return [comparable(answer.result()) for answer in answers]


def comparable(outcome: Reading | Failure) -> object:
    """Series in any order; the words of an error name a series of the server's choice."""
    if isinstance(outcome, Failure):
        return (outcome.cause, outcome.blame)
    return (outcome.shape, sorted(outcome.series, key=str), outcome.partial)


@pytest.fixture
async def filled(prometheus: PrometheusServer) -> AsyncIterator[Filled]:
    fill(prometheus.exporter)
    await prometheus.until("count(shape_load)", lambda values: values == [6.0])
    for service in ("a", "b"):
        prometheus.exporter.set("shape_total", 40.0, service=service)
    await prometheus.until("rate(shape_total[5s])", lambda values: len(values) == 2 and min(values) > 0)
    measurements = Listening(PrometheusMeasurements())
    yield Filled(measurements, Source(prometheus.url), datetime.now(UTC).replace(microsecond=0))
    await measurements.close()


async def test_every_shape_gives_the_same_in_company_as_alone(filled: Filled) -> None:
    alone = await filled.alone(SHAPES)
    filled.measurements.heard.clear()
    together = await filled.together(SHAPES, Batcher(filled.measurements))
    assert dict(zip(SHAPES, together, strict=True)) == dict(zip(SHAPES, alone, strict=True))


async def test_shapes_that_do_not_fail_share_one_request(filled: Filled) -> None:
    alone = await filled.alone(SHAPES)
    batcher = Batcher(filled.measurements)
    # Those that fail are found in the first sweep, and from then on they travel alone.
    await filled.together(SHAPES, batcher)
    filled.measurements.heard.clear()
    together = await filled.together(SHAPES, batcher)
    assert together == alone
    shared = max(filled.measurements.heard, key=len)
    assert shared.count("label_replace") >= 60
    alone_again = [query for query in SHAPES if query in filled.measurements.heard]
    assert len(alone_again) < len(SHAPES) / 4


async def test_series_that_carry_the_batchers_own_label_are_told_apart(
    filled: Filled, prometheus: PrometheusServer
) -> None:
    queries = ("collide", "sum(collide)", "count(collide)", "shape_load", "1")
    label = join(queries).label
    prometheus.exporter.set("collide", 1.0, **{label: "0"})
    prometheus.exporter.set("collide", 2.0, **{label: "3"})
    await prometheus.until("count(collide)", lambda values: values == [2.0])
    now = Filled(filled.measurements, filled.source, datetime.now(UTC))
    assert await now.together(queries, Batcher(filled.measurements)) == await now.alone(queries)


BACKED = (
    "sum(shape_load) or vector(0)",
    "sum(shape_missing) or vector(0)",
    "(sum(shape_missing)) or (vector((-7.5)))",
    "shape_load or vector(1)",
    'shape_load{service="a"} or vector(1)',
    "absent(shape_missing) or vector(3)",
    "-sum(shape_load{service=~`a|\\d`} > 0x01) ^ 2 or vector(1e3) # note",
    'sum by (service) (shape_load{service="é☃"} offset 1s) or vector(0)',
    "max_over_time(sum(shape_load{zone!='x'})[5s:1s]) * 1e-20 or vector(1e-20)",
    "sum(shape_load @ 100) or vector(1e21)",
    'label_replace(sum(shape_load), "zone", "$1\\\\", "zone", "(.*)") or vector(0)',
    "quantile without (zone) (0.5, shape_load) - on(service) group_right() shape_twin or vector(0)",
    "shape_load / on() shape_twin or vector(0)",
)


@pytest.mark.parametrize("query", BACKED)
async def test_a_constant_behind_a_metric_is_added_as_the_server_adds_it(filled: Filled, query: str) -> None:
    split = backed(query)
    assert split is not None
    whole = await filled.measurements.ask(Question(filled.source, query), filled.at, LIMIT)
    metric = await filled.measurements.ask(Question(filled.source, split.metric), filled.at, LIMIT)
    told, known = number(with_constant(metric, split.constant), filled.at), number(whole, filled.at)
    if isinstance(known, Unknown):
        assert isinstance(told, Unknown)
        assert told.cause is known.cause
    else:
        assert told == known
