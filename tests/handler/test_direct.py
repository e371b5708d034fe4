"""Wakes while the log is away: carried out at once, published when it is back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest

from consumer.adapters.memory_notices import MemoryNotices
from consumer.core.policy import Pause, PauseKind, WakeReplicas
from consumer.core.service import OWN_MANAGER, Mode
from consumer.handler.notices import FAILURE, SUCCESS
from consumer.handler.scale_handler import ScaleHandler
from consumer.ports import Change, TargetBusyError, TargetForbiddenError, TargetInvalidError
from schemas.scale_result import ResultCause
from schemas.topics import Topic
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, T0, TARGET, WEB, policy


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.policies.put(replace(policy(), min_replicas=2))
    bed.targets.create(TARGET, replicas=0)
    return bed


@pytest.fixture
async def handler(bed: Bed) -> AsyncIterator[ScaleHandler]:
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        yield handler


async def test_a_direct_wake_is_carried_out_at_once_and_published_when_the_log_is_back(
    bed: Bed, handler: ScaleHandler
) -> None:
    bed.publisher.away = True
    await handler.wake(WEB, "00-trace")
    assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=2))]
    bed.targets.make_ready(TARGET, 1)
    await settled()
    bed.publisher.away = False
    await bed.later(SECOND)
    observed, accepted, ready = bed.results()
    assert [result.phase.value for result in (observed, accepted, ready)] == ["observed", "accepted", "ready"]
    assert (accepted.cause, accepted.command_id, accepted.triggered_at) == (ResultCause.DIRECT, None, T0)
    assert bed.headers()[1]["traceparent"] == b"00-trace"


@pytest.mark.parametrize(
    ("before_sleep", "wake_replicas", "wanted"),
    [
        (5, WakeReplicas.PREVIOUS, 5),
        (1, WakeReplicas.PREVIOUS, 2),
        (None, WakeReplicas.PREVIOUS, 2),
        (5, WakeReplicas.MIN, 2),
    ],
)
async def test_a_direct_wake_asks_for_what_there_was_before_the_sleep_if_it_saw_that_and_is_told_to(
    bed: Bed, handler: ScaleHandler, before_sleep: int | None, wake_replicas: WakeReplicas, wanted: int
) -> None:
    bed.policies.put(replace(policy(), min_replicas=2, wake_replicas=wake_replicas))
    if before_sleep is not None:
        bed.targets.scale_by_hand(TARGET, before_sleep)
        await settled()
        bed.targets.scale_by_hand(TARGET, 0)
    await settled()
    await handler.wake(WEB, None)
    assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=wanted))]


async def test_a_hundred_direct_wakes_share_one_call(bed: Bed, handler: ScaleHandler) -> None:
    await asyncio.gather(*(handler.wake(WEB, None) for _ in range(100)))
    assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=2))]
    assert bed.phases().count("accepted") <= 1


async def test_a_caller_that_gives_up_does_not_end_the_wake_for_the_others(bed: Bed, handler: ScaleHandler) -> None:
    async with asyncio.TaskGroup() as tasks:
        impatient, patient = tasks.create_task(handler.wake(WEB, None)), tasks.create_task(handler.wake(WEB, None))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
    assert len(bed.targets.calls) == 1


async def test_people_are_told_of_a_direct_wake_and_of_its_refusal_while_the_log_is_away(bed: Bed) -> None:
    bed.notices = people = MemoryNotices()
    bed.publisher.away = True
    bed.targets.fail(TargetForbiddenError("may not scale; grant `update`"))
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        with pytest.raises(TargetForbiddenError):
            await handler.wake(WEB, None)
        await handler.wake(WEB, None)
        await settled()
        bed.publisher.away = False
        await bed.later(SECOND)
    refused, woken = (each.notice for each in people.told)
    assert (refused.reason, refused.warning, woken.reason, woken.warning) == (FAILURE, True, SUCCESS, False)
    assert "grant" in refused.message
    assert "without Kafka (adopted)" in woken.message


async def test_a_refusal_of_the_cluster_reaches_every_caller(bed: Bed, handler: ScaleHandler) -> None:
    bed.targets.fail(TargetForbiddenError("may not scale; grant `update`"))
    with pytest.raises(TargetForbiddenError, match="grant"):
        await handler.wake(WEB, None)
    await handler.wake(WEB, None)
    assert (await bed.targets.look(TARGET)).replicas == 2


async def test_a_service_without_a_policy_is_not_woken(bed: Bed, handler: ScaleHandler) -> None:
    bed.policies.drop(WEB)
    await settled()
    with pytest.raises(TargetInvalidError, match="no policy"):
        await handler.wake(WEB, None)


async def test_before_the_policies_were_read_nobody_is_told_that_there_is_none(bed: Bed) -> None:
    bed.policies.hide()
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        with pytest.raises(TargetBusyError, match="not read yet"):
            await handler.wake(WEB, None)
        bed.policies.show()
        await settled()
        await handler.wake(WEB, None)
    assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=2))]


async def test_what_was_woken_before_the_handler_ever_was_a_member_is_told_once_it_is(bed: Bed) -> None:
    bed.reader_fails(Topic.CONTROL, times=2)
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        await handler.wake(WEB, None)
        await settled()
        assert bed.phases() == []
        health = handler.health()
        assert not health.ready
        assert "no broker answers" in health.trouble
        await bed.later(SECOND)
        await bed.later(SECOND)
        assert (handler.health().ready, handler.health().trouble) == (True, "")
    # What was done before the restore is seen by it once more, as a change of our own.
    assert [(each.phase.value, each.cause, each.manager) for each in bed.results()] == [
        ("accepted", ResultCause.DIRECT, OWN_MANAGER),
        ("observed", ResultCause.OBSERVED, OWN_MANAGER),
    ]


@pytest.mark.parametrize(("until", "wakes"), [(None, False), (T0 + SECOND, False), (T0, True)])
async def test_a_service_that_is_paused_altogether_is_not_woken_before_the_exact_end(
    bed: Bed, handler: ScaleHandler, until: datetime | None, wakes: bool
) -> None:
    bed.policies.put(replace(policy(), pause=Pause(PauseKind.ALL, until)))
    await settled()
    if wakes:
        await handler.wake(WEB, None)
    else:
        with pytest.raises(TargetInvalidError, match="paused"):
            await handler.wake(WEB, None)
    assert bool(bed.targets.calls) is wakes


async def test_in_observe_nothing_is_woken(bed: Bed, handler: ScaleHandler) -> None:
    bed.switch("*", mode=Mode.OBSERVE)
    await settled()
    with pytest.raises(TargetInvalidError, match="mode"):
        await handler.wake(WEB, None)


async def test_a_handler_that_stops_says_so_to_who_waits(bed: Bed) -> None:
    handler = bed.handler()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(handler.run())
        await settled()
        bed.targets.stall()
        wake = asyncio.ensure_future(handler.wake(WEB, None))
        await settled()
        await handler.stop()
        await running
    with pytest.raises(TargetBusyError, match=r"stopping|no answer"):
        await wake
    with pytest.raises(TargetBusyError, match="does not run"):
        await handler.wake(WEB, None)
