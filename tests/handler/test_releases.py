"""Giving a target back for good: nobody would ask for it again, so it is tried until the cluster has answered."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.adapters.memory import MemoryMembership
from consumer.core.outcome import Command
from consumer.core.reasons import Code, because
from consumer.core.service import TargetRef
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerSettings
from consumer.ports import Change, LogError, TargetBusyError, TargetForbiddenError, TargetKey
from tests.handler.bed import SETTINGS, Bed, ShakyMembership, settled
from tests.handler.samples import MS, OTHER_REF, REF, SECOND, TARGET, WEB, policy, prepare, up, zero

BUSY = TargetBusyError("503: the API server is away")
MINUTE = timedelta(minutes=1)
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"
NEW = TargetKey(WEB.namespace, OTHER_REF)


def release(seq: int, code: Code = Code.POLICY_DELETED, target: TargetRef = REF) -> Command:
    return replace(up(seq, target=target), reason=because(code, target=str(target)))


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.targets.create(TARGET, replicas=0)
    return bed


@pytest.mark.parametrize("code", [Code.POLICY_DELETED, Code.TARGET_CHANGED])
async def test_a_release_is_tried_until_the_cluster_takes_it(bed: Bed, code: Code) -> None:
    bed.targets.fail(*[BUSY] * 30)
    bed.command(release(1, code))
    async with bed.running():
        for _ in range(29):
            await bed.later(MINUTE)
            assert (bed.phases(), bed.committed()) == ([], 0)
        await bed.later(MINUTE)
        assert bed.committed() == 1
    (accepted,) = bed.results()
    assert (accepted.phase.value, accepted.replicas, accepted.attempts) == ("accepted", 1, 31)


async def test_what_gives_nothing_back_is_still_given_up(bed: Bed) -> None:
    bed.serve(WEB)
    bed.targets.fail(*[BUSY] * SETTINGS.attempts)
    bed.command(up(1))
    async with bed.running():
        for _ in range(SETTINGS.attempts):
            await bed.later(MINUTE)
    assert bed.phases(WEB)[-1] == "failed"


def test_the_wait_for_the_next_try_of_a_release_grows_to_a_minute_and_no_further() -> None:
    releases = HandlerSettings().releases
    waits = [releases.delay(attempt, 0.999) for attempt in range(1, 1000)]
    assert waits == sorted(waits)
    assert waits[0] < 100 * MS
    assert 59 * SECOND < waits[-1] < MINUTE


async def test_a_newer_command_for_the_same_target_ends_the_tries_of_a_release(bed: Bed) -> None:
    bed.targets.fail(*[BUSY] * 10)
    bed.command(release(1))
    async with bed.running():
        for _ in range(9):
            await bed.later(MINUTE)
        bed.serve(WEB)
        bed.command(up(2))
        # Not one moment passes.
        await settled()
        answers = {result.command_id: result.phase.value for result in bed.results() if result.command_id}
        assert answers == {release(1).id: "superseded", up(2).id: "accepted"}
        assert bed.committed() == 2


async def test_a_handler_that_stops_leaves_the_release_to_the_next_one(bed: Bed) -> None:
    bed.targets.fail(*[BUSY] * 10)
    bed.command(release(1))
    async with bed.running():
        for _ in range(9):
            await bed.later(MINUTE)
    assert (bed.phases(), bed.committed()) == ([], 0)
    async with bed.running():
        await settled()
    assert (bed.phases(), bed.committed()) == (["accepted"], 1)
    assert (await bed.targets.look(TARGET)).replicas == 1


@pytest.mark.parametrize("tries", [0, 6])
async def test_a_target_that_is_gone_is_given_back(bed: Bed, tries: int) -> None:
    bed.targets.fail(*[BUSY] * tries)
    bed.targets.delete(TARGET)
    bed.command(release(1))
    async with bed.running():
        for _ in range(tries):
            await bed.later(MINUTE)
        await settled()
        assert bed.committed() == 1
    (done,) = bed.results()
    assert (done.phase.value, done.replicas, done.target.uid, done.error) == ("unchanged", 0, None, None)
    assert [change for _, change in bed.targets.calls if change] == []


async def test_a_prepare_ends_with_the_release_of_a_target_that_is_gone(bed: Bed) -> None:
    bed.serve(WEB)
    async with bed.running():
        bed.command(prepare(1))
        await settled()
        bed.policies.drop(WEB)
        bed.targets.delete(TARGET)
        bed.command(release(2))
        await settled()
    assert bed.phases()[-2:] == ["unchanged", "released"]
    assert bed.results()[-1].command_id == prepare(1).id


async def test_a_release_without_the_rights_for_it_fails_at_once_and_says_so(bed: Bed) -> None:
    bed.targets.fail(TargetForbiddenError("may not scale; grant `update`"))
    bed.command(release(1))
    async with bed.running():
        await settled()
        assert bed.committed() == 1
    (failed,) = bed.results()
    assert failed.error is not None
    assert (failed.phase.value, failed.error.code, failed.error.retryable) == ("failed", "forbidden", False)


async def test_an_old_target_that_can_not_be_reached_does_not_delay_the_wake_of_the_new_one(bed: Bed) -> None:
    bed.policies.put(policy(target=OTHER_REF))
    bed.targets.create(NEW, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(BUSY)
        bed.command(release(1, Code.TARGET_CHANGED))
        await settled()
        bed.command(up(2, target=OTHER_REF))
        # Not one moment passes.
        await settled()
        assert bed.targets.present(NEW).replicas == 1
        assert bed.targets.present(TARGET).replicas == 0
        assert bed.committed() == 0
        await bed.later(SECOND)
        assert bed.committed() == 2
    assert bed.targets.calls[-2:] == [(TARGET, None), (TARGET, Change(0, 1))]


async def test_what_comes_of_an_old_target_is_not_mistaken_for_news_of_the_new_one(bed: Bed) -> None:
    bed.policies.put(policy(target=OTHER_REF))
    bed.targets.create(NEW, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(BUSY)
        bed.command(release(1, Code.TARGET_CHANGED))
        await settled()
        bed.command(up(2, target=OTHER_REF), trace=TRACE)
        await bed.later(SECOND)
        bed.targets.make_ready(NEW, 1)
        await settled()
    assert [(result.phase.value, result.target.name) for result in bed.results()] == [
        ("observed", "web-next"),
        ("accepted", "web-next"),
        ("accepted", "web"),
        ("ready", "web-next"),
    ]
    assert bed.headers()[-1]["traceparent"] == TRACE.encode()


async def test_a_sleep_of_the_old_target_is_cancelled_by_a_wake_of_the_new_one(bed: Bed) -> None:
    bed.serve(WEB)
    awake = bed.targets.scale_by_hand(TARGET, 1)
    bed.targets.create(NEW, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(BUSY)
        bed.command(zero(1, awake))
        await settled()
        bed.policies.put(policy(target=OTHER_REF))
        bed.command(up(2, target=OTHER_REF))
        # Not one moment passes.
        await settled()
        answers = {result.command_id: result.phase.value for result in bed.results() if result.command_id}
        assert answers == {zero(1, awake).id: "superseded", up(2).id: "accepted"}
    assert bed.targets.present(TARGET).replicas == 1


async def test_calls_for_two_targets_of_one_service_that_hang_are_both_cut_off_when_the_partition_goes() -> None:
    bed = Bed(replace(SETTINGS, deadline=timedelta(hours=1), drain=50 * MS))
    bed.policies.put(policy(target=OTHER_REF))
    bed.targets.create(TARGET, replicas=0)
    bed.targets.create(NEW, replicas=0)
    member = ShakyMembership(MemoryMembership(bed.log, bed.settings.subscription()))
    async with bed.running(ScaleHandler(replace(bed.ports(), membership=member), bed.settings)):
        await settled()
        for command in (release(1, Code.TARGET_CHANGED), up(2, target=OTHER_REF)):
            bed.targets.stall()
            bed.command(command)
            await settled()
        assert [key for key, _ in bed.targets.calls] == [TARGET, NEW]
        member.failing["fetch"] = [LogError("no broker answers; is Kafka up?")]
        bed.command(up(3, target=OTHER_REF))
        await bed.told.next_call()
        # Joined anew; a call that still hung would keep its target to itself.
        await bed.later(SECOND)
        assert bed.committed() == 3
    assert [bed.targets.present(key).replicas for key in (TARGET, NEW)] == [1, 1]
