"""Commands from the log to the cluster and back: a timeline for each promise."""

import pytest

from consumer.core.service import Direction, Phase
from consumer.ports import Change
from schemas.scale_result import ResultCause
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, TARGET, WEB, up


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    return bed


async def test_a_wake_is_one_call_and_its_answer_and_ready_are_in_the_log(bed: Bed) -> None:
    asleep = bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.calls.clear()
        bed.command(up(1, replicas=2))
        await settled()
        assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=2))]
        await bed.later(SECOND)
        bed.targets.make_ready(TARGET, 1)
        await settled()
        observed, accepted, ready = bed.results()
    assert (observed.phase.value, observed.replicas, observed.command_id) == ("observed", 0, None)
    assert (accepted.phase.value, accepted.replicas, accepted.ready_replicas) == ("accepted", 2, 0)
    assert (accepted.command_id, accepted.cause) == (up(1).id, ResultCause.COMMAND)
    assert (accepted.target.uid, accepted.target.generation) == (asleep.uid, asleep.generation + 1)
    assert (accepted.triggered_at, accepted.decided_at, accepted.attempts) == (up(1).triggered_at, up(1).decided_at, 1)
    assert (ready.phase.value, ready.ready_replicas, ready.target.generation) == ("ready", 1, asleep.generation + 1)
    assert ready.cause is ResultCause.OBSERVED
    assert bed.told.answers == [(Direction.UP, Phase.ACCEPTED, 0 * SECOND)]
    assert bed.told.became_ready_after == [SECOND]
    assert bed.committed() == 1
