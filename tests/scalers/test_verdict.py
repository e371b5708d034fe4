"""A reading is a number, or it is unknown for a reason; nothing lies between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.answers import Evidence, No, Unknown, UnknownCause, Yes
from consumer.core.readings import Blame, Failure, Reading, Series, Shape
from consumer.scalers.verdict import Measured, below, number, reached
from tests.scalers.bed import NOTHING, T0, one, scalar


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (one("NaN"), UnknownCause.NAN),
        (scalar("NaN"), UnknownCause.NAN),
        (one("+Inf"), UnknownCause.INFINITE),
        (one("-Inf"), UnknownCause.INFINITE),
        (one("1e999"), UnknownCause.INFINITE),
        (NOTHING, UnknownCause.NO_SERIES),
        (Reading(Shape.VECTOR, one("1").series + one("2", pod="x").series), UnknownCause.MANY_SERIES),
        (one("word"), UnknownCause.NOT_NUMERIC),
        (one(""), UnknownCause.NOT_NUMERIC),
        (Reading(Shape.VECTOR, (Series((), None),)), UnknownCause.NOT_NUMERIC),
        (Reading(Shape.OTHER, ()), UnknownCause.NOT_NUMERIC),
        (Reading(Shape.VECTOR, one("1").series, ("a store is down",)), UnknownCause.PARTIAL),
        (Reading(Shape.VECTOR, (), ("a store is down",)), UnknownCause.PARTIAL),
        *((Failure(cause, Blame.SERVER, "why"), cause) for cause in (UnknownCause.TIMEOUT, UnknownCause.HTTP_ERROR)),
    ],
)
def test_what_is_not_one_finite_number_is_unknown_with_its_cause(
    outcome: Reading | Failure, cause: UnknownCause
) -> None:
    unknown = number(outcome, T0)
    assert isinstance(unknown, Unknown)
    assert (unknown.cause, unknown.at) == (cause, T0)
    assert unknown.detail
    assert below(unknown, 1.0, T0) == reached(unknown, 1.0, T0) == unknown


def test_too_many_series_are_named_but_not_all_of_them() -> None:
    series = tuple(one("1", pod=f"p{index}").series[0] for index in range(9))
    unknown = number(Reading(Shape.VECTOR, series), T0)
    assert isinstance(unknown, Unknown)
    assert unknown.detail.startswith('the query gives 9 series ({pod="p0"}, {pod="p1"}, {pod="p2"}, …)')


@pytest.mark.parametrize("text", ["0", "-1", "0.5", "1e-7", "1e+21", "-0"])
def test_every_finite_number_is_one_minus_one_included(text: str) -> None:
    assert number(one(text), T0) == number(scalar(text), T0) == Measured(float(text))


@pytest.mark.parametrize(("value", "idle"), [(0.4999, True), (0.5, False), (0.5001, False)])
def test_idle_is_strictly_below_the_threshold_and_the_threshold_itself_is_busy(value: float, idle: bool) -> None:
    evidence = Evidence(value, 0.5)
    assert below(Measured(value), 0.5, T0) == (Yes(evidence, T0) if idle else No(evidence, T0))
    assert reached(Measured(value), 0.5, T0) == (No(evidence, T0) if idle else Yes(evidence, T0))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_measured_service_is_either_idle_or_busy(value: float, threshold: float) -> None:
    answers = {type(below(Measured(value), threshold, T0)), type(reached(Measured(value), threshold, T0))}
    assert answers == {Yes, No}
