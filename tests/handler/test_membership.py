"""What becomes of a handler whose membership fails it."""

from dataclasses import replace

import pytest

from consumer.adapters.memory import MemoryMembership
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerSettings
from consumer.ports import LogError
from tests.handler.bed import Bed, ShakyMembership, settled
from tests.handler.samples import MS, SECOND, TARGET, WEB, up

AWAY = LogError("no broker answers; is Kafka up?")


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    bed.targets.create(TARGET, replicas=0)
    return bed


@pytest.fixture
def member(bed: Bed) -> ShakyMembership:
    return ShakyMembership(MemoryMembership(bed.log, bed.settings.subscription()))


@pytest.fixture
def handler(bed: Bed, member: ShakyMembership) -> ScaleHandler:
    return ScaleHandler(replace(bed.ports(), membership=member), bed.settings)


def test_the_prefix_of_the_topics_is_also_that_of_the_group() -> None:
    assert HandlerSettings().subscription().group == "elasti.handler"
    assert HandlerSettings(prefix="stage.", group="hands").subscription().group == "stage.hands"


async def test_a_log_that_is_away_at_the_start_is_joined_when_it_comes(
    bed: Bed, member: ShakyMembership, handler: ScaleHandler
) -> None:
    member.failing["start"] = [AWAY, AWAY]
    bed.command(up(1))
    async with bed.running(handler):
        await settled()
        assert not handler.health().ready
        assert handler.health().running
        await bed.later(SECOND)
        await bed.later(SECOND)
        assert handler.health().ready
    assert "accepted" in bed.phases()


async def test_a_failed_fetch_makes_the_handler_join_anew_and_go_on_where_it_was(
    bed: Bed, member: ShakyMembership, handler: ScaleHandler
) -> None:
    async with bed.running(handler):
        bed.command(up(1))
        await settled()
        member.failing["fetch"] = [AWAY]
        # A leave that goes wrong is no reason not to come again.
        member.failing["stop"] = [AWAY]
        bed.command(up(2, replicas=2))
        await settled()
        await bed.later(SECOND)
        bed.command(up(3, replicas=3))
        await settled()
    assert [result.replicas for result in bed.results() if result.phase.value == "accepted"] == [1, 2, 3]
    assert bed.committed() == 3


async def test_a_failed_commit_is_tried_again(bed: Bed, member: ShakyMembership, handler: ScaleHandler) -> None:
    member.failing["commit"] = [AWAY, AWAY]
    async with bed.running(handler):
        bed.command(up(1))
        await settled()
        assert bed.committed() == 0
        await bed.later(SECOND)
        await bed.later(SECOND)
        assert bed.committed() == 1


async def test_a_commit_that_fails_while_leaving_leaves_its_command_to_the_next_owner(
    bed: Bed, member: ShakyMembership, handler: ScaleHandler
) -> None:
    member.failing["commit"] = [AWAY, AWAY]
    async with bed.running(handler):
        bed.command(up(1))
        await settled()
    assert bed.committed() == 0
    async with bed.running():
        await settled()
    assert bed.results()[-1].command_id == up(1).id
    assert bed.committed() == 1


async def test_a_commit_without_an_answer_does_not_keep_the_handler_from_leaving(
    bed: Bed, member: ShakyMembership
) -> None:
    handler = ScaleHandler(replace(bed.ports(), membership=member), replace(bed.settings, parting=20 * MS))
    member.stalled = True
    async with bed.running(handler):
        bed.command(up(1))
        await settled()
    assert bed.committed() == 0
    assert not handler.health().running


async def test_health_tells_when_fetching_last_went_round(bed: Bed, handler: ScaleHandler) -> None:
    async with bed.running(handler):
        await settled()
        before = handler.health().moved_at
        await bed.later(SECOND)
        assert handler.health().moved_at == before + SECOND
