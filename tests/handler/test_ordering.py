"""Which command is carried out, when, and how many at a time."""

from dataclasses import replace

import pytest

from consumer.core.reasons import Code, because
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Change, TargetBusyError, TargetKey
from tests.handler.bed import SETTINGS, Bed, settled
from tests.handler.samples import MS, OTHER_REF, REF, SECOND, TARGET, WEB, policy, prepare, up, zero

CART = ServiceKey("shop", "cart")
BOOK = ServiceKey("shop", "book")


def target_of(key: ServiceKey) -> TargetKey:
    return TargetKey(key.namespace, TargetRef("apps/v1", "Deployment", key.name))


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    return bed


async def test_of_two_commands_that_wait_together_only_the_newer_is_carried_out(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    bed.command(zero(1, awake), up(2))
    async with bed.running():
        await settled()
    answers = {result.command_id: result.phase.value for result in bed.results() if result.command_id}
    assert answers == {zero(1, awake).id: "superseded", up(2).id: "unchanged"}
    assert not any(change for _, change in bed.targets.calls)
    assert bed.committed() == 2


async def test_a_command_below_the_highest_seq_is_superseded_with_the_facts_of_now(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        bed.command(up(5))
        await settled()
        bed.command(zero(4, awake))
        await settled()
    late = bed.results()[-1]
    assert (late.phase.value, late.command_id, late.replicas, late.attempts) == ("superseded", zero(4, awake).id, 1, 0)
    assert late.error is not None
    assert late.error.code == "overtaken"


async def test_a_hundred_wakes_for_one_service_are_one_call(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    bed.command(*(up(seq) for seq in range(1, 101)))
    async with bed.running():
        await settled()
        await settled()
    assert [change for _, change in bed.targets.calls if change] == [Change(0, 1)]
    assert bed.phases().count("superseded") == 99
    assert bed.phases().count("accepted") == 1
    assert bed.committed() == 100


async def test_a_wake_cancels_the_retries_of_a_sleep(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("500"))
        bed.command(zero(1, awake))
        await settled()
        bed.command(up(2))
        await settled()
        # Not one moment passed.
        assert bed.phases() == ["observed", "superseded", "unchanged"]
        await bed.later(10 * SECOND)
    assert len(bed.phases()) == 3


async def test_a_redelivered_command_of_the_same_seq_does_not_cancel_a_wait(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("500"))
        bed.command(up(1))
        await settled()
        bed.command(up(1))
        await bed.later(49 * MS)
        assert bed.phases() == ["observed"]
        await bed.later(MS)
    assert bed.phases() == ["observed", "accepted", "unchanged"]
    assert bed.committed() == 2


async def test_wakes_go_before_sleeps_when_places_are_scarce() -> None:
    bed = Bed(replace(SETTINGS, parallel=1))
    keys = [ServiceKey("shop", name) for name in ("a", "b", "c", "d")]
    bed.serve(*keys)
    awake = {key: bed.targets.create(target_of(key), replicas=1) for key in keys[:2]}
    for key in keys[2:]:
        bed.targets.create(target_of(key), replicas=0)
    async with bed.running():
        await settled()
        # Both partitions are read in one go, the sleeps first; the first of them takes the only place.
        bed.command(*(zero(1, awake[key], key=key) for key in keys[:2]), *(up(1, key=key) for key in keys[2:]))
        await settled()
    directions = [change.wanted for _, change in bed.targets.calls if change]
    assert sorted(directions) == [0, 0, 1, 1]
    # The sleep that was already under way is the only one that a wake had to wait for.
    assert directions.index(1) <= 1
    assert directions[-1] == 0


async def test_a_wake_does_not_wait_in_the_place_of_the_sleep_that_it_overtakes() -> None:
    bed = Bed(replace(SETTINGS, parallel=1))
    bed.serve(WEB, CART)
    awake = bed.targets.create(TARGET, replicas=1)
    bed.targets.create(target_of(CART), replicas=0)
    async with bed.running():
        await settled()
        bed.targets.stall()
        bed.command(up(1, key=CART))
        await settled()
        bed.command(zero(1, awake))
        await settled()
        bed.command(up(2))
        await settled()
        superseded = bed.results(WEB)[-1]
        assert (superseded.phase.value, superseded.command_id) == ("superseded", zero(1, awake).id)
        assert await bed.told.next_call() == "busy"
        await settled()
    assert bed.phases(WEB) == ["observed", "superseded", "unchanged"]


async def test_targets_are_called_in_parallel_and_one_target_never_twice_at_a_time(bed: Bed) -> None:
    bed.serve(CART)
    bed.policies.put(policy(BOOK, target=REF))
    bed.targets.create(TARGET, replicas=0)
    bed.targets.create(target_of(CART), replicas=0)
    async with bed.running():
        await settled()
        bed.targets.stall()
        # Two services name the same Deployment; the second of them waits, another target does not.
        bed.command(up(1), up(1, key=BOOK, target=REF), up(1, key=CART))
        await settled()
        first = [key for key, _ in bed.targets.calls]
        assert sorted(first) == sorted([TARGET, target_of(CART)])
        assert await bed.told.next_call() == "busy"
        await bed.later(SECOND)
    assert {result.phase.value for result in bed.results() if result.command_id} == {"accepted", "unchanged"}


async def test_a_release_of_the_old_target_is_carried_out_beside_a_wake_of_the_new_one(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    bed.targets.create(TargetKey("shop", OTHER_REF), replicas=0)
    release = replace(up(1), reason=because(Code.TARGET_CHANGED))
    bed.command(release, up(2, target=OTHER_REF))
    async with bed.running():
        await settled()
    assert [result.target.name for result in bed.results() if result.phase.value == "accepted"] == ["web", "web-next"]


async def test_a_prepare_is_overtaken_like_any_other(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1)
    bed.command(prepare(1), up(2))
    async with bed.running():
        await settled()
    assert sorted(bed.phases()) == ["observed", "superseded", "unchanged"]


async def test_no_more_is_read_than_can_be_answered() -> None:
    bed = Bed(replace(SETTINGS, pending=2, batch=1))
    bed.serve(WEB)
    bed.targets.create(TARGET, replicas=0)
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        bed.publisher.held.clear()
        bed.command(*(up(seq) for seq in range(1, 11)))
        await settled()
        assert handler.health().pending == 2
        bed.publisher.held.set()
        for _ in range(5):
            await settled()
    assert bed.committed() == 10
