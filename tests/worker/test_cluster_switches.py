"""The worker knows what people switched in the cluster before it decides anything, and as it changes."""

from dataclasses import replace
from datetime import timedelta

from consumer.adapters.memory_switches import MemorySwitches
from consumer.core.control import Control, ControlKind
from consumer.ports import TargetForbiddenError
from tests.worker.bed import COOLDOWN, T0, Bed, policy

FREEZE = Control("*", ControlKind.FREEZE, None, "maria", "sale", None, T0)
UNFREEZE = Control("*", ControlKind.UNFREEZE, None, "maria", "over", None, T0)


async def quiet(bed: Bed, switches: MemorySwitches) -> None:
    """Let an idle service be idle for longer than a cooldown, then unfreeze, then for a minute more."""
    bed.obedient = True
    async with bed.running(replace(bed.ports(), switches=switches)):
        bed.result("observed")
        await bed.pass_time(COOLDOWN + timedelta(minutes=2), timedelta(seconds=15))
        assert bed.commands() == []
        assert "frozen" in bed.codes()
        await switches.apply([UNFREEZE])
        await bed.pass_time(timedelta(minutes=1), timedelta(seconds=5))
        assert [command.direction.value for command in bed.commands()] == ["zero"]


async def test_a_freeze_in_the_cluster_stops_the_sleeps_until_it_is_taken_back() -> None:
    switches = MemorySwitches()
    await switches.apply([FREEZE])
    await quiet(Bed(policy()), switches)


async def test_what_can_not_be_read_stops_no_wake() -> None:
    switches = MemorySwitches()
    for _ in range(60):
        switches.break_watch(TargetForbiddenError("403: no right to read the ConfigMap"))
    bed = Bed(policy())
    async with bed.running(replace(bed.ports(), switches=switches)):
        bed.result("observed")
        await bed.pass_time(timedelta(seconds=30), timedelta(seconds=5))
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.request()
        await bed.flush()
        assert [command.direction.value for command in bed.commands()] == ["up"]


async def test_a_freeze_that_is_known_holds_on_while_the_cluster_is_away() -> None:
    switches = MemorySwitches()
    await switches.apply([FREEZE])
    bed = Bed(policy())
    async with bed.running(replace(bed.ports(), switches=switches)):
        switches.break_watch(TargetForbiddenError("403"))
        bed.result("observed")
        await bed.pass_time(COOLDOWN + timedelta(minutes=1), timedelta(seconds=15))
        assert bed.commands() == []
        assert "frozen" in bed.codes()
