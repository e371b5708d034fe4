"""The autoscalers in memory keep the contract of the real ones, and fail when they are told to."""

import pytest

from consumer.adapters.memory_autoscalers import AutoscalerState, MemoryAutoscalers
from consumer.ports import AutoscalerKey, TargetBusyError
from tests.contracts.autoscalers import AutoscalersContract, World

KEY = AutoscalerKey("shop", "web")


class MemoryWorld:
    """One autoscaler, and the hands of others on it."""

    def __init__(self) -> None:
        self.autoscalers = MemoryAutoscalers()
        self.key = KEY

    async def create(self) -> None:
        self.autoscalers.create(KEY)

    async def delete(self) -> None:
        self.autoscalers.delete(KEY)

    async def pause_by_hand(self, held_at: int | None = None) -> None:
        self.autoscalers.pause_by_hand(KEY, held_at)

    async def state(self) -> AutoscalerState:
        return self.autoscalers.state(KEY)


class TestMemoryAutoscalers(AutoscalersContract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()


async def test_a_call_that_fails_changes_nothing() -> None:
    autoscalers = MemoryAutoscalers()
    autoscalers.create(KEY)
    autoscalers.fail(None, TargetBusyError("away"))
    await autoscalers.pause(KEY, "one")
    with pytest.raises(TargetBusyError, match="away"):
        await autoscalers.resume(KEY)
    assert autoscalers.state(KEY).by == "one"
    assert autoscalers.calls == [("pause", KEY, "one"), ("resume", KEY, None)]
