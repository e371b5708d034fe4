"""What every implementation of `Notices` promises: the twin in memory and a real API server pass the very same."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from consumer.adapters.memory_notices import ToldNotice
from consumer.core.service import TargetRef
from consumer.ports import Notice, Notices, ResourceRef, TargetKey

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class World(Protocol):
    """The Events of a namespace that is the test's own."""

    @property
    def notices(self) -> Notices:
        """The door under test."""

    @property
    def another(self) -> Notices:
        """A second door to the same Events: another handler, or this one after a restart."""

    @property
    def namespace(self) -> str:
        """Where the test's objects are."""

    async def told(self) -> Sequence[ToldNotice]:
        """What people read now."""


class NoticesContract:
    """Subclass it, and give it a `world`."""

    @pytest.fixture
    @abstractmethod
    def world(self) -> World:
        """The implementation, and what shows what it wrote."""

    @pytest.fixture
    def slept(self, world: World) -> Notice:
        return Notice(ResourceRef(world.namespace, "web", "uid-1"), "Slept", "quiet for 15 minutes")

    async def test_what_is_told_is_there(self, world: World, slept: Notice) -> None:
        await world.notices.tell(slept, count=2, first=AT, last=AT + MINUTE)
        assert list(await world.told()) == [ToldNotice(slept, 2, AT, AT + MINUTE)]

    async def test_what_is_told_again_raises_its_count(self, world: World, slept: Notice) -> None:
        await world.notices.tell(slept, count=2, first=AT, last=AT)
        await world.notices.tell(slept, count=3, first=AT + MINUTE, last=AT + 2 * MINUTE)
        await world.notices.tell(slept, count=1, first=AT + 3 * MINUTE, last=AT + 3 * MINUTE)
        assert list(await world.told()) == [ToldNotice(slept, 6, AT, AT + 3 * MINUTE)]

    async def test_others_that_tell_the_same_raise_the_same_count(self, world: World, slept: Notice) -> None:
        await world.notices.tell(slept, count=1, first=AT, last=AT)
        await world.another.tell(slept, count=1, first=AT + MINUTE, last=AT + MINUTE)
        await world.notices.tell(slept, count=1, first=AT + 2 * MINUTE, last=AT + 2 * MINUTE)
        assert list(await world.told()) == [ToldNotice(slept, 3, AT, AT + 2 * MINUTE)]

    async def test_what_differs_in_anything_is_told_apart(self, world: World, slept: Notice) -> None:
        target = TargetKey(world.namespace, TargetRef("apps/v1", "Deployment", "web"))
        others = [
            slept,
            replace(slept, reason="Woken"),
            replace(slept, message="quiet for 20 minutes"),
            replace(slept, warning=True),
            replace(slept, about=ResourceRef(world.namespace, "web", "uid-2")),
            Notice(target, "Slept", "quiet for 15 minutes", target_uid="uid-3"),
            Notice(target, "Slept", "quiet for 15 minutes"),
        ]
        for notice in others:
            await world.notices.tell(notice, count=1, first=AT, last=AT)
        told = await world.told()
        assert {one.notice for one in told} == set(others)
        assert [one.count for one in told] == [1] * len(others)
