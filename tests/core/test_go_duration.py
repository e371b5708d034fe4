"""Go durations against the answers of Go 1.26's `time.ParseDuration`: `durations` in `tests/golden/cron.json`."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.schedule import InvalidDuration, parse_go_duration

GOLDEN: list[tuple[str, int | None]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "cron.json").read_text(encoding="utf-8")
)["durations"]


@pytest.mark.parametrize(("text", "nanoseconds"), GOLDEN)
def test_durations_are_those_of_go(text: str, nanoseconds: int | None) -> None:
    if nanoseconds is None:
        with pytest.raises(InvalidDuration, match="; write "):
            parse_go_duration(text)
    else:
        assert parse_go_duration(text) == timedelta(microseconds=-(-nanoseconds // 1_000))


@pytest.mark.parametrize("text", ["9" * 5_000 + "h", "-" + "9" * 5_000 + "ns"])
def test_a_number_of_thousands_of_digits_is_refused_like_any_other(text: str) -> None:
    with pytest.raises(InvalidDuration, match="longer than 292 years"):
        parse_go_duration(text)


def test_a_refusal_says_what_is_wrong_and_what_to_write() -> None:
    with pytest.raises(InvalidDuration) as refusal:
        parse_go_duration("1d")
    assert str(refusal.value) == (
        'duration "1d": "d" is not a unit (ns, us, ms, s, m, h); write a number with a unit, like "90m" or "1h30m"'
    )


@given(st.lists(st.integers(1, 59), min_size=1, max_size=5), st.sampled_from(["ms", "s", "m", "h"]))
def test_the_parts_of_a_duration_add_up(numbers: list[int], unit: str) -> None:
    whole = parse_go_duration("".join(f"{number}{unit}" for number in numbers))
    assert whole == sum((parse_go_duration(f"{number}{unit}") for number in numbers), timedelta())


@given(st.text(alphabet="0123456789.hmsnu+-µ ", max_size=12))
def test_any_text_is_a_duration_or_an_invalid_duration(text: str) -> None:
    try:
        parsed = parse_go_duration(text)
    except InvalidDuration:
        return
    assert abs(parsed) <= timedelta(days=293 * 365.25)
