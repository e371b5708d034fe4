"""The lies about Prometheus: what becomes of an answer."""

import orjson
import pytest

from tests.chaos.deeds import Lie
from tests.chaos.liar import bent


def answer(*values: str) -> bytes:
    series = [{"metric": {"id": str(number)}, "value": [1.5, value]} for number, value in enumerate(values)]
    return orjson.dumps({"status": "success", "data": {"resultType": "vector", "result": series}})


@pytest.mark.parametrize(
    ("lie", "values"),
    [
        (Lie.IDLE, ["0.0", "1.0", "0"]),
        (Lie.BUSY, ["9", "1.0", "40.0"]),
        (Lie.NAN, ["NaN", "NaN", "NaN"]),
        (Lie.EMPTY, []),
        (Lie.PARTIAL, ["0", "40"]),
    ],
)
def test_values_are_bent(lie: Lie, values: list[str]) -> None:
    told = orjson.loads(bent(answer("0", "1", "40"), lie))
    assert [series["value"][1] for series in told["data"]["result"]] == values
    assert "warnings" not in told


def test_a_partial_answer_can_come_with_a_warning() -> None:
    told = orjson.loads(bent(answer("0", "1"), Lie.WARNED))
    assert len(told["data"]["result"]) == 1
    assert told["warnings"]


def test_what_is_no_vector_stays_as_it_is() -> None:
    error = orjson.dumps({"status": "error", "error": "parse error"})
    assert orjson.loads(bent(error, Lie.NAN)) == orjson.loads(error)
