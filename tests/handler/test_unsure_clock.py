"""A handler that began while Kafka was away does not know the broker's time: it says so, and judges no sleep by it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from consumer.handler.scale_handler import ScaleHandler
from tests.handler.bed import Bed, settled
from tests.handler.samples import T0, TARGET, WEB, policy, zero


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.policies.put(policy())
    bed.clock.sure = False
    return bed


@pytest.fixture
async def handler(bed: Bed) -> AsyncIterator[ScaleHandler]:
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        yield handler


def answers(bed: Bed) -> list[tuple[str, str]]:
    return [(each.phase.value, each.error.code if each.error else "") for each in bed.results() if each.command_id]


@pytest.mark.parametrize("replicas", [0, 1])
async def test_what_a_direct_wake_did_says_whether_its_time_is_known(
    bed: Bed, handler: ScaleHandler, replicas: int
) -> None:
    bed.targets.create(TARGET, replicas=replicas)
    await handler.wake(WEB, None)
    await settled()
    (told,) = (each for each in bed.results() if each.cause == "direct")
    assert (told.at, told.clock_sure) == (T0, False)


async def test_a_sleep_is_left_to_be_judged_anew_until_the_time_is_known(bed: Bed, handler: ScaleHandler) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    # By this clock it was decided in a moment that is still to come, or right now: nobody knows.
    bed.command(zero(1, awake))
    await settled()
    assert answers(bed) == [("superseded", "too-late")]
    bed.clock.sure = True
    bed.clock.advance(timedelta(milliseconds=1))
    bed.command(zero(2, awake))
    await settled()
    assert answers(bed)[1:] == [("accepted", "")]
    assert bed.results()[-1].clock_sure
