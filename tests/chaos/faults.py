"""Carries out the plan: each deed at its time, whatever else is going on then."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.chaos.deeds import (
    Away,
    Break,
    Deceive,
    Deed,
    Edit,
    Kill,
    Load,
    Outage,
    Rename,
    Server,
    Trouble,
    Visit,
    Zombie,
)
from tests.chaos.edits import Editor
from tests.chaos.plan import STEADY
from tests.chaos.processes import Span
from tests.chaos.world import World


@dataclass(slots=True)
class Faults:
    """What was done so far."""

    world: World
    editor: Editor
    say: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    untrue: list[Span] = field(default_factory=list)
    """When Prometheus did not tell the truth, or nothing."""
    loads: list[tuple[datetime, str, int]] = field(default_factory=list)

    async def play(self, began: datetime) -> None:
        """Carry out every step, and return when all of them are over."""
        async with asyncio.TaskGroup() as tasks:
            for step in self.world.plan.steps:
                left = began + step.at - datetime.now(UTC)
                if left > timedelta():
                    await asyncio.sleep(left.total_seconds())
                tasks.create_task(self.carry_out(step.deed))

    async def carry_out(self, deed: Deed) -> None:
        """Do one deed to its end."""
        world = self.world
        match deed:
            case Kill() | Zombie() | Visit():
                await self._on_a_process(deed)
            case Break():
                await self._broken(deed)
            case Away():
                await self._away(deed)
            case Deceive(lie, length):
                await self._lied(world.liar.lying(lie, length))
            case Edit():
                await self.editor.carry_out(deed)
            case Load(service, value):
                world.load(service, value)
                self.loads.append((datetime.now(UTC), service, value))
            case Rename(service, length):
                await world.renamed(service, length)
        self.done[_name(deed)] += 1

    async def _on_a_process(self, deed: Kill | Zombie | Visit) -> None:
        world, slot = self.world, self.world.slots[deed.slot]
        match deed:
            case Kill():
                await slot.kill(deed.down)
            case Zombie():
                await slot.freeze(deed.length)
            case Visit():
                world.begin(deed.slot)
                await asyncio.sleep(deed.stay.total_seconds())
                await world.end(deed.slot)

    async def _broken(self, deed: Break) -> None:
        async with asyncio.TaskGroup() as tasks:
            for door in self.world.doors[deed.slot][deed.server]:
                tasks.create_task(door.trouble(deed.trouble, deed.length))

    async def _away(self, deed: Away) -> None:
        self.say(f"  {deed.server} is away: {deed.how}{' (the second broker)' if deed.lesser else ''}, {deed.length}")
        began = datetime.now(UTC)
        match deed.server:
            case Server.KAFKA:
                await self._no_broker(deed)
            case Server.API:
                await self._no_api(deed)
            case Server.PROMETHEUS:
                await self._lied(self._dark(deed.length))
        if deed.server is not Server.PROMETHEUS:
            self.world.spans.append((deed.server, Span(began, datetime.now(UTC))))

    async def _no_broker(self, deed: Away) -> None:
        kafka = self.world.kafka
        broker = kafka.second if deed.lesser else kafka.first
        if deed.how is Outage.PAUSE:
            broker.pause()
            await _sleep_then(deed.length, broker.resume)
            return
        await broker.kill()
        await asyncio.sleep(deed.length.total_seconds())
        await broker.restart()

    async def _no_api(self, deed: Away) -> None:
        plane = self.world.plane
        if deed.how is Outage.PAUSE:
            plane.pause()
            await _sleep_then(deed.length, plane.resume)
            return
        await plane.kill()
        await asyncio.sleep(deed.length.total_seconds())
        await plane.restart()

    async def _dark(self, length: timedelta) -> None:
        """No worker reaches Prometheus."""
        async with asyncio.TaskGroup() as tasks:
            for name in STEADY:
                for door in self.world.doors[name][Server.PROMETHEUS]:
                    tasks.create_task(door.trouble(Trouble.CUT, length))

    async def _lied(self, work: Coroutine[None, None, None]) -> None:
        began = datetime.now(UTC)
        await work
        self.untrue.append(Span(began, datetime.now(UTC)))


async def _sleep_then(length: timedelta, then: Callable[[], None]) -> None:
    try:
        await asyncio.sleep(length.total_seconds())
    finally:
        then()


def _name(deed: Deed) -> str:
    match deed:
        case Break(_, server, trouble, _):
            return f"{trouble} {server}"
        case Away(server, how, _, lesser):
            return f"{how} {server}{' (second broker)' if lesser else ''}"
        case Deceive(lie, _):
            return f"lie {lie}"
        case Edit(change):
            return f"edit {change}"
        case _:
            return type(deed).__name__.lower()
