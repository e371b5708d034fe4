"""What every implementation of `Autoscalers` promises: the twin in memory and a real API server pass the very same."""

from abc import abstractmethod
from typing import Protocol

import pytest

from consumer.adapters.memory_autoscalers import AutoscalerState
from consumer.ports import AutoscalerKey, Autoscalers, TargetGoneError, TargetMovedError

RUNNING = AutoscalerState()


class World(Protocol):
    """The autoscalers, and everybody else's hands on them."""

    @property
    def autoscalers(self) -> Autoscalers:
        """The door under test."""

    @property
    def key(self) -> AutoscalerKey:
        """A name that is the test's own."""

    async def create(self) -> None:
        """Somebody applies it."""

    async def delete(self) -> None:
        """Somebody deletes it."""

    async def pause_by_hand(self, held_at: int | None = None) -> None:
        """Somebody else pauses it, or says at how many it is held."""

    async def state(self) -> AutoscalerState:
        """What it is now."""


class AutoscalersContract:
    """Subclass it, and give it a `world`."""

    @pytest.fixture
    @abstractmethod
    def world(self) -> World:
        """The implementation, and the hands that play everybody else."""

    async def test_a_pause_holds_it_where_it_is_and_says_in_whose_name(self, world: World) -> None:
        await world.create()
        await world.autoscalers.pause(world.key, "one")
        assert await world.state() == AutoscalerState(paused=True, held_at=None, by="one")

    async def test_it_is_held_at_zero_only_after_its_pause(self, world: World) -> None:
        await world.create()
        with pytest.raises(TargetMovedError):
            await world.autoscalers.pin(world.key, "one")
        assert await world.state() == RUNNING
        await world.autoscalers.pause(world.key, "one")
        await world.autoscalers.pin(world.key, "one")
        assert await world.state() == AutoscalerState(paused=True, held_at=0, by="one")

    async def test_a_pause_and_its_end_may_be_repeated(self, world: World) -> None:
        await world.create()
        for _ in range(2):
            await world.autoscalers.pause(world.key, "one")
        for _ in range(2):
            await world.autoscalers.pin(world.key, "one")
        for ended in (True, False):
            assert await world.autoscalers.paused(world.key) is ended
            assert await world.autoscalers.resume(world.key) is ended
            assert await world.state() == RUNNING

    async def test_a_newer_pause_takes_an_older_one_over_and_holds_it_at_no_number(self, world: World) -> None:
        await world.create()
        await world.autoscalers.pause(world.key, "one")
        await world.autoscalers.pin(world.key, "one")
        await world.autoscalers.pause(world.key, "two")
        assert await world.state() == AutoscalerState(paused=True, held_at=None, by="two")

    async def test_a_stalled_handler_can_not_hold_it_at_zero_any_more(self, world: World) -> None:
        await world.create()
        await world.autoscalers.pause(world.key, "one")
        await world.autoscalers.pause(world.key, "two")
        with pytest.raises(TargetMovedError, match="one"):
            await world.autoscalers.pin(world.key, "one")
        await world.autoscalers.resume(world.key)
        with pytest.raises(TargetMovedError):
            await world.autoscalers.pin(world.key, "two")
        assert await world.state() == RUNNING

    async def test_an_end_in_one_name_leaves_the_pause_of_another(self, world: World) -> None:
        await world.create()
        await world.autoscalers.pause(world.key, "two")
        with pytest.raises(TargetMovedError):
            await world.autoscalers.resume(world.key, "one")
        assert await world.state() == AutoscalerState(paused=True, held_at=None, by="two")
        await world.autoscalers.resume(world.key, "two")
        assert await world.state() == RUNNING

    @pytest.mark.parametrize("held_at", [None, 3])
    async def test_somebody_elses_pause_is_neither_taken_over_nor_ended(
        self, world: World, held_at: int | None
    ) -> None:
        await world.create()
        await world.pause_by_hand(held_at)
        before = await world.state()
        with pytest.raises(TargetMovedError, match="somebody else"):
            await world.autoscalers.pause(world.key, "one")
        for call in (world.autoscalers.resume, world.autoscalers.paused):
            with pytest.raises(TargetMovedError, match="somebody else"):
                await call(world.key)
        assert await world.state() == before == AutoscalerState(paused=True, held_at=held_at, by=None)

    async def test_whoever_holds_ours_at_another_number_has_made_it_theirs(self, world: World) -> None:
        await world.create()
        await world.autoscalers.pause(world.key, "one")
        await world.pause_by_hand(3)
        with pytest.raises(TargetMovedError):
            await world.autoscalers.pause(world.key, "two")
        for by in (None, "one"):
            with pytest.raises(TargetMovedError):
                await world.autoscalers.resume(world.key, by)
        assert (await world.state()).held_at == 3

    async def test_what_kubeelasti_left_at_zero_is_ended(self, world: World) -> None:
        await world.create()
        await world.pause_by_hand(0)
        assert await world.autoscalers.paused(world.key)
        assert await world.autoscalers.resume(world.key)
        assert await world.state() == RUNNING

    async def test_one_that_is_gone_is_told_so_and_the_next_of_its_name_is_not_ours(self, world: World) -> None:
        for call in (world.autoscalers.pause, world.autoscalers.pin, world.autoscalers.resume):
            with pytest.raises(TargetGoneError, match=r"correct spec\.autoscaler"):
                await call(world.key, "one")
        with pytest.raises(TargetGoneError, match=r"correct spec\.autoscaler"):
            await world.autoscalers.paused(world.key)
        await world.create()
        # One that nobody ever paused has nothing to end.
        assert not await world.autoscalers.resume(world.key)
        await world.autoscalers.pause(world.key, "one")
        await world.delete()
        await world.create()
        with pytest.raises(TargetMovedError):
            await world.autoscalers.pin(world.key, "one")
        assert await world.state() == RUNNING
