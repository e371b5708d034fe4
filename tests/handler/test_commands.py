"""Commands from the log to the cluster and back: a timeline for each promise."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.reasons import Code, because
from consumer.core.service import Direction, Mode, Phase
from consumer.ports import (
    Change,
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)
from schemas.scale_result import ResultCause
from tests.handler.bed import Bed, settled
from tests.handler.samples import MS, SECOND, TARGET, WEB, prepare, up, zero


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
    assert bed.told.scales == [(WEB, "success")]
    assert bed.told.became_ready_after == [SECOND]
    assert bed.committed() == 1


async def test_ready_carries_the_trace_of_the_request_that_woke_the_service(bed: Bed) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        bed.command(up(1), trace=trace)
        await settled()
        bed.targets.make_ready(TARGET, 1)
        await settled()
    traces = [(phase, found.get("traceparent")) for phase, found in zip(bed.phases(), bed.headers(), strict=True)]
    assert traces == [("observed", None), ("accepted", trace.encode()), ("ready", trace.encode())]


async def test_results_are_cloud_events_under_the_service_s_key(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        bed.command(up(1))
        await settled()
    headers = bed.headers()[-1]
    assert headers["ce_id"] == f"{up(1).id}:accepted".encode()
    assert headers["ce_type"] == b"elasti.scale-result.v1"
    assert headers["ce_source"] == b"/elasti/default/handler"
    assert headers["ce_subject"] == b"shop/web"
    assert headers["content-type"] == b"application/json"


async def test_the_clock_learns_from_the_append_times_of_results(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        bed.command(up(1))
        await settled()
    assert len(bed.clock.learned) == len(bed.results())


async def test_an_up_leaves_a_target_that_has_enough_as_it_is(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=3)
    async with bed.running():
        bed.command(up(1, replicas=2))
        await settled()
        # Read once more, since a watch may lag; changed never.
        assert bed.targets.calls == [(TARGET, None)]
    assert bed.phases() == ["observed", "unchanged"]
    assert bed.results()[-1].replicas == 3


async def test_an_up_that_lost_a_race_is_judged_anew_and_never_lowers(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.before_next_call(lambda: bed.targets.scale_by_hand(TARGET, 5, "maria"))
        bed.command(up(1, replicas=2))
        await settled()
    assert bed.targets.calls == [(TARGET, Change(expected=0, wanted=2)), (TARGET, None)]
    assert sorted(bed.phases()) == ["observed", "observed", "unchanged"]
    unchanged = next(result for result in bed.results() if result.phase.value == "unchanged")
    assert (unchanged.replicas, unchanged.manager) == (5, "maria")


async def test_an_up_that_lost_a_race_to_too_few_raises_them(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.before_next_call(lambda: bed.targets.scale_by_hand(TARGET, 1, "maria"))
        bed.command(up(1, replicas=2))
        await settled()
    assert bed.targets.calls[-1] == (TARGET, Change(expected=1, wanted=2))
    assert bed.phases() == ["observed", "accepted"]


async def test_a_target_that_somebody_changes_again_and_again_is_tried_later(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        for _ in range(5):
            bed.targets.fail(TargetMovedError("moved"), None)
        bed.command(up(1))
        await settled()
        assert bed.phases() == ["observed"]
        await bed.later(SECOND)
    assert bed.phases() == ["observed", "accepted"]
    assert bed.results()[-1].attempts == 2


async def test_a_sleep_goes_through_when_the_target_is_exactly_as_expected(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=2, ready=2)
    async with bed.running():
        await settled()
        bed.command(zero(1, awake))
        await settled()
        assert bed.targets.calls == [(TARGET, Change(2, 0, awake.resource_version))]
        bed.targets.make_ready(TARGET, 0)
        await settled()
    assert bed.phases() == ["observed", "ready", "accepted", "notReady"]
    assert [result.replicas for result in bed.results()] == [2, 2, 0, 0]


async def test_a_sleep_of_a_target_that_moved_since_is_superseded_with_fresh_facts(bed: Bed) -> None:
    then = bed.targets.create(TARGET, replicas=1)
    now = bed.targets.scale_by_hand(TARGET, 4, "maria")
    async with bed.running():
        bed.command(zero(1, then))
        await settled()
    superseded = bed.results()[-1]
    assert superseded.phase.value == "superseded"
    assert (superseded.replicas, superseded.target.generation, superseded.manager) == (4, now.generation, "maria")
    assert superseded.error is not None
    assert superseded.error.code == "moved"
    assert not any(change for _, change in bed.targets.calls)


async def test_a_sleep_that_was_refused_because_only_the_status_changed_is_superseded(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.before_next_call(lambda: bed.targets.make_ready(TARGET, 1))
        bed.command(zero(1, awake))
        await settled()
    assert bed.phases() == ["observed", "superseded", "ready"]
    assert (await bed.targets.look(TARGET)).replicas == 1


async def test_a_sleep_of_a_target_of_the_same_name_but_another_uid_is_superseded(bed: Bed) -> None:
    then = bed.targets.create(TARGET, replicas=1)
    bed.targets.delete(TARGET)
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        bed.command(zero(1, then))
        await settled()
    assert bed.phases() == ["observed", "superseded"]


async def test_a_prepare_asks_the_resolver_and_the_up_after_it_takes_that_back(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        bed.command(prepare(1))
        await settled()
        bed.command(up(2))
        await settled()
    draining, unchanged, released = bed.results()[1:]
    assert [result.phase.value for result in (draining, unchanged, released)] == ["draining", "unchanged", "released"]
    assert draining.command_id == released.command_id == prepare(1).id
    assert unchanged.command_id == up(2).id
    assert all(result.replicas == 1 for result in (draining, unchanged, released))


async def test_a_sleep_ends_its_prepare_without_a_word(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        bed.command(prepare(1))
        await settled()
        bed.command(zero(2, awake))
        await settled()
        bed.command(up(3))
        await settled()
    assert bed.phases() == ["observed", "draining", "accepted", "accepted"]


async def test_an_up_that_says_so_takes_back_a_prepare_of_a_handler_before_us_in_any_mode(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=1)
    bed.switch("*", mode=Mode.OBSERVE)
    async with bed.running():
        bed.command(replace(up(2), reason=because(Code.FROZEN, prepare="taken back")))
        await settled()
    unchanged, released = bed.results()[1:]
    assert (unchanged.phase.value, released.phase.value) == ("unchanged", "released")
    assert released.command_id is None


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (TargetGoneError("there is no Deployment/web; create it"), "create it"),
        (TargetForbiddenError("may not scale; grant `update`"), "grant"),
        (TargetInvalidError("has no `/scale`"), "/scale"),
    ],
)
async def test_what_asking_again_does_not_help_fails_at_once_and_says_what_to_do(
    bed: Bed, error: TargetError, advice: str
) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(error)
        bed.command(up(1))
        await settled()
        failed = bed.results()[-1] if bed.phases()[-1] == "failed" else bed.results()[-2]
        assert failed.error is not None
        assert (failed.error.code, failed.error.retryable, failed.attempts) == (error.code, False, 1)
        assert advice in failed.error.message
        assert bed.committed() == 1


async def test_a_target_that_is_not_there_has_neither_uid_nor_replicas(bed: Bed) -> None:
    async with bed.running():
        bed.command(up(1))
        await settled()
    (failed,) = bed.results()
    assert (failed.phase.value, failed.target.uid, failed.target.generation, failed.replicas) == (
        "failed",
        None,
        None,
        0,
    )


async def test_a_busy_cluster_is_asked_again_later_each_time_and_then_given_up(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(*[TargetBusyError("500: try again")] * 4)
        bed.command(up(1))
        # 50, 100, 200 ms: the least that the back-off gives for 100 ms doubled.
        for calls, wait in ((1, 50 * MS), (2, 100 * MS), (3, 200 * MS)):
            await bed.later(wait - MS)
            assert len(bed.told.calls) == calls
            await bed.later(MS)
        failed = bed.results()[-1]
    assert bed.told.calls == ["busy"] * 4
    assert failed.error is not None
    assert (failed.phase.value, failed.error.code, failed.error.retryable, failed.attempts) == (
        "failed",
        "busy",
        True,
        4,
    )


async def test_a_server_that_says_when_to_come_again_is_obeyed(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("429", 7 * SECOND))
        bed.command(up(1))
        await bed.later(7 * SECOND)
        assert bed.phases() == ["observed"]
        await bed.later(25 * MS)
    assert bed.phases() == ["observed", "accepted"]


@pytest.mark.parametrize(
    ("after", "phase", "replicas"), [(6 * SECOND, "accepted", 0), (6 * SECOND + MS, "superseded", 1)]
)
async def test_a_sleep_that_was_decided_too_long_ago_is_left_to_be_decided_anew(
    bed: Bed, after: timedelta, phase: str, replicas: int
) -> None:
    """The handler stood still; its successor has told a wake meanwhile that the pods are up, and nothing changed."""
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        late = zero(1, awake)
        bed.clock.advance(late.decided_at + after - bed.clock.read().now)
        bed.command(late)
        await settled()
    assert bed.phases()[-1] == phase
    assert bed.results()[-1].replicas == replicas


async def test_a_sleep_that_a_busy_cluster_did_not_take_in_time_has_failed_and_says_why(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("429", 7 * SECOND))
        bed.command(zero(1, awake))
        await bed.later(8 * SECOND)
        failed = bed.results()[-1]
    assert failed.error is not None
    assert (failed.phase.value, failed.error.code, failed.error.retryable) == ("failed", "busy", True)
    assert "429" in failed.error.message


async def test_a_call_that_landed_although_it_failed_is_found_out_by_reading_first(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.fail_after(TargetBusyError("reset by peer"))
        bed.command(zero(1, awake))
        await bed.later(SECOND)
    assert "unchanged" in bed.phases()
    assert bed.phases().count("superseded") == 0
    assert [change for _, change in bed.targets.calls if change] == [Change(1, 0, awake.resource_version)]


async def test_after_a_failed_call_a_watch_that_lags_is_not_believed(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.hold_watch()
        bed.targets.fail_after(TargetBusyError("reset by peer"))
        bed.command(up(1))
        await bed.later(SECOND)
        assert bed.targets.calls == [(TARGET, Change(0, 1)), (TARGET, None)]
        assert bed.phases() == ["observed", "unchanged"]
        bed.targets.release_watch()


async def test_a_call_without_an_answer_is_cut_off_and_tried_again(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.stall()
        bed.command(up(1))
        assert await bed.told.next_call() == "busy"
        await bed.later(SECOND)
    assert bed.phases() == ["observed", "accepted"]


async def test_what_came_of_a_freeze_during_the_wait_counts_at_the_next_attempt(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("500"))
        bed.command(zero(1, awake))
        await settled()
        bed.switch("shop/*", frozen="sale")
        await bed.later(SECOND)
    assert bed.phases() == ["observed", "superseded"]
    assert (await bed.targets.look(TARGET)).replicas == 1
