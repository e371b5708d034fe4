"""The Events in memory keep the contract of the real ones, and fail when they are told to."""

from collections.abc import Sequence

import pytest

from consumer.adapters.memory_notices import MemoryNotices, ToldNotice
from consumer.ports import Notice, ResourceRef, TargetBusyError
from tests.contracts.notices import AT, NoticesContract, World


class MemoryWorld:
    """One list of Events; every door to it is the same."""

    def __init__(self) -> None:
        self.notices = MemoryNotices()
        self.another = self.notices
        self.namespace = "shop"

    async def told(self) -> Sequence[ToldNotice]:
        return self.notices.told


class TestMemoryNotices(NoticesContract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()


async def test_a_call_that_fails_tells_nothing() -> None:
    notices = MemoryNotices()
    notices.fail(TargetBusyError("away"))
    with pytest.raises(TargetBusyError, match="away"):
        await notices.tell(Notice(ResourceRef("shop", "web", "1"), "Slept", "quiet"), count=1, first=AT, last=AT)
    assert notices.told == ()
    assert notices.calls == 1
