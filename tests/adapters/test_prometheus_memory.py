"""The in-memory twin of Prometheus keeps the contract."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape, Source
from tests.contracts.measurements import MeasurementsContract, World

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
SOURCE = Source("http://prometheus:9090")
LOADS = (("a", "0.5"), ("b", "NaN"), ("c", "+Inf"))

RESULTS: dict[str, Reading] = {
    f'sum(contract_load{{service="{service}"}})': Reading(Shape.VECTOR, (Series((), value),))
    for service, value in LOADS
} | {
    'sum(contract_load{service="a"}) # comment': Reading(Shape.VECTOR, (Series((), "0.5"),)),
    "sum by (service) (contract_load)": Reading(
        Shape.VECTOR, tuple(Series((("service", service),), value) for service, value in LOADS)
    ),
    "contract_load": Reading(Shape.VECTOR, tuple(Series((("service", service),), value) for service, value in LOADS)),
    "contract_missing": Reading(Shape.VECTOR, ()),
    "1.5 + 1": Reading(Shape.SCALAR, (Series((), "2.5"),)),
    '"words"': Reading(Shape.OTHER, ()),
}


def evaluate(query: str, at: datetime) -> Reading | Failure:
    return RESULTS.get(query, Failure(UnknownCause.HTTP_ERROR, Blame.QUERY, f"parse error: {query}"))


class TestMemoryMeasurements(MeasurementsContract):
    @pytest.fixture
    def world(self) -> World:
        return World(MemoryMeasurements(evaluate), SOURCE, T0)


async def test_the_twin_remembers_what_it_was_asked_and_that_it_was_closed() -> None:
    twin = MemoryMeasurements(evaluate)
    await twin.ask(Question(SOURCE, "1.5 + 1"), T0, timedelta(seconds=1))
    await twin.close()
    assert twin.asked == [(Question(SOURCE, "1.5 + 1"), T0)]
    assert twin.closed
