"""The contract of Switches: what people froze or switched in the cluster is seen whole, and nobody's is overwritten."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

from consumer.core.control import Control, ControlKind
from consumer.core.service import Mode
from consumer.ports import Switches

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
LIMIT = 30.0


def freeze(pattern: str = "*", *, why: str = "sale", until: datetime | None = None) -> Control:
    return Control(pattern, ControlKind.FREEZE, None, "maria", why, until, AT)


def unfreeze(pattern: str = "*") -> Control:
    return Control(pattern, ControlKind.UNFREEZE, None, "maria", "sale is over", None, AT + timedelta(hours=1))


def mode(pattern: str, wanted: Mode | None) -> Control:
    return Control(pattern, ControlKind.MODE, wanted, "tom", "first week", None, AT)


class SwitchesContract(ABC):
    """Every implementation of Switches passes these."""

    @abstractmethod
    async def switches(self) -> Switches:
        """Return an empty switchboard of its own; called again in one test: a second door to the same one."""

    async def test_an_empty_switchboard_is_shown_at_once(self) -> None:
        async with shown(await self.switches()) as seen:
            assert await seen() == ()

    async def test_what_is_applied_is_shown_whole(self) -> None:
        switches = await self.switches()
        full = freeze("shop/web", why='it\'s "on" – ü', until=AT + timedelta(hours=2))
        await switches.apply([freeze(), mode("shop/*", Mode.OBSERVE)])
        await switches.apply([full])
        async with shown(switches) as seen:
            assert set(await seen()) == {freeze(), mode("shop/*", Mode.OBSERVE), full}

    async def test_every_change_is_shown(self) -> None:
        switches = await self.switches()
        async with shown(switches) as seen:
            assert await seen() == ()
            await switches.apply([freeze()])
            assert await seen() == (freeze(),)
            await switches.apply([unfreeze()])
            assert await seen() == (unfreeze(),)

    async def test_a_switch_replaces_the_one_of_its_pattern_and_kind_only(self) -> None:
        switches = await self.switches()
        await switches.apply([freeze(), freeze("shop/*"), mode("shop/*", Mode.OBSERVE)])
        await switches.apply([freeze("shop/*", why="night"), mode("shop/*", None)])
        async with shown(switches) as seen:
            assert set(await seen()) == {freeze(), freeze("shop/*", why="night"), mode("shop/*", None)}

    async def test_a_namespace_named_as_anything_else_is_told_apart(self) -> None:
        switches = await self.switches()
        patterns = ("*", "everything/*", "namespace/*", "namespace/everything", "service/namespace", "a/b-c", "a-b/c")
        await switches.apply([freeze(pattern) for pattern in patterns])
        async with shown(switches) as seen:
            assert {control.key_pattern for control in await seen()} == set(patterns)

    async def test_those_who_apply_at_once_do_not_overwrite_one_another(self) -> None:
        switches, other = await self.switches(), await self.switches()
        await asyncio.gather(switches.apply([freeze("shop/*")]), other.apply([freeze("till/*")]))
        await asyncio.gather(*(door.apply([freeze(f"n{i}/*")]) for i, door in enumerate((switches, other) * 2)))
        async with shown(switches) as seen:
            assert len(await seen()) == 2 + 4


class Seen:
    """Reads what a switchboard shows, step by step."""

    def __init__(self, shown: AsyncIterator[Sequence[Control]]) -> None:
        self._shown = shown

    async def __call__(self) -> tuple[Control, ...]:
        async with asyncio.timeout(LIMIT):
            return tuple(await anext(self._shown))


@asynccontextmanager
async def shown(switches: Switches) -> AsyncIterator[Seen]:
    following = switches.follow()
    # The port promises an iterator; a generator is what can be closed.
    assert isinstance(following, AsyncGenerator)
    async with aclosing(following):
        yield Seen(following)
