"""A wake that the cluster was too busy for is told as failed, and carried out all the same once the cluster answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from consumer.adapters.clock import ManualClock
from consumer.core.service import Mode, ServiceKey, TargetRef
from consumer.handler.backoff import Backoff
from consumer.handler.vigil import Vigil
from consumer.ports import TargetBusyError, TargetForbiddenError, TargetKey
from tests.handler.bed import SETTINGS, Bed, settled
from tests.handler.samples import MS, SECOND, TARGET, WEB, up, zero

AWAY = TargetBusyError("connection refused")
ATTEMPTS = SETTINGS.attempts
LONGEST = SETTINGS.calls.longest
SERVICES = [ServiceKey("shop", f"web-{number}") for number in range(100)]
WHILE = timedelta(minutes=1)


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    bed.targets.create(TARGET, replicas=0)
    return bed


@pytest.fixture
async def in_vain(bed: Bed) -> AsyncIterator[Bed]:
    """A handler that has tried often enough, and said so; the cluster stays away."""
    bed.targets.fail(*[AWAY] * 1_000)
    async with bed.running():
        bed.command(up(1))
        await passes(bed, WHILE)
        assert answers(bed) == [(up(1).id, "failed")]
        yield bed


async def passes(bed: Bed, length: timedelta) -> None:
    """Let that much time pass, half a second after the other."""
    while length > timedelta():
        await bed.later(500 * MS)
        length -= 500 * MS


def back(bed: Bed) -> None:
    """The cluster answers again."""
    bed.targets.forgive()


def answers(bed: Bed) -> list[tuple[str | None, str]]:
    return [(each.command_id, each.phase.value) for each in bed.results() if each.command_id]


def target(key: ServiceKey) -> TargetKey:
    return TargetKey(key.namespace, TargetRef("apps/v1", "Deployment", key.name))


async def test_it_is_carried_out_within_one_back_off_of_the_return(in_vain: Bed) -> None:
    assert in_vain.committed() == 1
    back(in_vain)
    await passes(in_vain, LONGEST)
    assert answers(in_vain)[1:] == [(up(1).id, "accepted")]
    assert (await in_vain.targets.look(TARGET)).replicas == 1
    await passes(in_vain, WHILE)
    assert len(answers(in_vain)) == 2


async def test_a_newer_command_takes_its_place_and_is_tried_as_often(in_vain: Bed) -> None:
    in_vain.command(up(2))
    await passes(in_vain, WHILE)
    assert answers(in_vain)[1:] == [(up(2).id, "failed")]
    back(in_vain)
    await passes(in_vain, LONGEST)
    assert answers(in_vain)[2:] == [(up(2).id, "accepted")]


async def test_the_same_command_delivered_again_gets_its_answer(in_vain: Bed) -> None:
    in_vain.command(up(1))
    await passes(in_vain, WHILE)
    assert answers(in_vain)[1:] == [(up(1).id, "failed")]
    assert in_vain.committed() == 2


async def test_what_was_switched_off_meanwhile_is_left_alone(in_vain: Bed) -> None:
    in_vain.switch("*", mode=Mode.OBSERVE)
    await settled()
    back(in_vain)
    await passes(in_vain, WHILE)
    assert len(answers(in_vain)) == 1
    assert (await in_vain.targets.look(TARGET)).replicas == 0


async def test_a_cluster_that_is_back_and_refuses_is_told_of(in_vain: Bed) -> None:
    back(in_vain)
    in_vain.targets.fail(TargetForbiddenError("may not scale; grant `update`"))
    await passes(in_vain, LONGEST)
    assert [each.error.code for each in in_vain.results() if each.error] == ["busy", "forbidden"]
    await passes(in_vain, WHILE)
    assert len(answers(in_vain)) == 2


async def test_a_request_without_the_log_that_fails_too_leaves_it_waiting(bed: Bed) -> None:
    bed.targets.fail(*[AWAY] * 1_000)
    handler = bed.handler()
    async with bed.running(handler):
        bed.command(up(1))
        await passes(bed, WHILE)
        with pytest.raises(TargetBusyError):
            await handler.wake(WEB, None)
        back(bed)
        await passes(bed, LONGEST)
        assert answers(bed) == [(up(1).id, "failed"), (up(1).id, "accepted")]


async def test_a_sleep_is_not_tried_on(bed: Bed) -> None:
    awake = bed.targets.scale_by_hand(TARGET, 1)
    bed.targets.fail(*[AWAY] * ATTEMPTS)
    async with bed.running():
        bed.command(zero(1, awake))
        await passes(bed, WHILE)
    assert answers(bed) == [(zero(1, awake).id, "failed")]
    assert (await bed.targets.look(TARGET)).replicas == 1


async def test_of_a_hundred_one_looks_and_when_it_is_answered_all_go_on(bed: Bed) -> None:
    bed.serve(*SERVICES)
    for key in SERVICES:
        bed.targets.create(target(key), replicas=0)
    bed.targets.fail(*[AWAY] * 10_000)
    async with bed.running():
        bed.command(*(up(1, key=key) for key in SERVICES))
        await passes(bed, WHILE)
        calls = len(bed.targets.calls)
        await passes(bed, WHILE)
        # A turn each 2.5 s, where chance draws the shortest back-off.
        assert len(bed.targets.calls) - calls <= WHILE / (LONGEST / 2) + 1
        back(bed)
        await passes(bed, LONGEST)
        assert {(await bed.targets.look(target(key))).replicas for key in SERVICES} == {1}


async def test_who_has_better_things_to_do_is_passed_over_and_the_longest_waiting_is_next() -> None:
    clock, tried = ManualClock(), []
    pace = Backoff(first=SECOND, longest=SECOND)
    async with asyncio.TaskGroup() as tasks:
        vigil = Vigil(tasks.create_task, clock, pace, lambda: 0.0)

        async def waits(name: str) -> None:
            assert await vigil.ask()
            tried.append(name)

        waiting = [tasks.create_task(waits(name)) for name in "abcdef"]
        await settled()
        waiting[0].cancel()
        await settled()
        clock.advance(SECOND / 2)
        await settled()
        assert tried == ["b"]
        vigil.answered()
        await settled()
        assert tried == ["b", "c", "d"]
        clock.advance(SECOND)
        await settled()
        clock.advance(SECOND)
        await settled()
    assert tried == list("bcdef")
