"""The status of resources: true a second after a change, and never written for a service to which nothing happens."""

from dataclasses import replace
from datetime import datetime

import pytest

from consumer.core.reasons import Code
from consumer.core.service import ServiceKey
from consumer.handler.standing import SOON
from consumer.ports import (
    Problem,
    ResourceRef,
    Shadowed,
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetInvalidError,
)
from schemas.parts import KnownTarget, Reason
from schemas.service_status import ServiceStatus
from schemas.topics import Topic
from tests.handler.bed import settled
from tests.handler.samples import SECOND, T0, TARGET, WEB, policy, up, zero
from tests.handler.test_keeper import ENTRY, OTHER, REF, ApiBed

HELD = replace(ENTRY, held=True)


@pytest.fixture
def bed() -> ApiBed:
    bed = ApiBed()
    bed.policies.put_entry(HELD)
    return bed


def judged(bed: ApiBed, code: Code, message: str = "because", *, woken: datetime | None = None) -> None:
    """The worker judges the service so."""
    status = ServiceStatus(
        cluster="default",
        namespace=WEB.namespace,
        service=WEB.name,
        target=KnownTarget(api_version="apps/v1", kind="Deployment", name="web"),
        reason=Reason(code=code.value, message=message),
        since=bed.clock.read().now,
        last_wake_at=woken,
    )
    bed.write(Topic.SERVICE_STATUS, WEB, status.encode())


def reason(bed: ApiBed, ref: ResourceRef = REF, kind: str = "Ready") -> object:
    conditions = bed.api.status(ref).get("conditions")
    assert isinstance(conditions, list)
    return next(one["reason"] for one in conditions if one["type"] == kind)


async def test_a_status_says_what_the_log_and_the_cluster_say(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=3)
    judged(bed, Code.NOT_IDLE, woken=T0)
    async with bed.running():
        await bed.later(SECOND)
    status = bed.api.status(REF)
    assert (status["replicas"], status["previousReplicas"], status["effectiveMode"]) == (3, 3, "full")
    assert status["lastScaledUpTime"] == "2026-01-31T09:30:00.000Z"
    assert isinstance(status["lastDecision"], dict)
    assert status["lastDecision"]["code"] == "not-idle"
    assert (reason(bed), reason(bed, kind="Active")) == ("InForce", "Awake")


async def test_a_sleep_and_a_wake_are_one_write_each(bed: ApiBed) -> None:
    awake = bed.targets.create(TARGET, replicas=3)
    async with bed.running():
        await bed.later(SECOND)
        written = len(bed.api.writes)
        bed.command(zero(1, awake))
        await settled()
        judged(bed, Code.IDLE)
        await bed.later(SECOND)
        assert (bed.api.status(REF)["replicas"], bed.api.status(REF)["previousReplicas"]) == (0, 3)
        assert len(bed.api.writes) == written + 1
        bed.command(up(2))
        await settled()
        judged(bed, Code.REQUEST, woken=bed.clock.read().now)
        await bed.later(SECOND)
        assert len(bed.api.writes) == written + 2
    assert bed.api.status(REF)["lastScaledUpTime"] == "2026-01-31T09:30:02.000Z"


async def test_traffic_causes_no_write(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=3)
    judged(bed, Code.RECENT_TRAFFIC)
    async with bed.running():
        await bed.later(SECOND)
        written = len(bed.api.writes)
        for minute in range(60):
            judged(bed, Code.RECENT_TRAFFIC, f"a request came at minute {minute}")
            await bed.later(60 * SECOND)
        assert len(bed.api.writes) == written


async def test_a_reason_that_swings_while_the_service_is_used_is_written_now_and_then(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=3)
    judged(bed, Code.RECENT_TRAFFIC)
    async with bed.running():
        await bed.later(SECOND)
        written = len(bed.api.writes)
        for half_minute in range(40):
            judged(bed, (Code.BUSY, Code.COOLING_DOWN, Code.NOT_IDLE)[half_minute % 3])
            await bed.later(30 * SECOND)
        assert 3 <= len(bed.api.writes) - written <= 4


async def test_a_sleep_does_not_wait_for_the_pace_of_what_went_before_it(bed: ApiBed) -> None:
    awake = bed.targets.create(TARGET, replicas=3)
    judged(bed, Code.RECENT_TRAFFIC)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.COOLING_DOWN)
        await bed.later(SECOND)
        bed.command(zero(1, awake))
        await settled()
        judged(bed, Code.IDLE)
        await bed.later(SECOND)
        assert bed.api.status(REF)["replicas"] == 0


async def test_an_invalid_policy_gets_its_condition_and_an_event_once(bed: ApiBed) -> None:
    problem = Problem("shop/web-policy", "spec.service", "is missing; write a name, like web")
    bed.policies.put_entry(replace(HELD, policy=None, problems=(problem,)))
    async with bed.running():
        await bed.later(SECOND)
        assert reason(bed) == "InvalidPolicy"
        bed.policies.put_entry(replace(HELD, policy=None, problems=(problem,), generation=1))
        await bed.later(60 * SECOND)
    told = [one for one in bed.told_people.told if one.notice.reason == "InvalidPolicy"]
    assert [one.count for one in told] == [1]
    assert "write a name, like web" in told[0].notice.message


async def test_rivals_get_their_conditions(bed: ApiBed) -> None:
    bed.api.create(OTHER)
    leaving = ResourceRef("shop", "gone", "r3")
    bed.policies.put_entry(replace(HELD, shadowed=(Shadowed(OTHER), Shadowed(leaving, leaving=True))))
    bed.targets.create(TARGET, replicas=1)
    bed.policies.conflicts[WEB] = ServiceKey("shop", "old")
    async with bed.running():
        await bed.later(SECOND)
    assert (reason(bed), reason(bed, OTHER)) == ("Conflict", "Conflict")


async def test_a_rival_from_files_has_no_status_but_its_shadow_has(bed: ApiBed) -> None:
    bed.api.create(OTHER)
    bed.policies.put_entry(replace(HELD, resource=None, shadowed=(Shadowed(OTHER),)))
    async with bed.running():
        await bed.later(SECOND)
    assert reason(bed, OTHER) == "Conflict"
    assert bed.api.status(REF) == {}


async def test_a_target_that_never_was_is_missing_until_it_comes(bed: ApiBed) -> None:
    async with bed.running():
        await bed.later(SECOND)
        # The watch may have only just begun.
        assert bed.api.status(REF) == {}
        await bed.later(30 * SECOND)
        assert reason(bed) == "TargetMissing"
        bed.targets.create(TARGET, replicas=1)
        await bed.later(SECOND)
        assert reason(bed) == "InForce"
        bed.targets.delete(TARGET)
        await bed.later(SECOND)
        assert reason(bed) == "TargetMissing"


@pytest.mark.parametrize(
    ("refusal", "reason_shown"),
    [(TargetInvalidError("no such kind"), "TargetInvalid"), (TargetForbiddenError("403"), "TargetForbidden")],
)
async def test_a_target_that_can_not_be_looked_at_is_told(bed: ApiBed, refusal: TargetError, reason_shown: str) -> None:
    bed.targets.fail(*[refusal] * 5)
    async with bed.running():
        await bed.later(SECOND)
        await bed.later(30 * SECOND)
    assert reason(bed) == reason_shown


async def test_contested_names_the_manager_in_condition_and_event(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=1)
    judged(bed, Code.NOT_IDLE)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.CONTESTED, "argocd undid the last 3 sleeps")
        await bed.later(30 * SECOND)
        assert reason(bed) == "Contested"
    told = bed.told_people.told[-1].notice
    assert (told.about, told.reason, told.message) == (REF, "Contested", "argocd undid the last 3 sleeps")


async def test_errors_are_tried_again_with_what_is_true_by_then(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=1)
    bed.api.fail(TargetBusyError("500"), TargetForbiddenError("403"), TargetForbiddenError("403"))
    async with bed.running():
        for _ in range(3):
            await bed.later(SECOND)
        assert bed.api.status(REF) == {}
        bed.targets.scale_by_hand(TARGET, 5)
        await bed.later(SECOND)
    assert bed.api.status(REF)["replicas"] == 5


async def test_a_resource_that_is_gone_is_not_written(bed: ApiBed) -> None:
    bed.api.delete(REF)
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await bed.later(SECOND)
        bed.policies.drop(WEB)
        await bed.later(60 * SECOND)
    assert [result for what, result in bed.told.writes if what == "status"] == ["gone"]


async def test_what_is_not_restored_is_not_written_and_what_is_given_up_no_longer(bed: ApiBed) -> None:
    bed.reader_fails(Topic.SERVICE_STATUS, times=1_000)
    async with bed.running():
        await bed.later(SECOND)
        assert bed.api.writes == []
    bed.reader_fails(Topic.SERVICE_STATUS, times=0)
    bed.targets.create(TARGET, replicas=1)
    handler = bed.handler()
    async with bed.running(handler):
        await bed.later(SECOND)
        async with bed.running():
            await bed.later(SECOND)
            await handler.stop()
            await bed.later(SECOND)
            written = len(bed.api.writes)
            bed.targets.scale_by_hand(TARGET, 0)
            await bed.later(SECOND)
            assert len(bed.api.writes) == written + 1


async def test_following_the_statuses_goes_on_after_the_log_was_away_and_past_what_can_not_be_read(
    bed: ApiBed,
) -> None:
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await bed.later(SECOND)
        bed.following_fails()
        judged(bed, Code.FROZEN)
        await bed.later(SECOND)
        bed.write(Topic.SERVICE_STATUS, WEB, b"not json")
        await bed.later(30 * SECOND)
        decision = bed.api.status(REF)["lastDecision"]
        assert isinstance(decision, dict)
        assert decision["code"] == "frozen"
        bed.write(Topic.SERVICE_STATUS, WEB, None)
        await bed.later(30 * SECOND)


async def test_a_code_of_a_newer_version_is_left_out(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=1)
    status = ServiceStatus(
        cluster="default",
        namespace="shop",
        service="web",
        target=KnownTarget(api_version="apps/v1", kind="Deployment", name="web"),
        reason=Reason(code="from-the-future", message="?"),
        since=T0,
    )
    bed.write(Topic.SERVICE_STATUS, WEB, status.encode())
    async with bed.running():
        await bed.later(SECOND)
    assert "lastDecision" not in bed.api.status(REF)


async def test_a_steady_service_causes_no_write_and_no_event(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=0)
    judged(bed, Code.ASLEEP)
    async with bed.running():
        await bed.later(SECOND)
        calls, written = bed.told_people.calls, len(bed.api.writes)
        for _ in range(100):
            bed.policies.put_entry(HELD)
            await bed.later(60 * SECOND)
        assert (bed.told_people.calls, len(bed.api.writes)) == (calls, written)


async def test_a_second_policy_of_another_service_has_its_own_status(bed: ApiBed) -> None:
    key = ServiceKey("shop", "api")
    ref = bed.api.create(ResourceRef("shop", "api-policy", "r9"))
    bed.policies.put_entry(replace(HELD, key=key, policy=policy(key), resource=ref))
    async with bed.running():
        await bed.later(SECOND)
        await bed.later(30 * SECOND)
    assert reason(bed, ref) == "TargetMissing"


async def test_a_wake_that_was_given_up_stays_in_sight_until_a_replica_is_ready(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=1)
    judged(bed, Code.WAITING_READY, woken=T0)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.NEVER_READY, "no replica became ready", woken=T0)
        judged(bed, Code.COOLING_DOWN, woken=T0)
        await bed.later(SOON)
        assert reason(bed) == "NeverReady"
        bed.targets.make_ready(TARGET, 1)
        await bed.later(SOON)
        assert reason(bed) == "InForce"


@pytest.mark.parametrize("woken", [T0, T0 + SECOND])
async def test_a_wake_that_was_given_up_is_forgotten_with_the_next_one(bed: ApiBed, woken: datetime) -> None:
    bed.targets.create(TARGET, replicas=1)
    judged(bed, Code.NEVER_READY, "no replica became ready", woken=T0)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.WAITING_READY, woken=woken)
        await bed.later(SOON)
        assert reason(bed) == ("NeverReady" if woken == T0 else "InForce")


async def test_a_wake_that_was_given_up_is_no_fault_of_a_service_that_sleeps(bed: ApiBed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    judged(bed, Code.NEVER_READY, "no replica became ready", woken=T0)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.IDLE, woken=T0)
        bed.command(zero(1, awake))
        await bed.later(SOON)
        assert (reason(bed), reason(bed, kind="Active")) == ("InForce", "Asleep")


@pytest.mark.parametrize("for_a_moment", [True, False])
async def test_a_wake_that_was_given_up_is_over_once_a_replica_was_ready_however_soon_that_one_failed(
    bed: ApiBed, for_a_moment: bool
) -> None:
    bed.targets.create(TARGET, replicas=1)
    judged(bed, Code.NEVER_READY, "no replica became ready", woken=T0)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.COOLING_DOWN, woken=T0)
        await bed.later(SOON)
        assert reason(bed) == "NeverReady"
        bed.targets.make_ready(TARGET, 1)
        # Whether the status is looked at meanwhile is a matter of chance.
        await (settled() if for_a_moment else bed.later(SECOND))
        bed.targets.make_ready(TARGET, 0)
        await bed.later(SOON)
        assert reason(bed) == "InForce"


async def test_a_handler_that_stops_writes_what_it_would_have_written_a_second_later(bed: ApiBed) -> None:
    awake = bed.targets.create(TARGET, replicas=3)
    async with bed.running():
        await bed.later(SECOND)
        assert bed.api.status(REF)["replicas"] == 3
        bed.command(zero(1, awake))
        await settled()
    assert (bed.api.status(REF)["replicas"], reason(bed, kind="Active")) == (0, "Asleep")


async def test_a_handler_that_stops_does_not_keep_to_the_pace_but_leaves_out_what_only_swings(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=3)
    judged(bed, Code.RECENT_TRAFFIC)
    async with bed.running():
        await bed.later(SECOND)
        bed.targets.scale_by_hand(TARGET, 5)
        await settled()
    assert bed.api.status(REF)["replicas"] == 5
    written = len(bed.api.writes)
    async with bed.running():
        await bed.later(SECOND)
        judged(bed, Code.COOLING_DOWN)
        await settled()
    assert len(bed.api.writes) == written


async def test_a_handler_that_stops_tries_a_status_once(bed: ApiBed) -> None:
    bed.targets.create(TARGET, replicas=3)
    bed.api.fail(*[TargetBusyError("500")] * 10)
    async with bed.running():
        await bed.later(SECOND / 2)
    assert bed.told.writes == [("status", "busy")]
    assert bed.api.status(REF) == {}
