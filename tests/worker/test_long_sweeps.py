"""A cycle that waits long for its measurements judges with what came into the log meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.adapters.memory import MemoryMembership
from consumer.ports import Record
from tests.worker.bed import COOLDOWN, Bed, policy

SECOND = timedelta(seconds=1)


class Faltering(MemoryMembership):
    """A member whose reading can stand still; what it has in hand is not read, as with the real one."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed.log, bed.settings.subscription())
        self.reads = asyncio.Event()
        self.reads.set()
        self._in_hand: dict[str, int] = {}

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        found = await super().fetch(limit, wait)
        for record in found:
            self._in_hand.setdefault(record.topic, record.offset)
        await self.reads.wait()
        self._in_hand.clear()
        return found

    async def positions(self, partition: int) -> Mapping[str, int]:
        return {**await super().positions(partition), **self._in_hand}


async def measuring(bed: Bed) -> None:
    """Come to the first cycle that could put the service to sleep, and leave it waiting for its answers."""
    bed.result("observed")
    await bed.pass_time(COOLDOWN - 10 * SECOND)
    bed.judges.free.clear()
    before = len(bed.judges.sweeps)
    while len(bed.judges.sweeps) == before:
        await bed.pass_time(SECOND / 2, SECOND / 2)


async def answered(bed: Bed) -> list[str]:
    """Let the cycle have its answers after ten seconds; the commands that came of it."""
    await bed.pass_time(10 * SECOND)
    bed.judges.free.set()
    await bed.pass_time(2 * SECOND, SECOND / 50)
    return [command.reason.code for command in bed.commands()]


@pytest.mark.parametrize("direct", [False, True])
async def test_a_request_that_comes_meanwhile_and_is_not_read_yet_lets_nothing_fall_asleep(*, direct: bool) -> None:
    bed = Bed(policy())
    membership = Faltering(bed)
    async with bed.running(replace(bed.ports(), membership=membership)):
        await measuring(bed)
        membership.reads.clear()
        if direct:
            bed.result("unchanged", cause="direct")
        else:
            bed.request()
        assert await answered(bed) == []
        assert bed.codes()[-1] == "behind"
        membership.reads.set()
        await bed.pass_time(2 * SECOND)
        assert "idle" not in bed.codes()


async def test_what_is_on_its_way_for_a_moment_only_holds_no_sleep_up() -> None:
    bed = Bed(policy())
    membership = Faltering(bed)
    async with bed.running(replace(bed.ports(), membership=membership)):
        await measuring(bed)
        await bed.pass_time(10 * SECOND)
        membership.reads.clear()
        bed.request(count=0)
        bed.judges.free.set()
        await bed.pass_time(SECOND / 5, SECOND / 50)
        assert bed.commands() == []
        membership.reads.set()
        await bed.pass_time(SECOND / 5, SECOND / 50)
        assert [command.reason.code for command in bed.commands()] == ["idle"]
