"""Pod time from a watch: what sleeping saved, whoever put a target to sleep."""

from datetime import UTC, datetime, timedelta

from consumer.core.service import TargetRef
from consumer.demo.ground import PodTime
from consumer.demo.pod_time import PodTimeMeter
from consumer.ports import TargetKey, TargetView

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WEB = TargetKey("shop", TargetRef("apps/v1", "Deployment", "web"))
CART = TargetKey("shop", TargetRef("apps/v1", "Deployment", "cart"))


def view(replicas: int, key: TargetKey = WEB) -> TargetView:
    return TargetView(key, "uid", 1, "1", replicas, replicas, T0)


def test_a_target_that_sleeps_saves_what_it_had_awake() -> None:
    meter = PodTimeMeter()
    meter.saw(view(2), T0)
    meter.saw(view(0), T0 + 10 * SECOND)
    assert meter.read(T0 + 15 * SECOND) == PodTime(used=20 * SECOND, always_on=30 * SECOND)
    assert meter.read(T0 + 15 * SECOND).saved == 10 * SECOND


def test_a_wake_counts_with_its_new_replicas() -> None:
    meter = PodTimeMeter()
    for at, replicas in enumerate((1, 0, 3)):
        meter.saw(view(replicas), T0 + at * SECOND)
    assert meter.read(T0 + 3 * SECOND) == PodTime(used=4 * SECOND, always_on=5 * SECOND)


def test_reading_often_changes_nothing_and_targets_add_up() -> None:
    meter = PodTimeMeter()
    meter.saw(view(1), T0)
    meter.saw(view(1, CART), T0 + SECOND)
    for at in range(1, 5):
        meter.read(T0 + at * SECOND)
    assert meter.read(T0 + 4 * SECOND) == PodTime(used=7 * SECOND, always_on=7 * SECOND)


def test_a_target_that_is_gone_costs_nothing_and_saves_nothing() -> None:
    meter = PodTimeMeter()
    meter.saw(view(1), T0)
    meter.saw(WEB, T0 + SECOND)
    assert meter.read(T0 + 9 * SECOND) == PodTime(used=SECOND, always_on=SECOND)


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    meter = PodTimeMeter()
    meter.saw(view(1), T0 + SECOND)
    assert meter.read(T0) == PodTime()
    assert meter.read(T0 + 2 * SECOND) == PodTime(used=SECOND, always_on=SECOND)
