"""The simulated cluster keeps what a cluster promises, and its pods take the time that they are given."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from consumer.adapters.clock import ManualClock
from consumer.adapters.simulated_cluster import LABEL, SimulatedCluster, Startup, Trouble, Usage
from consumer.core.service import TargetRef
from consumer.ports import (
    Change,
    TargetBusyError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetKey,
    TargetMovedError,
    TargetView,
)
from tests.contracts.targets import TargetsContract

WEB = TargetKey("shop", TargetRef("apps/v1", "Deployment", "web"))
CART = TargetKey("shop", TargetRef("apps/v1", "StatefulSet", "cart"))
SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


class SimulatedWorld:
    """Plays everybody else by hand; no pod starts by itself."""

    namespace = "shop"

    def __init__(self) -> None:
        self.targets = SimulatedCluster(ManualClock())

    async def create(self, key: TargetKey, replicas: int) -> None:
        self.targets.create(key, replicas=replicas, startup=Startup(broken=True))

    async def delete(self, key: TargetKey) -> None:
        self.targets.delete(key)

    async def scale_by_hand(self, key: TargetKey, replicas: int, manager: str) -> None:
        self.targets.scale_by_hand(key, replicas, manager)

    async def make_ready(self, key: TargetKey, ready: int) -> None:
        self.targets.make_ready(key, ready)


class TestSimulatedCluster(TargetsContract):
    """The contract, on simulated workloads."""

    @pytest.fixture
    def world(self) -> SimulatedWorld:
        return SimulatedWorld()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def cluster(clock: ManualClock) -> AsyncIterator[SimulatedCluster]:
    cluster = SimulatedCluster(clock, controller=10 * MS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cluster.run())
        await settled()
        yield cluster
        running.cancel()


async def settled() -> None:
    """Let every task do what it can at this standing moment; the clock does not move, so this ends."""
    for _ in range(20):
        await asyncio.sleep(0)


async def later(clock: ManualClock, length: timedelta) -> None:
    await settled()
    clock.advance(length)
    await settled()


async def test_pods_follow_after_the_controller_and_are_ready_when_they_have_started(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=0, startup=Startup(2 * SECOND))
    woken = await cluster.scale(WEB, Change(expected=0, wanted=2))
    await later(clock, 10 * MS)
    await later(clock, 2 * SECOND - MS)
    assert (await cluster.look(WEB)).ready == 0
    await later(clock, MS)
    view = await cluster.look(WEB)
    assert (view.ready, view.generation) == (2, woken.generation)


async def test_a_change_of_the_status_is_a_new_version_of_the_same_generation(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    made = cluster.create(WEB, replicas=1)
    await later(clock, 10 * MS)
    await later(clock, SECOND)
    view = await cluster.look(WEB)
    assert int(view.resource_version) > int(made.resource_version)
    assert view.generation == made.generation == 1


async def test_pods_that_go_are_ready_until_the_controller_saw_the_zero(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1)
    cluster.make_ready(WEB, 1)
    assert (await cluster.scale(WEB, Change(expected=1, wanted=0))).ready == 1
    await later(clock, 10 * MS)
    assert (await cluster.look(WEB)).ready == 0


async def test_a_wake_that_comes_before_the_controller_saw_the_zero_keeps_the_pod(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1)
    cluster.make_ready(WEB, 1)
    await cluster.scale(WEB, Change(expected=1, wanted=0))
    await cluster.scale(WEB, Change(expected=0, wanted=1))
    await later(clock, 10 * MS)
    assert (await cluster.look(WEB)).ready == 1


async def test_a_pod_that_was_deleted_while_starting_is_never_ready(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1)
    await later(clock, 10 * MS)
    cluster.scale_by_hand(WEB, 0)
    await later(clock, 10 * MS)
    await later(clock, SECOND)
    assert (await cluster.look(WEB)).ready == 0


async def test_a_broken_target_never_gets_ready_until_it_is_mended(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1, startup=Startup(broken=True))
    await later(clock, 10 * MS)
    await later(clock, timedelta(hours=1))
    assert (await cluster.look(WEB)).ready == 0
    cluster.set_startup(WEB, Startup(SECOND))
    cluster.crash(WEB)
    await later(clock, SECOND)
    assert (await cluster.look(WEB)).ready == 1


async def test_pods_that_crash_are_ready_again_after_one_whole_start(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1, startup=Startup(2 * SECOND))
    await later(clock, 10 * MS)
    await later(clock, SECOND)
    assert cluster.crash(WEB).ready == 0
    await later(clock, SECOND)
    # The first start would have ended now; it died with its process.
    assert (await cluster.look(WEB)).ready == 0
    await later(clock, SECOND)
    assert (await cluster.look(WEB)).ready == 1


async def starts(seed: int) -> list[int]:
    """The milliseconds after which five pods became ready."""
    clock = ManualClock()
    cluster = SimulatedCluster(clock, seed=seed)
    seen: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cluster.run())
        cluster.create(WEB, replicas=5, startup=Startup(SECOND, jitter=SECOND))
        await settled()
        for step in range(200):
            await later(clock, 10 * MS)
            seen += [step] * ((await cluster.look(WEB)).ready - len(seen))
        running.cancel()
    return seen


async def test_start_up_times_are_spread_by_chance_and_the_same_for_the_same_seed() -> None:
    first, again, other = await starts(1), await starts(1), await starts(2)
    assert first == again != other
    assert len(set(first)) > 1
    assert all(100 <= step + 1 <= 200 for step in first)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Trouble.CONFLICT, TargetMovedError),
        (Trouble.THROTTLED, TargetBusyError),
        (Trouble.BROKEN, TargetBusyError),
        (Trouble.FORBIDDEN, TargetForbiddenError),
        (Trouble.INVALID, TargetInvalidError),
    ],
)
async def test_a_call_fails_on_demand_and_changes_nothing(
    cluster: SimulatedCluster, trouble: Trouble, error: type[Exception]
) -> None:
    cluster.create(WEB, replicas=0)
    cluster.trouble(trouble)
    with pytest.raises(error, match="web"):
        await cluster.scale(WEB, Change(expected=0, wanted=1))
    assert (await cluster.scale(WEB, Change(expected=0, wanted=1))).generation == 2


async def test_a_throttled_call_says_when_to_come_again(cluster: SimulatedCluster) -> None:
    cluster.create(WEB)
    cluster.trouble(Trouble.THROTTLED, retry_after=7 * SECOND)
    with pytest.raises(TargetBusyError) as busy:
        await cluster.look(WEB)
    assert busy.value.retry_after == 7 * SECOND


async def test_trouble_for_one_target_leaves_the_others_alone(cluster: SimulatedCluster) -> None:
    cluster.create(WEB)
    cluster.create(CART)
    cluster.trouble(Trouble.BROKEN, times=2, target=WEB)
    assert (await cluster.look(CART)).replicas == 1
    with pytest.raises(TargetBusyError):
        await cluster.look(WEB)
    cluster.no_more_trouble()
    assert (await cluster.look(WEB)).replicas == 1


@pytest.mark.parametrize(("trouble", "replicas"), [(Trouble.STALLED, 0), (Trouble.ANSWER_LOST, 1)])
async def test_a_call_without_an_answer_may_have_been_carried_out(
    cluster: SimulatedCluster, trouble: Trouble, replicas: int
) -> None:
    cluster.create(WEB, replicas=0)
    cluster.trouble(trouble)
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(cluster.scale(WEB, Change(expected=0, wanted=1)))
        await settled()
        assert not call.done()
        call.cancel()
    assert (await cluster.look(WEB)).replicas == replicas


async def test_calls_take_as_long_as_they_are_told_to() -> None:
    clock = ManualClock()
    cluster = SimulatedCluster(clock, latency=5 * MS)
    cluster.create(WEB)
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(cluster.look(WEB))
        await later(clock, 4 * MS)
        assert not call.done()
        await later(clock, MS)
        assert call.done()


async def test_a_slow_watcher_sees_the_last_of_many_changes(cluster: SimulatedCluster) -> None:
    cluster.create(WEB, replicas=0)
    seen = cluster.watch()
    await anext(seen)
    for replicas in range(1, 100):
        cluster.scale_by_hand(WEB, replicas)
    view = await anext(seen)
    assert isinstance(view, TargetView)
    assert view.replicas == 99


async def test_pod_time_is_counted_and_what_sleeping_saved(cluster: SimulatedCluster, clock: ManualClock) -> None:
    cluster.create(WEB, replicas=2)
    await later(clock, 10 * MS)
    used_by_then = cluster.usage(WEB).used
    await later(clock, 30 * SECOND)
    cluster.scale_by_hand(WEB, 0)
    await later(clock, 10 * MS)
    await later(clock, 60 * SECOND)
    usage = cluster.usage()
    assert usage.used == used_by_then + 60 * SECOND + 20 * MS
    assert usage.always_on == 2 * (90 * SECOND + 20 * MS)
    assert usage.saved == usage.always_on - usage.used
    cluster.delete(WEB)
    await later(clock, SECOND)
    assert cluster.usage() == usage


async def test_nothing_is_counted_of_nothing(cluster: SimulatedCluster) -> None:
    assert cluster.usage() == Usage()


async def test_what_happens_to_a_deleted_workload_concerns_nobody(
    cluster: SimulatedCluster, clock: ManualClock
) -> None:
    cluster.create(WEB, replicas=1)
    await later(clock, 10 * MS)
    cluster.delete(WEB)
    with pytest.raises(TargetGoneError):
        cluster.crash(WEB)
    second = cluster.create(WEB, replicas=0)
    await later(clock, timedelta(hours=1))
    assert (await cluster.look(WEB)) == second


async def test_it_says_that_it_is_simulated(cluster: SimulatedCluster) -> None:
    cluster.create(WEB, replicas=0)
    cluster.create(CART, replicas=1)
    assert cluster.label == LABEL == "SIMULATED"
    assert cluster.describe() == "SIMULATED cluster: 2 targets, 1 at zero, 0 pods"
