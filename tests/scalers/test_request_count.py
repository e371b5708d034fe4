"""The `request-count` trigger: too few requests in a whole window is idle."""

from datetime import timedelta

import pytest

from consumer.core.answers import Answer, Evidence, No, Unknown, UnknownCause, Yes
from consumer.core.service import ServiceKey
from consumer.core.window import Window
from consumer.scalers import Assignment, Defaults, Scaler
from consumer.scalers.batcher import Batcher
from consumer.scalers.request_count import REQUEST_COUNT
from tests.scalers.bed import T0, World, trigger

TEN = timedelta(minutes=10)


def counting(window: Window | None, threshold: str = "2", over: str = "10m") -> Scaler:
    return REQUEST_COUNT.create(
        Assignment(
            ServiceKey("shop", "web"),
            trigger("request-count", threshold=threshold, window=over),
            timedelta(minutes=15),
            Defaults(),
            Batcher(World().twin()),
            lambda: window,
        )
    )


async def judged(scaler: Scaler) -> tuple[Answer, Answer]:
    return await scaler.should_scale_to_zero(T0), await scaler.should_scale_from_zero(T0)


@pytest.mark.parametrize(("count", "idle"), [(0, True), (1, True), (2, False), (3, False)])
async def test_below_the_threshold_is_idle_and_the_threshold_itself_is_busy(count: int, idle: bool) -> None:
    window = Window(TEN, since=T0 - TEN).add(count, T0 - timedelta(minutes=1))
    evidence = Evidence(float(count), 2.0, "requests")
    yes, no = Yes(evidence, T0), No(evidence, T0)
    assert await judged(counting(window)) == ((yes, no) if idle else (no, yes))


@pytest.mark.parametrize(
    ("window", "watched"),
    [
        (None, "0s of 10m00s watched"),
        (Window(TEN), "0s of 10m00s watched"),
        (Window(timedelta(minutes=9), since=T0 - TEN), "0s of 10m00s watched"),
        (Window(TEN, since=T0 - TEN + timedelta(milliseconds=1)), "9m59s of 10m00s watched"),
    ],
)
async def test_until_a_whole_window_was_watched_nothing_is_known(window: Window | None, watched: str) -> None:
    unknown = Unknown(UnknownCause.WINDOW_NOT_FULL, T0, watched)
    assert await judged(counting(window)) == (unknown, unknown)


async def test_a_longer_window_of_another_trigger_serves_a_shorter_one() -> None:
    hour = Window(timedelta(hours=1), since=T0 - TEN).add(5, T0 - timedelta(minutes=30)).add(1, T0)
    to_zero, from_zero = await judged(counting(hour))
    assert to_zero == Yes(Evidence(1.0, 2.0, "requests"), T0)
    assert isinstance(from_zero, No)


async def test_its_own_count_is_always_healthy() -> None:
    scaler = counting(None)
    assert await scaler.is_healthy(T0) == Yes(Evidence(1.0, None, "counted here"), T0)
    await scaler.close()


@pytest.mark.parametrize(
    ("metadata", "fields"),
    [
        ({"threshold": "1", "window": "10m"}, []),
        ({"threshold": "0.5", "window": "1h30m"}, []),
        ({}, ["metadata.threshold", "metadata.window"]),
        ({"threshold": "0", "window": "10m"}, ["metadata.threshold"]),
        ({"threshold": "-1", "window": "10m"}, ["metadata.threshold"]),
        ({"threshold": "many", "window": "10m"}, ["metadata.threshold"]),
        ({"threshold": "1", "window": "10"}, ["metadata.window"]),
        ({"threshold": "1", "window": "0s"}, ["metadata.window"]),
        ({"threshold": "1", "window": "-5m"}, ["metadata.window"]),
    ],
)
def test_threshold_and_window_are_checked(metadata: dict[str, str], fields: list[str]) -> None:
    assert [field for field, _ in REQUEST_COUNT.check(trigger("request-count", **metadata), Defaults())] == fields


def test_a_faulty_trigger_makes_no_scaler() -> None:
    with pytest.raises(ValueError, match=r"metadata\.window"):
        counting(None, over="soon")


@pytest.mark.parametrize(("text", "window"), [("10m", TEN), ("soon", None), ("0s", None)])
def test_the_window_that_is_to_be_counted_is_told(text: str, window: timedelta | None) -> None:
    assert REQUEST_COUNT.window(trigger("request-count", threshold="1", window=text)) == window


def test_without_a_window_nothing_is_to_be_counted() -> None:
    assert REQUEST_COUNT.window(trigger("request-count", threshold="1")) is None
