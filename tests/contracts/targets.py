"""What every implementation of `Targets` promises: the twins in memory and a real API server pass the very same."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

import pytest

from consumer.core.service import OWN_MANAGER, TargetRef
from consumer.ports import Change, TargetGoneError, TargetKey, TargetMovedError, Targets, TargetView


class World(Protocol):
    """The cluster and everybody else in it."""

    @property
    def targets(self) -> Targets:
        """The door under test."""

    @property
    def namespace(self) -> str:
        """A namespace that is the test's own."""

    async def create(self, key: TargetKey, replicas: int) -> None:
        """Create a target; its uid is new."""

    async def delete(self, key: TargetKey) -> None:
        """Delete it."""

    async def scale_by_hand(self, key: TargetKey, replicas: int, manager: str) -> None:
        """Set its replicas in somebody else's name."""

    async def make_ready(self, key: TargetKey, ready: int) -> None:
        """Make so many replicas ready: a change of the status alone."""


async def until(seen: AsyncIterator[TargetView | TargetKey], key: TargetKey) -> TargetView | TargetKey:
    """Return the next thing that the watch says of this target."""
    async for one in seen:
        if one == key or (isinstance(one, TargetView) and one.key == key):
            return one
    pytest.fail("the watch ended")


async def until_at(seen: AsyncIterator[TargetView | TargetKey], key: TargetKey, replicas: int) -> TargetView:
    """Return the first view of this target with so many replicas."""
    while True:
        view = await until(seen, key)
        if isinstance(view, TargetView) and view.replicas == replicas:
            return view


class TargetsContract:
    """Subclass it, and give it a `world`."""

    @pytest.fixture
    @abstractmethod
    def world(self) -> World:
        """The implementation, and the hands that play everybody else."""

    @pytest.fixture
    def key(self, world: World) -> TargetKey:
        return TargetKey(world.namespace, TargetRef("apps/v1", "Deployment", "web"))

    async def test_a_target_is_seen_as_it_was_made(self, world: World, key: TargetKey) -> None:
        await world.create(key, 2)
        view = await world.targets.look(key)
        assert (view.key, view.replicas) == (key, 2)
        assert view.uid
        assert view.resource_version

    async def test_a_target_at_zero_has_zero_replicas_although_the_api_leaves_them_out(
        self, world: World, key: TargetKey
    ) -> None:
        await world.create(key, 0)
        view = await world.targets.look(key)
        assert (view.replicas, view.ready) == (0, 0)

    async def test_a_sleeping_target_wakes_when_it_is_at_zero_as_expected(self, world: World, key: TargetKey) -> None:
        await world.create(key, 0)
        before = await world.targets.look(key)
        after = await world.targets.scale(key, Change(expected=0, wanted=2))
        assert (after.uid, after.replicas) == (before.uid, 2)
        assert after.generation > before.generation
        assert (await world.targets.look(key)).replicas == 2

    async def test_a_change_is_ours_by_name(self, world: World, key: TargetKey) -> None:
        await world.create(key, 0)
        assert (await world.targets.scale(key, Change(expected=0, wanted=1))).manager == OWN_MANAGER

    async def test_somebody_else_s_change_bears_their_name(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        await world.scale_by_hand(key, 3, "maria")
        assert (await world.targets.look(key)).manager == "maria"

    @pytest.mark.parametrize(("there", "expected"), [(0, 1), (1, 0), (2, 1)])
    async def test_a_change_is_refused_when_the_replicas_are_not_the_expected_ones(
        self, world: World, key: TargetKey, there: int, expected: int
    ) -> None:
        await world.create(key, there)
        before = await world.targets.look(key)
        with pytest.raises(TargetMovedError):
            await world.targets.scale(key, Change(expected=expected, wanted=5))
        after = await world.targets.look(key)
        assert (after.replicas, after.generation) == (there, before.generation)

    async def test_a_sleep_of_that_very_version_is_taken(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        view = await world.targets.look(key)
        change = Change(expected=1, wanted=0, resource_version=view.resource_version)
        assert (await world.targets.scale(key, change)).replicas == 0

    async def test_a_sleep_is_refused_when_only_the_status_changed_since(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        view = await world.targets.look(key)
        await world.make_ready(key, 1)
        with pytest.raises(TargetMovedError):
            await world.targets.scale(key, Change(expected=1, wanted=0, resource_version=view.resource_version))
        assert (await world.targets.look(key)).replicas == 1

    async def test_a_sleep_is_refused_when_somebody_scaled_there_and_back(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        view = await world.targets.look(key)
        await world.scale_by_hand(key, 2, "maria")
        await world.scale_by_hand(key, 1, "maria")
        with pytest.raises(TargetMovedError):
            await world.targets.scale(key, Change(expected=1, wanted=0, resource_version=view.resource_version))

    async def test_the_generation_moves_with_the_replicas_only(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        made = await world.targets.look(key)
        await world.make_ready(key, 1)
        ready = await world.targets.look(key)
        assert ready.ready == 1
        assert ready.generation == made.generation
        assert ready.resource_version != made.resource_version
        await world.scale_by_hand(key, 2, "maria")
        assert (await world.targets.look(key)).generation > made.generation

    async def test_a_target_that_is_not_there_is_gone_for_every_call(self, world: World, key: TargetKey) -> None:
        with pytest.raises(TargetGoneError, match="web"):
            await world.targets.look(key)
        with pytest.raises(TargetGoneError, match="web"):
            await world.targets.scale(key, Change(expected=0, wanted=1))

    async def test_a_target_that_is_made_again_is_another_one(self, world: World, key: TargetKey) -> None:
        await world.create(key, 1)
        first = await world.targets.look(key)
        await world.delete(key)
        await world.create(key, 1)
        assert (await world.targets.look(key)).uid != first.uid

    async def test_the_watch_shows_each_target_and_then_its_changes(self, world: World, key: TargetKey) -> None:
        await world.create(key, 0)
        async with aclosing(_generator(world.targets)) as seen:
            await until_at(seen, key, 0)
            woken = await world.targets.scale(key, Change(expected=0, wanted=1))
            up = await until_at(seen, key, 1)
            assert (up.uid, up.generation) == (woken.uid, woken.generation)
            await world.make_ready(key, 1)
            while not up.ready:
                up = await until_at(seen, key, 1)
            assert up.generation == woken.generation

    async def test_the_watch_says_that_a_target_is_gone_and_shows_the_next_of_its_name(
        self, world: World, key: TargetKey
    ) -> None:
        await world.create(key, 1)
        async with aclosing(_generator(world.targets)) as seen:
            first = await until_at(seen, key, 1)
            await world.delete(key)
            while (said := await until(seen, key)) != key:
                assert isinstance(said, TargetView)
            await world.create(key, 1)
            second = await until_at(seen, key, 1)
            assert second.uid != first.uid

    async def test_two_watch_at_a_time(self, world: World, key: TargetKey) -> None:
        await world.create(key, 0)
        async with aclosing(_generator(world.targets)) as one, aclosing(_generator(world.targets)) as other:
            await until_at(one, key, 0)
            await until_at(other, key, 0)
            await world.scale_by_hand(key, 1, "maria")
            await until_at(one, key, 1)
            await until_at(other, key, 1)


async def _generator(targets: Targets) -> AsyncGenerator[TargetView | TargetKey, None]:
    """The watch as something that can be closed, whatever kind of iterator it is."""
    async for seen in targets.watch():
        yield seen
