"""The switchboard in memory keeps the contract of the real one, and fails when it is told to."""

import pytest

from consumer.adapters.memory_switches import MemorySwitches
from consumer.ports import TargetBusyError
from tests.contracts.switches import SwitchesContract, freeze, shown


class TestMemorySwitches(SwitchesContract):
    @pytest.fixture(autouse=True)
    def _board(self) -> None:
        self.board = MemorySwitches()

    async def switches(self) -> MemorySwitches:
        return self.board


async def test_a_change_that_was_refused_changed_nothing() -> None:
    switches = MemorySwitches()
    switches.fail(TargetBusyError("away"))
    with pytest.raises(TargetBusyError, match="away"):
        await switches.apply([freeze()])
    assert switches.content() == ()


async def test_a_watch_that_breaks_can_be_begun_anew() -> None:
    switches = MemorySwitches()
    await switches.apply([freeze()])
    switches.break_watch(TargetBusyError("away"))
    with pytest.raises(TargetBusyError, match="away"):
        async with shown(switches) as seen:
            await seen()
    async with shown(switches) as seen:
        assert await seen() == (freeze(),)
