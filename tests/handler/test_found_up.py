"""A request without the log finds its target up: the log is told once it is back, and no older sleep is begun."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.service import ServiceKey, TargetRef
from consumer.handler.mentions import EVERY
from consumer.handler.scale_handler import ScaleHandler
from consumer.ports import Change, TargetBusyError, TargetKey, TargetView
from schemas.scale_result import ResultCause, ScaleResult
from tests.handler.bed import SETTINGS, Bed, settled
from tests.handler.samples import MS, SECOND, T0, TARGET, WEB, policy, prepare, up, zero

CART = ServiceKey("shop", "cart")
CART_TARGET = TargetKey("shop", TargetRef("apps/v1", "Deployment", "cart"))


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.policies.put(policy())
    return bed


@pytest.fixture
def awake(bed: Bed) -> TargetView:
    return bed.targets.create(TARGET, replicas=1)


@pytest.fixture
async def handler(bed: Bed, awake: TargetView) -> AsyncIterator[ScaleHandler]:
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        yield handler


def found_up(bed: Bed) -> list[ScaleResult]:
    return [each for each in bed.results() if each.phase.value == "unchanged" and each.cause is ResultCause.DIRECT]


def answers(bed: Bed) -> dict[str, tuple[str, str]]:
    """What became of each command, and why."""
    return {
        result.command_id: (result.phase.value, result.error.code if result.error else "")
        for result in bed.results()
        if result.command_id
    }


async def test_the_log_is_told_of_the_request_and_of_when_it_came(bed: Bed, handler: ScaleHandler) -> None:
    await handler.wake(WEB, "00-trace")
    await settled()
    (told,) = found_up(bed)
    assert (told.triggered_at, told.command_id, told.replicas) == (T0, None, 1)
    assert bed.headers()[-1]["traceparent"] == b"00-trace"
    assert [change for _, change in bed.targets.calls if change] == []


async def test_of_a_thousand_requests_in_an_outage_the_log_gets_the_last(bed: Bed, handler: ScaleHandler) -> None:
    bed.publisher.away = True
    for _ in range(1000):
        await handler.wake(WEB, None)
        bed.clock.advance(MS)
    bed.publisher.away = False
    await bed.later(SECOND)
    assert [told.triggered_at for told in found_up(bed)] == [T0 + 999 * MS]
    await bed.later(EVERY)
    assert len(found_up(bed)) == 1


async def test_with_the_log_there_a_busy_service_is_told_of_once_in_a_while_and_of_its_last_request(
    bed: Bed, handler: ScaleHandler
) -> None:
    for _ in range(100):
        await handler.wake(WEB, None)
        await bed.later(10 * MS)
    assert [told.triggered_at for told in found_up(bed)] == [T0]
    await bed.later(EVERY)
    assert [told.triggered_at for told in found_up(bed)] == [T0, T0 + 990 * MS]
    assert len({told.id for told in found_up(bed)}) == 2
    await bed.later(EVERY)
    assert len(found_up(bed)) == 2


async def test_services_do_not_wait_for_one_another(bed: Bed, handler: ScaleHandler) -> None:
    bed.policies.put(policy(CART))
    bed.targets.create(CART_TARGET, replicas=1)
    await settled()
    await asyncio.gather(handler.wake(WEB, None), handler.wake(CART, None))
    await settled()
    assert {told.service for told in found_up(bed)} == {"web", "cart"}


async def test_however_many_are_in_use_a_log_that_is_away_is_tried_by_some_at_a_time(bed: Bed) -> None:
    """Each try that fails is a line for people, and a connection."""
    services = [ServiceKey("shop", f"web-{number}") for number in range(100)]
    bed.serve(*services)
    for service in services:
        bed.targets.create(TargetKey("shop", TargetRef("apps/v1", "Deployment", service.name)), replicas=1)
    handler = bed.handler()
    async with bed.running(handler):
        await bed.later(SECOND)
        bed.publisher.away = True
        await asyncio.gather(*(handler.wake(service, None) for service in services))
        await settled()
        assert bed.told.not_published == 16
        bed.publisher.away = False
        await bed.later(SECOND)
        await settled()
        assert {told.service for told in found_up(bed)} == {service.name for service in services}


async def test_a_handler_that_stops_tells_what_it_would_have_told_later(bed: Bed, awake: TargetView) -> None:
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        await handler.wake(WEB, None)
        await bed.later(SECOND)
        await handler.wake(WEB, None)
        await settled()
        assert len(found_up(bed)) == 1
    assert [told.triggered_at for told in found_up(bed)] == [T0, T0 + SECOND]
    assert (await bed.targets.look(TARGET)).uid == awake.uid


async def test_a_handler_that_stops_while_the_log_is_away_comes_to_its_end() -> None:
    bed = Bed(replace(SETTINGS, parting=20 * MS))
    bed.policies.put(policy())
    bed.targets.create(TARGET, replicas=1)
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        bed.publisher.away = True
        await handler.wake(WEB, None)
        await settled()
    assert found_up(bed) == []


async def test_a_sleep_that_waits_for_its_next_attempt_is_given_up(
    bed: Bed, handler: ScaleHandler, awake: TargetView
) -> None:
    bed.targets.fail(TargetBusyError("500"))
    sleep = zero(1, awake)
    bed.command(sleep)
    await settled()
    await handler.wake(WEB, None)
    await settled()
    assert answers(bed) == {sleep.id: ("superseded", "asked-for")}
    await bed.later(10 * SECOND)
    assert [change for _, change in bed.targets.calls if change and change.wanted == 0] == [
        Change(1, 0, awake.resource_version)
    ]
    assert (await bed.targets.look(TARGET)).replicas == 1


@pytest.mark.parametrize("away", [True, False])
async def test_a_sleep_that_arrives_after_it_and_was_decided_before_it_is_not_begun(
    bed: Bed, handler: ScaleHandler, awake: TargetView, away: bool
) -> None:
    bed.publisher.away = away
    await bed.later(60 * SECOND)
    await handler.wake(WEB, None)
    await settled()
    sleep, draining = zero(1, awake), prepare(2)
    bed.command(sleep, draining)
    await settled()
    bed.publisher.away = False
    await bed.later(SECOND)
    assert {why for _, why in answers(bed).values()} <= {"asked-for", "overtaken"}
    assert {phase for phase, _ in answers(bed).values()} == {"superseded"}
    assert (await bed.targets.look(TARGET)).replicas == 1
    assert bed.committed() == 2


async def test_as_long_as_the_log_was_not_told_even_a_later_sleep_was_decided_without_it(
    bed: Bed, handler: ScaleHandler, awake: TargetView
) -> None:
    bed.publisher.away = True
    await handler.wake(WEB, None)
    await settled()
    sleep = replace(zero(1, awake), decided_at=T0 + timedelta(hours=1))
    bed.command(sleep)
    await settled()
    bed.publisher.away = False
    await bed.later(SECOND)
    assert answers(bed) == {sleep.id: ("superseded", "asked-for")}


async def test_a_sleep_that_was_decided_with_it_is_carried_out(
    bed: Bed, handler: ScaleHandler, awake: TargetView
) -> None:
    await handler.wake(WEB, None)
    await bed.later(EVERY)
    bed.command(replace(zero(1, awake), decided_at=T0 + timedelta(hours=1)))
    await settled()
    assert (await bed.targets.look(TARGET)).replicas == 0


async def test_a_wake_that_waits_is_none_of_its_business(bed: Bed, handler: ScaleHandler) -> None:
    bed.targets.scale_by_hand(TARGET, 0)
    await settled()
    bed.targets.fail(TargetBusyError("500"))
    bed.command(up(1))
    await settled()
    await handler.wake(WEB, None)
    await bed.later(SECOND)
    assert answers(bed) == {up(1).id: ("unchanged", "")}


async def test_a_sleep_whose_call_is_in_flight_is_undone_by_the_request(
    bed: Bed, handler: ScaleHandler, awake: TargetView
) -> None:
    wakes: list[asyncio.Future[None]] = []
    bed.targets.before_next_call(lambda: wakes.append(asyncio.ensure_future(handler.wake(WEB, None))))
    bed.command(zero(1, awake))
    await settled()
    await wakes[0]
    assert [change.wanted for _, change in bed.targets.calls if change] == [0, 1]
    assert (await bed.targets.look(TARGET)).replicas == 1


async def test_a_request_that_fails_gives_a_waiting_sleep_up_and_later_ones_are_free(
    bed: Bed, handler: ScaleHandler, awake: TargetView
) -> None:
    bed.targets.fail(TargetBusyError("500"), TargetBusyError("500"))
    first = zero(1, awake)
    bed.command(first)
    await settled()
    with pytest.raises(TargetBusyError):
        await handler.wake(WEB, None)
    await settled()
    assert answers(bed) == {first.id: ("superseded", "asked-for")}
    bed.command(replace(zero(2, awake), decided_at=T0 + 5 * SECOND))
    await bed.later(SECOND)
    assert (await bed.targets.look(TARGET)).replicas == 0
