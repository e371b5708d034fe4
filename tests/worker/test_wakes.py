"""Requests wake: one command, durable with its cause, whoever sends them, with a policy or before it."""

from datetime import timedelta

import pytest
import structlog

from consumer.core.service import ServiceKey
from consumer.ports import PolicyEntry
from consumer.worker.settings import WorkerSettings
from schemas.parts import RecordCause
from schemas.topics import Topic
from tests.worker.bed import WEB, Bed, policy

NEW = ServiceKey("shop", "new")


async def asleep(bed: Bed, key: ServiceKey = WEB) -> None:
    """Let the worker see that the target is at zero."""
    bed.result("observed", key, replicas=0, ready_replicas=0)
    await bed.settle()


async def test_a_request_for_a_sleeping_service_wakes_it_at_once() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        asked = bed.request()
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert (command.direction, command.replicas, command.reason.code) == ("up", 1, "request")
        assert isinstance(command.cause, RecordCause)
        assert command.cause.offset == asked.offset
        assert command.triggered_at == asked.at
        assert bed.committed(Topic.REQUEST_COUNTS) == asked.offset + 1


async def test_a_hundred_requests_give_one_command() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        for _ in range(50):
            bed.request()
        await bed.settle()
        for _ in range(50):
            bed.request(count=3)
        await bed.flush()
        assert len(bed.commands()) == 1
        assert bed.committed(Topic.REQUEST_COUNTS) == 100


async def test_every_request_of_a_batch_is_counted_whether_folded_or_not() -> None:
    bed = Bed(policy())
    bed.judges.windows[WEB] = timedelta(minutes=5)
    async with bed.running() as worker:
        await asleep(bed)
        for seconds in (0, 0, 0.4, 0.8, 1.2, 1.6, 30, 30):
            bed.clock.now += timedelta(seconds=seconds)
            bed.request(count=2)
        await bed.flush()
        state = worker.states()[WEB]
        assert state.window is not None
        assert state.window.total(bed.clock.now) == 16
        assert state.last_request_at is not None
        assert [mark.offset for mark in state.marks if mark.topic == bed.name(Topic.REQUEST_COUNTS)] == [7]


async def test_a_count_of_zero_wakes_nobody() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.request(count=0)
        await bed.flush()
        assert bed.commands() == []
        assert bed.committed(Topic.REQUEST_COUNTS) == 1


async def test_a_request_older_than_its_limit_wakes_nobody() -> None:
    bed = Bed(policy())
    bed.request()
    bed.clock.now += timedelta(minutes=10, milliseconds=1)
    async with bed.running():
        await asleep(bed)
        await bed.flush()
        assert bed.commands() == []
        assert "stale-request" in bed.codes()


async def test_a_wake_without_answer_is_asked_again_when_it_is_due() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.request()
        await bed.settle()
        await bed.pass_time(timedelta(seconds=4.9))
        assert len(bed.commands()) == 1
        await bed.pass_time(timedelta(seconds=1))
        assert [command.reason.code for command in bed.commands()] == ["request", "unfinished"]


async def test_a_wake_that_was_answered_and_became_ready_is_not_asked_again() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.request()
        await bed.settle()
        (command,) = bed.commands()
        bed.clock.advance(timedelta(seconds=1))
        bed.result("accepted", command_id=command.id, cause="command", ready_replicas=0)
        bed.clock.advance(timedelta(seconds=1))
        bed.result("ready", cause="command", command_id=command.id)
        await bed.pass_time(timedelta(minutes=1))
        assert len(bed.commands()) == 1


async def test_a_wake_that_failed_is_repeated_without_a_second_request() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.request()
        await bed.settle()
        error = {"code": "busy", "message": "try again", "retryable": True}
        failed = bed.commands()[0].id
        bed.result("failed", command_id=failed, cause="command", replicas=0, ready_replicas=0, error=error)
        await bed.pass_time(timedelta(seconds=6))
        assert [command.reason.code for command in bed.commands()] == ["request", "unfinished"]


async def test_a_wake_owed_before_its_policy_is_paid_when_the_policy_appears() -> None:
    bed = Bed()
    async with bed.running():
        asked = bed.request(NEW)
        await bed.flush()
        assert bed.commands() == []
        assert bed.codes() == ["no-policy"]
        bed.policies.put(PolicyEntry(NEW, policy(NEW)))
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert command.triggered_at == asked.at


async def test_a_wake_owed_to_nobody_is_forgotten_when_its_caller_is_gone() -> None:
    bed = Bed()
    async with bed.running() as worker:
        bed.request(NEW)
        await bed.flush()
        assert NEW in worker.states()
        await bed.pass_time(timedelta(minutes=10) - bed.settings.flush_every * 2, timedelta(seconds=30))
        assert NEW in worker.states()
        await bed.pass_time(timedelta(seconds=3))
        assert NEW not in worker.states()
        assert bed.records(Topic.STATE)[-1].value is None


async def test_wakes_owed_to_nobody_are_bounded() -> None:
    bed = Bed(settings=WorkerSettings(most_owed=3))
    with structlog.testing.capture_logs() as logs:
        async with bed.running() as worker:
            for number in range(5):
                bed.request(ServiceKey("shop", f"new-{number}"))
            await bed.flush()
            assert len(worker.states()) == 3
            assert bed.committed(Topic.REQUEST_COUNTS) == 5
            await bed.pass_time(timedelta(minutes=1))
            bed.request(ServiceKey("shop", "new-5"))
            await bed.flush()
    # Once for all that come within a minute.
    told = [entry["turned_away"] for entry in logs if entry["event"] == "too many services without a policy"]
    assert told == ["shop/new-3", "shop/new-5"]


async def test_an_old_request_for_nobodys_service_leaves_nothing_behind() -> None:
    bed = Bed()
    bed.request(NEW)
    bed.clock.now += timedelta(minutes=11)
    async with bed.running() as worker:
        await bed.flush()
        assert worker.states() == {}
        assert bed.decisions() == []
        assert bed.records(Topic.STATE) == []


async def test_a_target_that_was_seen_before_its_policy_is_known_once_the_policy_comes() -> None:
    bed = Bed()
    async with bed.running() as worker:
        bed.result("observed", NEW, replicas=2)
        await bed.flush()
        assert NEW in worker.states()
        assert bed.decisions() == []
    # The handler says it once; a restart in between loses it no more.
    bed.clock.now += timedelta(minutes=1)
    async with bed.running() as worker:
        bed.policies.put(PolicyEntry(NEW, policy(NEW)))
        await bed.flush()
        state = worker.states()[NEW]
        assert state.target is not None
        assert state.target.replicas == 2
        assert state.first_seen_at > bed.clock.now - timedelta(minutes=1)


async def test_what_is_seen_of_nobodys_service_is_forgotten_after_a_while() -> None:
    bed = Bed()
    async with bed.running() as worker:
        bed.result("observed", NEW)
        await bed.flush()
        await bed.pass_time(timedelta(minutes=9), timedelta(seconds=30))
        assert NEW in worker.states()
        await bed.pass_time(timedelta(minutes=1))
        assert worker.states() == {}
        assert bed.records(Topic.STATE)[-1].value is None


@pytest.mark.parametrize("phase", ["accepted", "ready", "failed"])
async def test_other_results_of_nobodys_service_are_no_affair_of_ours(phase: str) -> None:
    bed = Bed()
    async with bed.running() as worker:
        bed.result(phase, NEW)
        await bed.flush()
        assert worker.states() == {}
        assert bed.committed(Topic.SCALE_RESULTS) == 1


async def test_word_of_no_traffic_for_nobodys_service_leaves_nothing_behind() -> None:
    bed = Bed()
    async with bed.running() as worker:
        bed.request(NEW, count=0)
        await bed.flush()
        assert worker.states() == {}
        assert bed.committed(Topic.REQUEST_COUNTS) == 1


async def test_a_direct_wake_is_adopted() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.result("accepted", cause="direct", ready_replicas=0)
        await bed.flush()
        assert bed.codes()[-1] == "adopted"


async def test_a_direct_wake_that_found_its_target_up_is_traffic_and_overtakes_a_sleep_that_is_under_way() -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        bed.result("observed")
        await bed.settle()
        await bed.pass_time(timedelta(minutes=16), timedelta(seconds=15))
        assert {command.direction for command in bed.commands()} == {"zero"}
        asked = bed.clock.now
        for _ in range(3):
            bed.result("unchanged", cause="direct", triggered_at=asked)
        await bed.flush()
        assert [command.direction for command in bed.commands()][-2:] == ["zero", "up"]
        assert [bed.codes().count("request"), bed.codes()[-1]] == [1, "request"]
        assert worker.states()[WEB].last_request_at == asked


async def test_a_wake_and_its_state_and_status_become_durable_together() -> None:
    bed = Bed(policy())
    async with bed.running():
        await asleep(bed)
        bed.request()
        await bed.until(lambda: bool(bed.commands()))
        assert bed.codes() == ["request"]
        keys = {record.key for record in bed.records(Topic.STATE)}
        assert keys == {b"shop/web"}
        (status,) = bed.records(Topic.SERVICE_STATUS)
        assert b'"code":"request"' in (status.value or b"")
        headers = dict(bed.records(Topic.SCALE_COMMANDS)[0].headers)
        assert headers["ce_type"] == b"elasti.scale-command.v1"
        assert headers["ce_subject"] == b"shop/web"


async def test_the_trace_of_a_request_goes_on_in_its_command() -> None:
    bed = Bed(policy())
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with bed.running():
        await asleep(bed)
        bed.request(headers=(("traceparent", trace),))
        await bed.until(lambda: bool(bed.commands()))
        assert dict(bed.records(Topic.SCALE_COMMANDS)[0].headers)["traceparent"] == trace
