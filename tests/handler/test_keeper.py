"""A resource that is deleted is held until its target is given back, with the log or without."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.adapters.memory_autoscalers import AutoscalerState, MemoryAutoscalers
from consumer.adapters.memory_notices import MemoryNotices
from consumer.adapters.memory_resources import MemoryResources
from consumer.core.policy import Pause, PauseKind
from consumer.core.service import Autoscaler, Mode, ServiceKey
from consumer.elastiservice import FINALIZER
from consumer.ports import (
    AutoscalerKey,
    PolicyEntry,
    PolicyGone,
    ResourceRef,
    Shadowed,
    TargetBusyError,
    TargetForbiddenError,
    TargetMovedError,
    TargetUnknownError,
)
from schemas.topics import Topic
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, TARGET, WEB, policy

KEDA = Autoscaler("keda", "web")
SCALED = AutoscalerKey("shop", "web")
REF = ResourceRef("shop", "web-policy", "r1")
OTHER = ResourceRef("shop", "web-second", "r2")
ENTRY = PolicyEntry(WEB, replace(policy(), min_replicas=2), resource=REF, generation=1)
GONE = PolicyGone(WEB, ENTRY.policy, REF, held=True)


class ApiBed(Bed):
    """A bed whose policies come from an API."""

    def __init__(self) -> None:
        super().__init__()
        self.api = MemoryResources(self.clock)
        self.resources = self.api
        self.told_people = MemoryNotices()
        self.notices = self.told_people
        self.keda = MemoryAutoscalers()
        self.autoscalers = self.keda
        self.api.create(REF)

    def asleep(self, manager: str = "elasti") -> None:
        """The target was put to zero by this one."""
        self.targets.create(TARGET, replicas=1)
        self.targets.scale_by_hand(TARGET, 0, manager)


@pytest.fixture
def bed() -> ApiBed:
    return ApiBed()


def replicas(bed: Bed) -> int:
    return bed.targets.present(TARGET).replicas


async def test_a_resource_is_held_at_first_sight_and_once(bed: ApiBed) -> None:
    bed.policies.put_entry(ENTRY)
    async with bed.running():
        await settled()
        assert bed.api.finalizers(REF) == (FINALIZER,)
        bed.policies.put_entry(replace(ENTRY, held=True))
        await settled()
    assert [what for what, _ in bed.told.writes].count("finalizer") == 1


class Crowd(MemoryResources):
    """Counts how many calls are under way at once."""

    under_way = most = done = 0

    async def hold(self, resource: ResourceRef) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        # One turn of the loop is enough for all that wait to be under way, if they may.
        await asyncio.sleep(0)
        await super().hold(resource)
        self.under_way -= 1
        self.done += 1


async def test_a_hundred_resources_are_held_some_at_a_time_so_that_wakes_come_through(bed: ApiBed) -> None:
    # A deadline in real time, and a hundred calls: a slow machine must not cut one off.
    bed.settings = replace(bed.settings, deadline=timedelta(hours=1))
    bed.resources = crowd = Crowd(bed.clock)
    for number in range(100):
        key = ServiceKey("shop", f"web-{number}")
        ref = ResourceRef("shop", f"web-{number}", f"r-{number}")
        crowd.create(ref)
        bed.policies.put_entry(replace(ENTRY, key=key, policy=replace(policy(), key=key), resource=ref))
    async with bed.running():
        await settled()
    assert (crowd.done, crowd.most) == (100, 16)


async def test_a_resource_that_comes_later_is_held_too_and_after_errors(bed: ApiBed) -> None:
    async with bed.running():
        await settled()
        bed.api.fail(TargetBusyError("500"), TargetForbiddenError("403"))
        bed.policies.put_entry(ENTRY)
        await settled()
        assert bed.api.finalizers(REF) == ()
        await bed.later(SECOND)
        await bed.later(SECOND)
        assert bed.api.finalizers(REF) == (FINALIZER,)


async def test_a_resource_that_is_gone_before_it_was_held_is_no_trouble(bed: ApiBed) -> None:
    bed.api.delete(REF)
    bed.policies.put_entry(ENTRY)
    async with bed.running():
        await settled()
        await bed.later(60 * SECOND)
    assert [result for what, result in bed.told.writes if what == "finalizer"] == ["gone"]


@pytest.mark.parametrize(("previous", "wanted"), [(5, 5), (1, 2), (None, 2)])
async def test_a_deleted_policy_gives_its_target_back_as_it_was_whatever_is_switched(
    bed: ApiBed, previous: int | None, wanted: int
) -> None:
    bed.settings = replace(bed.settings, mode=Mode.OBSERVE)
    bed.switch("*", frozen="sale")
    bed.asleep()
    paused = replace(policy(), min_replicas=2, pause=Pause(PauseKind.ALL))
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running():
        await settled()
        bed.policies.leave(replace(GONE, policy=paused, previous_replicas=previous))
        await settled()
    assert replicas(bed) == wanted
    assert not bed.api.exists(REF)


async def test_a_deleted_policy_needs_no_log_to_give_its_target_back(bed: ApiBed) -> None:
    bed.publisher.away = True
    bed.reader_fails(Topic.CONTROL, times=1_000)
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running():
        await settled()
        bed.policies.leave(GONE)
        await settled()
        assert replicas(bed) == 2
        assert not bed.api.exists(REF)


@pytest.mark.parametrize("manager", ["kubectl", "argocd"])
async def test_a_target_that_somebody_else_put_to_zero_is_not_touched(bed: ApiBed, manager: str) -> None:
    bed.asleep(manager)
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(GONE)
        await settled()
    assert replicas(bed) == 0
    assert bed.api.finalizers(REF) == ()


async def test_a_target_that_is_up_or_gone_counts_as_given_back(bed: ApiBed) -> None:
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(GONE)
        await settled()
    assert bed.api.finalizers(REF) == ()
    bed.targets.create(TARGET, replicas=1)
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(GONE)
        await settled()
    assert replicas(bed) == 1
    assert bed.api.finalizers(REF) == ()


async def test_a_policy_that_never_was_valid_is_let_go_at_once(bed: ApiBed) -> None:
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(replace(GONE, policy=None))
        await settled()
    assert bed.api.finalizers(REF) == ()
    assert bed.targets.calls == []


async def test_what_can_still_be_read_of_a_policy_that_never_was_valid_is_enough_to_give_back(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running():
        await settled()
        bed.policies.leave(replace(GONE, policy=None, remains=ENTRY.policy, previous_replicas=3))
        await settled()
    assert replicas(bed) == 3
    assert not bed.api.exists(REF)


async def test_a_target_of_a_kind_that_nobody_knows_is_gone(bed: ApiBed) -> None:
    await bed.api.hold(REF)
    bed.api.delete(REF)
    bed.targets.fail(TargetUnknownError("no such kind"))
    async with bed.running():
        await settled()
        bed.policies.leave(GONE)
        await settled()
        assert not bed.api.exists(REF)


@pytest.mark.parametrize(("mode", "held"), [(Mode.OBSERVE, False), (Mode.FULL, True)])
async def test_who_may_change_nothing_lets_go_in_observe_and_nowhere_else(
    bed: ApiBed, mode: Mode, *, held: bool
) -> None:
    bed.settings = replace(bed.settings, mode=mode)
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running():
        await settled()
        bed.targets.fail(None, *[TargetForbiddenError("403")] * 3)
        bed.policies.leave(GONE)
        await settled()
        assert bed.api.exists(REF) is held
    assert replicas(bed) == 0


async def test_in_a_namespace_that_is_deleted_the_rights_to_give_back_are_not_waited_for(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.end_namespace(REF.namespace)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetForbiddenError("403"))
        bed.policies.leave(GONE)
        await settled()
    assert not bed.api.exists(REF)
    assert replicas(bed) == 0


async def test_who_may_not_see_whether_the_namespace_is_deleted_waits_for_the_rights_to_give_back(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.end_namespace(REF.namespace)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetForbiddenError("403"))
        bed.api.fail(TargetForbiddenError("403"))
        bed.policies.leave(GONE)
        await settled()
        assert bed.api.exists(REF)
        await bed.later(SECOND)
        assert not bed.api.exists(REF)
    assert replicas(bed) == 2


async def test_somebody_who_changes_the_target_all_the_time_is_met_again_later(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running():
        await settled()
        before = len(bed.targets.calls)
        bed.targets.fail(*[None, TargetMovedError("422")] * 5)
        bed.policies.leave(GONE)
        await settled()
        assert len(bed.targets.calls) == before + 10
        assert bed.api.exists(REF)
        await bed.later(SECOND)
        assert not bed.api.exists(REF)
    assert replicas(bed) == 2


async def test_what_is_gone_already_or_comes_from_files_asks_for_nothing(bed: ApiBed) -> None:
    bed.asleep()
    async with bed.running():
        bed.policies.leave(replace(GONE, held=False))
        bed.policies.leave(replace(GONE, resource=None))
        await settled()
    assert replicas(bed) == 0


async def test_it_is_not_let_go_before_it_is_given_back(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("503"), None, TargetForbiddenError("403"))
        bed.policies.leave(GONE)
        bed.policies.leave(GONE)
        await settled()
        assert bed.api.finalizers(REF) == (FINALIZER,)
        for _ in range(3):
            await bed.later(SECOND)
    assert replicas(bed) == 2
    assert bed.api.finalizers(REF) == ()


async def test_somebody_who_is_quicker_is_not_overruled(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    async with bed.running():
        await settled()
        bed.targets.before_next_call(lambda: None)
        bed.targets.before_next_call(lambda: bed.targets.scale_by_hand(TARGET, 7))
        bed.policies.leave(GONE)
        await settled()
    assert replicas(bed) == 7
    assert bed.api.finalizers(REF) == ()


async def test_the_autoscaler_runs_again_before_the_resource_is_let_go(bed: ApiBed) -> None:
    bed.asleep()
    bed.keda.create(SCALED)
    await bed.keda.pause(SCALED, "c1")
    await bed.keda.pin(SCALED, "c1")
    await bed.api.hold(REF)
    bed.keda.fail(TargetBusyError("500"))
    async with bed.running():
        bed.policies.leave(replace(GONE, policy=replace(policy(), autoscaler=KEDA)))
        await settled()
        assert bed.api.finalizers(REF) == (FINALIZER,)
        await bed.later(SECOND)
    assert bed.keda.state(SCALED) == AutoscalerState()
    assert bed.api.finalizers(REF) == ()


@pytest.mark.parametrize("there", [True, False])
async def test_an_autoscaler_that_is_gone_or_somebody_elses_holds_nothing_up(bed: ApiBed, there: bool) -> None:
    bed.asleep()
    if there:
        bed.keda.pause_by_hand(SCALED, held_at=3)
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(replace(GONE, policy=replace(policy(), autoscaler=KEDA)))
        await settled()
    assert bed.api.finalizers(REF) == ()


async def test_two_handlers_give_back_at_once_without_harm(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    bed.api.delete(REF)
    async with bed.running(bed.handler(), bed.handler()):
        bed.policies.leave(replace(GONE, previous_replicas=4))
        await settled()
    assert replicas(bed) == 4
    assert not bed.api.exists(REF)


async def test_a_deleted_rival_is_let_go_and_the_target_stays_as_it_is(bed: ApiBed) -> None:
    bed.asleep()
    bed.api.create(OTHER, FINALIZER)
    bed.policies.put_entry(replace(ENTRY, shadowed=(Shadowed(OTHER, leaving=True),)))
    async with bed.running():
        await settled()
    assert bed.api.finalizers(OTHER) == ()
    assert replicas(bed) == 0


async def test_people_are_told_that_it_was_given_back(bed: ApiBed) -> None:
    bed.asleep()
    await bed.api.hold(REF)
    async with bed.running():
        bed.policies.leave(GONE)
        await settled()
    told = bed.told_people.told[-1].notice
    assert (told.about, told.reason) == (TARGET, "SuccessToScale")
    assert told.message.startswith("Successfully scaled 2 replicas for Deployment/web: ")
