"""What we would have done beside what happened: sleeps withheld, how long, how many too early, and what others did."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.core.service import Mode, ServiceKey
from consumer.insight.rehearsal import Compared, Rehearsal
from schemas.decision import Action, Decision
from schemas.scale_result import ScaleResult
from schemas.topics import Topic
from tests.insight.bed import COOLDOWN, History
from tests.worker.bed import WEB

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EXAMPLE = Decision.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
RESULT = ScaleResult.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]


def decided(
    action: Action, at: timedelta, *, withheld: bool = False, code: str = "idle", replicas: int = 1
) -> Decision:
    read = Decision.model_validate(EXAMPLE)
    return read.model_copy(
        update={
            "now": T0 + at,
            "action": action,
            "withheld": withheld,
            "command_id": None if withheld or action is Action.HOLD else "c",
            "reason": read.reason.model_copy(update={"code": code, "facts": {"cooldown": "15m00s"}}),
            "inputs": read.inputs.model_copy(update={"replicas": replicas}),
        }
    )


def seen(at: timedelta, replicas: int, manager: str | None = None) -> ScaleResult:
    return ScaleResult.model_validate(RESULT).model_copy(
        update={"at": T0 + at, "replicas": replicas, "manager": manager, "phase": "observed"}
    )


def compared(
    *told: Decision | ScaleResult, since: timedelta = timedelta(), until: timedelta = 120 * MINUTE
) -> Compared:
    read = Rehearsal()
    for one in told:
        if isinstance(one, Decision):
            read.decision(one)
        else:
            read.result(one)
    (found,) = read.compared(T0 + since, T0 + until)
    return found


ZERO, UP, HOLD = Action.ZERO, Action.UP, Action.HOLD


def test_a_sleep_that_was_withheld_lasts_until_something_asks_for_the_service() -> None:
    found = compared(decided(ZERO, 10 * MINUTE, withheld=True, replicas=3), decided(UP, 40 * MINUTE, code="request"))
    assert (found.sleeps, found.wakes, found.false_sleeps) == (1, 1, 0)
    assert (found.asleep, found.saved) == (30 * MINUTE, 90 * MINUTE)


@pytest.mark.parametrize(("length", "false"), [(15 * MINUTE, 1), (15 * MINUTE + timedelta(milliseconds=1), 0)])
def test_a_sleep_is_false_when_it_ends_within_one_cooldown(length: timedelta, false: int) -> None:
    found = compared(decided(ZERO, timedelta(), withheld=True), decided(UP, length, withheld=True))
    assert found.false_sleeps == false


def test_a_sleep_that_lasts_still_counts_up_to_now_and_is_not_false() -> None:
    found = compared(decided(ZERO, 110 * MINUTE, withheld=True))
    assert (found.sleeps, found.wakes, found.false_sleeps, found.asleep) == (1, 0, 0, 10 * MINUTE)


def test_a_freeze_a_pause_or_blindness_wakes_nobody() -> None:
    found = compared(
        decided(ZERO, 10 * MINUTE, withheld=True),
        decided(HOLD, 11 * MINUTE, code="blind"),
        decided(ZERO, 12 * MINUTE, withheld=True),
        decided(HOLD, 13 * MINUTE, code="frozen"),
        decided(UP, 70 * MINUTE, code="busy"),
    )
    assert (found.sleeps, found.wakes, found.asleep) == (1, 1, 60 * MINUTE)


def test_a_request_for_a_service_that_is_up_is_told_by_the_next_cycle() -> None:
    hold = decided(HOLD, 21 * MINUTE, code="recent-traffic")
    told = hold.model_copy(
        update={"reason": hold.reason.model_copy(update={"facts": {"last_request": "2026-01-31T12:20:00.000Z"}})}
    )
    found = compared(decided(ZERO, 10 * MINUTE, withheld=True), told)
    assert (found.wakes, found.false_sleeps, found.asleep) == (1, 1, 10 * MINUTE)
    # One that came before the sleep ends nothing.
    assert compared(decided(ZERO, 20 * MINUTE, withheld=True), told).wakes == 0


def test_a_resolver_that_would_have_been_asked_first_counts_as_a_sleep() -> None:
    found = compared(decided(Action.PREPARE, 10 * MINUTE, withheld=True), decided(UP, 40 * MINUTE))
    assert found.sleeps == 1


def test_what_began_before_the_time_is_counted_only_within_it() -> None:
    told = (decided(ZERO, 10 * MINUTE, withheld=True), decided(UP, 14 * MINUTE, withheld=True))
    found = compared(*told, since=12 * MINUTE)
    assert (found.sleeps, found.wakes, found.false_sleeps, found.asleep) == (0, 1, 0, 2 * MINUTE)
    assert compared(*told, since=14 * MINUTE) == Compared(found.key)


def test_saved_is_what_was_there_from_time_to_time() -> None:
    found = compared(
        seen(timedelta(), 2),
        decided(ZERO, 10 * MINUTE, withheld=True, replicas=2),
        seen(20 * MINUTE, 5, "kubectl"),
        decided(UP, 30 * MINUTE),
    )
    assert found.saved == 10 * MINUTE * 2 + 10 * MINUTE * 5
    assert (found.by_others, found.others) == (1, ("kubectl",))


def test_what_we_did_in_truth_is_no_rehearsal() -> None:
    found = compared(
        seen(timedelta(), 1),
        decided(ZERO, 10 * MINUTE),
        seen(10 * MINUTE, 0, "elasti"),
        decided(UP, 40 * MINUTE),
        seen(40 * MINUTE, 1, "elasti"),
    )
    assert (found.sleeps, found.asleep) == (0, timedelta())
    assert (found.real_sleeps, found.real_wakes, found.at_zero, found.by_others) == (1, 1, 30 * MINUTE, 0)


def test_a_service_that_is_at_zero_still_is_at_zero_until_now() -> None:
    found = compared(decided(HOLD, timedelta(), code="asleep"), seen(100 * MINUTE, 0, "kubectl"))
    assert (found.at_zero, found.by_others) == (20 * MINUTE, 0)


def test_a_service_of_which_nothing_was_decided_is_not_shown() -> None:
    read = Rehearsal()
    read.result(seen(timedelta(), 1))
    assert read.compared(T0, T0 + MINUTE) == []


async def test_a_real_history_in_observe_mode() -> None:
    history = History(mode=Mode.OBSERVE)
    async with history.running():
        await history.passes(COOLDOWN * 3)
        await history.request()
        begun = history.now
        await history.passes(COOLDOWN * 2)
        read = Rehearsal()
        for decision in history.bed.decisions():
            read.decision(decision)
        for record in history.bed.records(Topic.SCALE_RESULTS):
            assert record.value is not None
            read.result(ScaleResult.model_validate_json(record.value))
    (found,) = read.compared(begun - timedelta(days=1), history.now)
    assert found.key == ServiceKey("shop", "web") == WEB
    assert (found.sleeps, found.wakes) == (2, 1)
    assert (found.real_sleeps, found.real_wakes, found.at_zero) == (0, 0, timedelta())
    # The target was there with one replica all the time.
    assert found.saved == found.asleep > COOLDOWN
