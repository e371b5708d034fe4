"""What a status says of a policy, its target and its last decision, and how soon a difference is news."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.reasons import Code
from consumer.core.service import Mode, ServiceKey
from consumer.handler.standing import (
    AT_ONCE,
    SOMETIME,
    SOON,
    Knowledge,
    Present,
    pace,
    status_of,
    status_of_shadowed,
)
from consumer.ports import Condition, PolicyEntry, Problem, ResourceRef, ResourceStatus, Shadowed, Truth
from tests.handler.samples import SECOND, T0, WEB, policy, seen

REF = ResourceRef("shop", "web-policy", "r1")
ENTRY = PolicyEntry(WEB, policy(), resource=REF, generation=4)
WRONG = (Problem("shop/web-policy", "spec.triggers[0].metadata.threshold", 'must be a number; write "0.5"'),)
AWAKE = Knowledge(
    present=Present(Code.RECENT_TRAFFIC, "a request came", T0, Mode.FULL, last_wake_at=T0 - SECOND),
    view=seen(replicas=3),
    awake=3,
)


def condition(status: ResourceStatus, kind: str) -> Condition:
    return next(one for one in status.conditions if one.type == kind)


def judged(code: Code, known: Knowledge = AWAKE, message: str = "because") -> Knowledge:
    return replace(known, present=Present(code, message, T0, Mode.FULL))


def test_a_service_that_is_up_is_ready_and_active_with_its_last_decision() -> None:
    status = status_of(ENTRY, AWAKE, Mode.WAKE_ONLY)
    assert (status.replicas, status.previous_replicas, status.mode) == (3, 3, Mode.WAKE_ONLY)
    assert (status.observed_generation, status.last_scaled_up) == (4, T0 - SECOND)
    assert [(one.type, one.truth) for one in status.conditions] == [("Ready", Truth.TRUE), ("Active", Truth.TRUE)]
    assert status.decision is not None
    assert (status.decision.action, status.decision.code, status.decision.at) == ("hold", "recent-traffic", T0)


def test_a_service_that_sleeps_says_what_it_had_before() -> None:
    status = status_of(ENTRY, replace(AWAKE, view=seen(replicas=0)), Mode.FULL)
    assert (status.replicas, status.previous_replicas) == (0, 3)
    assert condition(status, "Active").truth is Truth.FALSE


@pytest.mark.parametrize(
    ("code", "action"),
    [(Code.IDLE, "zero"), (Code.REQUEST, "up"), (Code.AWAITING_RESOLVER, "prepare"), (Code.ASLEEP, "hold")],
)
def test_a_decision_is_named_by_what_was_decided(code: Code, action: str) -> None:
    decision = status_of(ENTRY, judged(code), Mode.FULL).decision
    assert decision is not None
    assert decision.action == action


@pytest.mark.parametrize("valid", [True, False])
def test_an_invalid_policy_says_what_to_write_instead_and_what_holds_meanwhile(valid: bool) -> None:
    entry = replace(ENTRY, problems=WRONG, policy=policy() if valid else None)
    ready = condition(status_of(entry, AWAKE if valid else Knowledge(), Mode.FULL), "Ready")
    assert (ready.truth, ready.reason) == (Truth.FALSE, "InvalidPolicy")
    assert 'threshold: must be a number; write "0.5"' in ready.message
    assert ("last valid content" in ready.message) == valid


def test_the_younger_of_two_policies_says_who_has_the_say() -> None:
    ready = condition(status_of(ENTRY, replace(AWAKE, older=ServiceKey("shop", "old")), Mode.FULL), "Ready")
    assert (ready.truth, ready.reason) == (Truth.FALSE, "Conflict")
    assert "shop/old" in ready.message


def test_a_missing_target_is_named() -> None:
    status = status_of(ENTRY, Knowledge(gone=True), Mode.FULL)
    assert condition(status, "Ready").reason == "TargetMissing"
    assert "Deployment/web" in condition(status, "Ready").message
    assert condition(status, "Active").truth is Truth.UNKNOWN


def test_a_target_that_was_not_seen_yet_is_no_fault() -> None:
    status = status_of(ENTRY, Knowledge(), Mode.FULL)
    assert condition(status, "Ready").truth is Truth.TRUE
    assert condition(status, "Active").reason == "TargetNotSeen"


@pytest.mark.parametrize(
    "code",
    [
        *(Code.BLIND, Code.STALE, Code.CLOCK, Code.NEVER_READY, Code.CONTESTED, Code.GUARD_TIMEOUT),
        Code.INVALID_PERIOD,
    ],
)
def test_what_keeps_a_policy_from_doing_its_work_makes_it_not_ready(code: Code) -> None:
    ready = condition(status_of(ENTRY, judged(code, message="argocd undid it"), Mode.FULL), "Ready")
    assert ready.truth is Truth.FALSE
    assert ready.message == f"argocd undid it ({code})"


@pytest.mark.parametrize("code", [Code.INVALID_POLICY, Code.CONFLICT, Code.FROZEN, Code.IDLE])
def test_what_was_cured_or_wanted_leaves_it_ready(code: Code) -> None:
    assert condition(status_of(ENTRY, judged(code), Mode.FULL), "Ready").truth is Truth.TRUE


@pytest.mark.parametrize(("problems", "reason"), [((), "Conflict"), (WRONG, "InvalidPolicy")])
def test_a_resource_in_the_shadow_of_another_says_so(problems: tuple[Problem, ...], reason: str) -> None:
    other = ResourceRef("shop", "web-second", "r2")
    status = status_of_shadowed(Shadowed(other, problems, generation=7), ENTRY)
    assert condition(status, "Ready").reason == reason
    assert status.observed_generation == 7
    assert status.mode is None
    assert (str(REF) in condition(status, "Ready").message) == (reason == "Conflict")


def status(known: Knowledge, entry: PolicyEntry = ENTRY, mode: Mode = Mode.FULL) -> ResourceStatus:
    return status_of(entry, known, mode)


NOW = status(judged(Code.RECENT_TRAFFIC))


@pytest.mark.parametrize(
    ("after", "wait"),
    [
        (NOW, None),
        (status(judged(Code.RECENT_TRAFFIC, message="another request, at another time")), None),
        (status(judged(Code.BUSY)), SOMETIME),
        (status(judged(Code.COOLING_DOWN)), SOMETIME),
        (status(judged(Code.BLIND)), SOON),
        (status(judged(Code.FROZEN)), SOON),
        (status(replace(judged(Code.RECENT_TRAFFIC), view=seen(replicas=4), awake=4)), SOON),
        (status(replace(judged(Code.RECENT_TRAFFIC), view=seen(replicas=0))), AT_ONCE),
        (status(judged(Code.RECENT_TRAFFIC), mode=Mode.OBSERVE), AT_ONCE),
        (status(judged(Code.RECENT_TRAFFIC), replace(ENTRY, problems=WRONG)), AT_ONCE),
        (status(judged(Code.RECENT_TRAFFIC), replace(ENTRY, generation=5)), AT_ONCE),
        (status(replace(judged(Code.RECENT_TRAFFIC), older=ServiceKey("shop", "old"))), AT_ONCE),
        (status(AWAKE), AT_ONCE),
    ],
)
def test_traffic_is_no_news_a_sleep_is_at_once(after: ResourceStatus, wait: timedelta | None) -> None:
    assert pace(NOW, after) == wait


def test_the_first_status_of_all_is_news() -> None:
    assert pace(None, NOW) == AT_ONCE
    assert pace(status(Knowledge()), status(replace(Knowledge(), present=AWAKE.present))) == AT_ONCE


def test_the_first_judgement_of_a_policy_is_news_at_once() -> None:
    assert pace(status(replace(AWAKE, present=None)), status(judged(Code.NEWBORN))) == AT_ONCE


@pytest.mark.parametrize("code", [Code.UNFINISHED, Code.WAITING_READY])
def test_a_service_that_got_ready_is_not_said_to_be_on_its_way_for_minutes(code: Code) -> None:
    waking = status(judged(code))
    assert pace(waking, status(judged(Code.COOLING_DOWN))) == SOON
    assert pace(waking, status(judged(Code.SLEEP_BUDGET))) == SOON
    assert pace(status(judged(Code.UNFINISHED)), status(judged(Code.WAITING_READY))) == SOMETIME


def test_what_somebody_else_woke_is_not_said_to_be_asleep_for_long() -> None:
    woken = status(judged(Code.ASLEEP))
    assert pace(woken, status(judged(Code.COOLING_DOWN))) == AT_ONCE
    assert pace(woken, woken) is None
    sleeping = replace(AWAKE, view=seen(replicas=0))
    assert pace(status(judged(Code.ASLEEP, sleeping)), status(judged(Code.FROZEN, sleeping))) == SOON
