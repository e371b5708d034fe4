"""What is published of targets without a command: readiness, somebody else's hand, and what a predecessor missed."""

import pytest

from consumer.core.service import ServiceKey
from consumer.ports import Output, TargetBusyError, TargetKey, TargetView
from schemas.parts import KnownTarget, Reason
from schemas.service_status import ServiceStatus
from schemas.topics import Topic
from tests.handler.bed import Bed, settled
from tests.handler.samples import MS, OTHER_REF, REF, SECOND, T0, TARGET, WEB, policy, up, zero


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    return bed


def status(bed: Bed, view: TargetView | None, key: ServiceKey = WEB) -> None:
    """Write what the worker last said of a service."""
    bed.write(
        Topic.SERVICE_STATUS,
        key,
        ServiceStatus(
            cluster="default",
            namespace=key.namespace,
            service=key.name,
            target=KnownTarget(
                api_version=REF.api_version,
                kind=REF.kind,
                name=REF.name,
                uid=view.uid if view else None,
                generation=view.generation if view else None,
            ),
            replicas=view.replicas if view else None,
            ready_replicas=view.ready if view else None,
            reason=Reason(code="asleep", message="asleep", facts={}),
            since=T0,
        ).encode(),
    )


async def test_what_the_log_knows_already_is_not_said_again(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1, ready=1))
    async with bed.running():
        await settled()
    assert bed.phases() == []


async def test_a_ready_that_a_predecessor_did_not_live_to_publish_is_published(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1))
    bed.targets.make_ready(TARGET, 1)
    async with bed.running():
        await settled()
    (ready,) = bed.results()
    assert (ready.phase.value, ready.replicas, ready.ready_replicas) == ("ready", 1, 1)


async def test_what_changed_while_nobody_watched_is_observed_with_who_did_it(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1, ready=1))
    bed.targets.scale_by_hand(TARGET, 0, "maria")
    bed.targets.make_ready(TARGET, 0)
    async with bed.running():
        await settled()
    assert bed.phases() == ["observed", "notReady"]
    assert bed.results()[0].manager == "maria"


async def test_a_target_that_was_deleted_while_nobody_watched_is_observed_as_not_there(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1, ready=1))
    bed.targets.delete(TARGET)
    async with bed.running():
        await settled()
    (gone,) = bed.results()
    assert (gone.phase.value, gone.target.uid, gone.target.generation) == ("observed", None, None)
    assert (gone.replicas, gone.ready_replicas) == (0, 0)


async def test_a_target_that_can_not_be_looked_for_is_left_to_the_watch(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1, ready=1))
    bed.targets.delete(TARGET)
    bed.targets.fail(TargetBusyError("500"))
    async with bed.running():
        await settled()
        assert bed.phases() == []
        bed.targets.create(TARGET, replicas=0)
        await settled()
    assert bed.phases() == ["observed"]


async def test_a_target_that_goes_away_and_comes_again_is_observed_both_times(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1, ready=1)
    async with bed.running():
        await settled()
        bed.targets.delete(TARGET)
        await settled()
        bed.targets.create(TARGET, replicas=1)
        await settled()
    first, _, gone, again = bed.results()
    assert [result.phase.value for result in (first, gone, again)] == ["observed"] * 3
    assert gone.target.uid is None
    assert again.target.uid not in (first.target.uid, None)


async def test_somebody_else_s_scaling_is_observed_with_their_name(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.scale_by_hand(TARGET, 2, "hpa")
        await settled()
    assert [(result.phase.value, result.replicas, result.manager) for result in bed.results()] == [
        ("observed", 0, None),
        ("observed", 2, "hpa"),
    ]


async def test_a_target_that_is_not_named_by_any_policy_is_nobody_s_business(bed: Bed) -> None:
    bed.policies.drop(WEB)
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.make_ready(TARGET, 1)
        await settled()
    assert bed.phases() == []


async def test_a_policy_that_appears_makes_its_target_known(bed: Bed) -> None:
    bed.policies.drop(WEB)
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.serve(WEB)
        await settled()
    assert bed.phases() == ["observed"]


async def test_a_policy_that_goes_ends_the_watching(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.policies.drop(WEB)
        await settled()
        bed.targets.make_ready(TARGET, 1)
        await settled()
    assert bed.phases() == ["observed"]


async def test_a_policy_that_names_another_target_makes_that_one_known(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.policies.put(policy(target=OTHER_REF))
        await settled()
        bed.targets.create(TargetKey("shop", OTHER_REF), replicas=0)
        await settled()
        bed.targets.make_ready(TARGET, 1)
        await settled()
    assert [(result.phase.value, result.target.name, result.target.uid is None) for result in bed.results()] == [
        ("observed", "web", False),
        ("observed", "web-next", True),
        ("observed", "web-next", False),
    ]


async def test_policies_that_are_listed_late_are_compared_with_what_was_known(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1))
    bed.targets.make_ready(TARGET, 1)
    bed.policies.hide()
    async with bed.running():
        await settled()
        assert bed.phases() == []
        bed.policies.show()
        await settled()
    assert bed.phases() == ["ready"]


async def test_a_status_that_was_taken_back_or_knows_no_target_counts_as_nothing(bed: Bed) -> None:
    view = bed.targets.create(TARGET, replicas=1)
    status(bed, view)
    bed.write(Topic.SERVICE_STATUS, WEB, None)
    cart = ServiceKey("shop", "cart")
    status(bed, None, cart)
    bed.write(Topic.SERVICE_STATUS, cart, b"not json")
    async with bed.running():
        await settled()
    assert bed.phases() == ["observed"]


@pytest.mark.parametrize("key", [b"not a service", b"a/b/c", b"\xff/web", b""])
async def test_a_tombstone_of_no_service_is_passed_over(bed: Bed, key: bytes) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1))
    bed.log.append(Output(bed.settings.topic(Topic.SERVICE_STATUS), bed.partition(WEB), key, None))
    handler = bed.handler()
    async with bed.running(handler):
        await settled()
        assert handler.health().ready
    # What the log said of the others is known all the same.
    assert bed.phases() == []


async def test_our_own_sleep_is_not_observed_although_the_watch_shows_it_before_the_call_returns(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        # The change lands and is watched; the answer gets lost, so the call goes on for a while.
        bed.targets.fail_after(TargetBusyError("reset by peer"))
        bed.command(zero(1, awake))
        await settled()
        await bed.later(SECOND)
    by_us = [(result.phase.value, result.replicas, result.manager) for result in bed.results()[1:]]
    # Nobody knows by then that the call landed, so it is observed: as ours.
    assert by_us == [("observed", 0, "elasti"), ("unchanged", 0, "elasti")]


async def test_the_watch_is_begun_anew_when_it_breaks() -> None:
    bed = Bed()
    bed.serve(WEB)
    bed.targets.create(TARGET, replicas=0)
    bed.targets.break_watch(TargetBusyError("500"))
    async with bed.running():
        await settled()
        assert bed.phases() == []
        await bed.later(SECOND)
        bed.targets.scale_by_hand(TARGET, 1)
        await settled()
    assert bed.phases() == ["observed", "observed"]


async def test_an_up_that_is_known_by_the_call_is_not_undone_by_a_watch_that_lags(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.hold_watch()
        bed.command(up(1))
        await settled()
        bed.command(up(2, replicas=1))
        await bed.later(MS)
        bed.targets.release_watch()
        await settled()
    assert bed.phases() == ["observed", "accepted", "unchanged"]


async def test_a_restore_goes_on_until_the_log_can_be_read(bed: Bed) -> None:
    status(bed, bed.targets.create(TARGET, replicas=1))
    bed.targets.make_ready(TARGET, 1)
    handler = bed.handler()
    bed.reader_fails(Topic.SERVICE_STATUS, times=2)
    async with bed.running(handler):
        await settled()
        assert not handler.health().ready
        await bed.later(SECOND)
        await bed.later(SECOND)
        assert handler.health().ready
    assert bed.phases() == ["ready"]
