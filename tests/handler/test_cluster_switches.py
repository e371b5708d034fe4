"""What people switched in the cluster counts beside the log, also while either of the two is away."""

import pytest

from consumer.adapters.memory_switches import MemorySwitches
from consumer.core.control import Control, ControlKind
from consumer.core.service import Mode
from consumer.ports import TargetForbiddenError, TargetInvalidError
from schemas.topics import Topic
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, T0, TARGET, WEB, up, zero

FREEZE = Control("*", ControlKind.FREEZE, None, "maria", "sale", None, T0)
UNFREEZE = Control("*", ControlKind.UNFREEZE, None, "maria", "over", None, T0)
OBSERVE = Control("shop/*", ControlKind.MODE, Mode.OBSERVE, "maria", "trial", None, T0)


class SwitchedBed(Bed):
    """A bed whose cluster keeps switches."""

    def __init__(self) -> None:
        super().__init__()
        self.board = MemorySwitches()
        self.switches = self.board
        self.serve(WEB)
        self.seq = 0

    async def sleep(self) -> str:
        """Send a zero, and return how it was answered; the target is awake again afterwards."""
        self.targets.scale_by_hand(TARGET, 1)
        await settled()
        self.seq += 1
        self.command(zero(self.seq, self.targets.present(TARGET)))
        await settled()
        answers = [result for result in self.results() if result.command_id is not None]
        error = answers[-1].error
        return error.code if error else answers[-1].phase.value


def bed() -> SwitchedBed:
    bed = SwitchedBed()
    bed.targets.create(TARGET, replicas=2)
    return bed


async def test_a_freeze_in_the_cluster_stops_sleeps_until_it_is_taken_back() -> None:
    around = bed()
    await around.board.apply([FREEZE])
    async with around.running():
        assert await around.sleep() == "frozen"
        await around.board.apply([UNFREEZE])
        assert await around.sleep() == "accepted"


async def test_it_is_frozen_while_either_says_so() -> None:
    around = bed()
    await around.board.apply([FREEZE])
    around.switch("*", frozen="night")
    async with around.running():
        await around.board.apply([UNFREEZE])
        assert await around.sleep() == "frozen"
        around.switch("*")
        assert await around.sleep() == "accepted"


async def test_the_strictest_mode_of_both_counts() -> None:
    around = bed()
    around.switch("shop/web", mode=Mode.WAKE_ONLY)
    await around.board.apply([OBSERVE])
    async with around.running():
        around.targets.scale_by_hand(TARGET, 0)
        around.command(up(1))
        await settled()
        assert around.targets.present(TARGET).replicas == 0


async def test_what_can_not_be_read_counts_as_frozen_and_stops_no_wake() -> None:
    around = bed()
    around.board.break_watch(TargetForbiddenError("403: no right to read the ConfigMap"))
    async with around.running():
        assert await around.sleep() == "frozen"
        around.targets.scale_by_hand(TARGET, 0)
        around.command(up(9))
        await settled()
        assert around.targets.present(TARGET).replicas == 1
        await around.later(SECOND)
        around.seq = 9
        assert await around.sleep() == "accepted"


async def test_what_was_known_holds_on_while_the_watch_is_broken() -> None:
    around = bed()
    await around.board.apply([FREEZE])
    async with around.running():
        around.board.break_watch(TargetForbiddenError("403"))
        assert await around.sleep() == "frozen"
        await around.later(SECOND)
        await around.board.apply([UNFREEZE])
        assert await around.sleep() == "accepted"


async def test_a_direct_wake_knows_the_clusters_switches_without_the_log() -> None:
    around = bed()
    await around.board.apply([OBSERVE])
    around.reader_fails(Topic.CONTROL, times=1_000)
    handler = around.handler()
    async with around.running(handler):
        around.targets.scale_by_hand(TARGET, 0)
        await settled()
        with pytest.raises(TargetInvalidError, match="observe"):
            await handler.wake(WEB, None)
        assert around.targets.present(TARGET).replicas == 0
