"""What every implementation of `Measurements` must do: the twin and a real Prometheus run the same tests."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Shape, Source
from consumer.ports import Measurements
from consumer.scalers.chunks import attribute, join

LIMIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class World:
    """Measurements over `contract_load{service="a"} 0.5`, `{service="b"} NaN` and `{service="c"} +Inf`."""

    measurements: Measurements
    source: Source
    at: datetime

    async def ask(self, query: str) -> Reading | Failure:
        return await self.measurements.ask(Question(self.source, query), self.at, LIMIT)


def values(outcome: Reading | Failure) -> list[str | None]:
    assert isinstance(outcome, Reading), outcome
    return sorted((series.value for series in outcome.series), key=str)


class MeasurementsContract(ABC):
    """One server, the same series, the same answers."""

    @pytest.fixture
    @abstractmethod
    def world(self) -> AsyncIterator[World] | World:
        """The series as `World` describes them."""

    async def test_one_series_is_told_with_the_servers_own_text(self, world: World) -> None:
        outcome = await world.ask('sum(contract_load{service="a"})')
        assert isinstance(outcome, Reading)
        assert (outcome.shape, outcome.series[0].labels, values(outcome)) == (Shape.VECTOR, (), ["0.5"])

    async def test_not_a_number_and_infinity_are_told_as_they_are(self, world: World) -> None:
        assert values(await world.ask('sum(contract_load{service="b"})')) == ["NaN"]
        assert values(await world.ask('sum(contract_load{service="c"})')) == ["+Inf"]

    async def test_each_of_several_series_has_its_labels(self, world: World) -> None:
        outcome = await world.ask("sum by (service) (contract_load)")
        assert isinstance(outcome, Reading)
        assert {(dict(series.labels)["service"], series.value) for series in outcome.series} == {
            ("a", "0.5"),
            ("b", "NaN"),
            ("c", "+Inf"),
        }

    async def test_nothing_found_is_a_reading_without_series(self, world: World) -> None:
        assert await world.ask("contract_missing") == Reading(Shape.VECTOR, ())

    async def test_a_scalar_is_told_as_one(self, world: World) -> None:
        outcome = await world.ask("1.5 + 1")
        assert isinstance(outcome, Reading)
        assert (outcome.shape, values(outcome)) == (Shape.SCALAR, ["2.5"])

    async def test_a_text_is_no_number(self, world: World) -> None:
        outcome = await world.ask('"words"')
        assert isinstance(outcome, Reading)
        assert outcome.shape is Shape.OTHER

    async def test_a_query_that_can_not_be_read_is_its_own_fault(self, world: World) -> None:
        outcome = await world.ask("sum(")
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.blame) == (UnknownCause.HTTP_ERROR, Blame.QUERY)

    async def test_a_joined_query_is_taken_apart_into_what_each_alone_would_give(self, world: World) -> None:
        queries = (
            'sum(contract_load{service="a"}) # comment',
            "contract_missing",
            "1.5 + 1",
            "sum by (service) (contract_load)",
        )
        joined = join(queries)
        outcome = await world.ask(joined.text)
        assert isinstance(outcome, Reading)
        apart = attribute(outcome, queries, joined.label)
        assert apart is not None
        alone = [await world.ask(query) for query in queries]
        assert [_sorted(reading) for reading in apart] == [_sorted(reading) for reading in alone]

    async def test_a_joined_query_fails_as_a_whole_when_one_of_its_parts_does(self, world: World) -> None:
        outcome = await world.ask(join(("contract_load", '"words"')).text)
        assert isinstance(outcome, Failure)
        assert outcome.blame is Blame.QUERY


def _sorted(outcome: Reading | Failure) -> Reading | Failure:
    if isinstance(outcome, Failure):
        return outcome
    return Reading(outcome.shape, tuple(sorted(outcome.series, key=str)), outcome.partial)
