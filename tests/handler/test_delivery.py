"""No answer is lost and no offset moves before its answer is in the log, whatever breaks."""

import asyncio
from dataclasses import replace

import pytest
import structlog

from consumer.adapters.memory import MemoryMembership
from consumer.core.service import ServiceKey, TargetRef
from consumer.handler.scale_handler import ScaleHandler
from consumer.ports import UNREADABLE, Change, LogSetupError, Output, TargetBusyError, TargetKey
from schemas.cloudevents import header
from schemas.topics import Topic
from tests.handler.bed import PARTITIONS, SETTINGS, Bed, settled
from tests.handler.samples import SECOND, TARGET, WEB, up, zero


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    return bed


async def killed(bed: Bed, running: asyncio.Task[None]) -> None:
    """End a handler while the log is away, so that nothing which it did is answered or committed: as a kill does."""
    before = dict(bed.log.committed.get(bed.settings.subscription().group, {}))
    running.cancel()
    await asyncio.wait((running,))
    assert bed.log.committed.get(bed.settings.subscription().group, {}) == before


async def test_an_offset_stays_until_the_log_has_the_answer(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.publisher.away = True
        bed.command(up(1))
        await settled()
        assert [change for _, change in bed.targets.calls if change] == [Change(0, 1)]
        await bed.later(SECOND)
        assert bed.committed() == 0
        assert bed.told.not_published > 1
        bed.publisher.away = False
        await bed.later(SECOND)
        assert bed.committed() == 1
    assert bed.phases() == ["observed", "accepted"]


async def test_ready_that_came_while_the_log_was_away_is_published_after_its_accepted(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.publisher.away = True
        bed.command(up(1))
        await settled()
        bed.targets.make_ready(TARGET, 1)
        await settled()
        bed.targets.scale_by_hand(TARGET, 3, "maria")
        await settled()
        bed.publisher.away = False
        await bed.later(SECOND)
    assert bed.phases() == ["observed", "accepted", "observed", "ready"]


async def test_answers_out_of_order_commit_only_what_is_answered_without_a_gap(bed: Bed) -> None:
    same = [ServiceKey("shop", f"s{number}") for number in range(40)]
    partition = bed.partition(WEB)
    other = next(key for key in same if bed.partition(key) == partition)
    bed.serve(other)
    bed.targets.create(TARGET, replicas=0)
    bed.targets.create(TargetKey("shop", TargetRef("apps/v1", "Deployment", other.name)), replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("500"))
        bed.command(up(1), up(1, key=other))
        await settled()
        assert bed.phases(other) == ["observed", "accepted"]
        assert bed.committed() == 0
        await bed.later(SECOND)
        assert bed.committed() == 2


async def test_a_redelivered_wake_after_a_crash_between_call_and_answer_is_unchanged(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bed.handler().run())
        await settled()
        bed.publisher.away = True
        bed.command(up(1))
        await settled()
        await killed(bed, running)
    bed.publisher.away = False
    async with bed.running():
        await settled()
    assert [change for _, change in bed.targets.calls if change] == [Change(0, 1)]
    assert bed.phases()[-1] == "unchanged"
    assert bed.results()[-1].command_id == up(1).id
    assert bed.committed() == 1


async def test_a_redelivered_sleep_after_a_crash_does_not_undo_the_wake_that_came_since(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bed.handler().run())
        await settled()
        bed.publisher.away = True
        bed.command(zero(1, awake))
        await settled()
        bed.command(up(2))
        await settled()
        await killed(bed, running)
    assert (await bed.targets.look(TARGET)).replicas == 1
    bed.publisher.away = False
    # The successor reads the old sleep alone: nothing tells it yet that a newer command exists.
    async with bed.running(ScaleHandler(bed.ports(), replace(SETTINGS, batch=1))):
        await settled()
    assert (await bed.targets.look(TARGET)).replicas == 1
    answers = {result.command_id: result.phase.value for result in bed.results() if result.command_id}
    assert answers == {zero(1, awake).id: "superseded", up(2).id: "unchanged"}


async def test_a_redelivered_sleep_that_had_landed_is_unchanged(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bed.handler().run())
        await settled()
        bed.publisher.away = True
        bed.command(zero(1, awake))
        await settled()
        await killed(bed, running)
    bed.publisher.away = False
    async with bed.running():
        await settled()
    assert bed.phases()[-1] == "unchanged"


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b"not json", "JSON"),
        (b"{}", "required"),
        (b"\xff\x00", "JSON"),
        (None, "tombstone"),
    ],
)
async def test_what_is_no_command_goes_to_the_dead_letters_and_the_offset_moves_on(
    bed: Bed, value: bytes | None, cause: str
) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        bed.write(Topic.SCALE_COMMANDS, WEB, value)
        bed.command(up(1))
        await settled()
        assert bed.committed() == 2
    (letter,) = bed.log.records(bed.settings.topic(Topic.DEAD_LETTER))
    assert letter.value == (value or b"")
    assert cause.lower() in (header(letter.headers, "cause") or b"").decode().lower()
    assert header(letter.headers, "topic") == b"elasti.scale-commands"
    assert bed.told.dead_letters == 1
    assert "accepted" in bed.phases()


async def test_a_record_that_nobody_can_read_is_told_of_with_what_is_wrong_with_it(bed: Bed) -> None:
    async with bed.running():
        name, why = bed.settings.topic(Topic.SCALE_COMMANDS), b"its compression is not known here"
        bed.log.append(Output(name, bed.partition(WEB), None, None, ((UNREADABLE, why),)))
        await settled()
        assert bed.committed() == 1
    (letter,) = bed.log.records(bed.settings.topic(Topic.DEAD_LETTER))
    assert header(letter.headers, "cause") == why


async def test_a_command_for_another_cluster_is_never_carried_out(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    elsewhere = Bed(replace(SETTINGS, cluster="elsewhere"))
    elsewhere.command(up(1))
    (record,) = elsewhere.log.records(elsewhere.settings.topic(Topic.SCALE_COMMANDS))
    async with bed.running():
        bed.write(Topic.SCALE_COMMANDS, WEB, record.value)
        await settled()
    assert bed.told.dead_letters == 1
    assert not any(change for _, change in bed.targets.calls)


async def test_a_polite_stop_finishes_the_call_in_flight_and_commits_it(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    handler = bed.handler()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(handler.run())
        await settled()
        bed.publisher.held.clear()
        bed.command(up(1))
        await settled()
        await handler.stop()
        await settled()
        assert not running.done()
        bed.publisher.held.set()
    assert bed.phases() == ["observed", "accepted"]
    assert bed.committed() == 1
    assert not handler.health().running


async def test_a_stop_leaves_waits_to_the_next_owner_at_once(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.targets.fail(TargetBusyError("500"))
        bed.command(up(1))
        await settled()
    assert bed.committed() == 0
    async with bed.running():
        await settled()
    assert bed.phases()[-1] == "accepted"
    assert bed.committed() == 1


async def test_a_stop_does_not_wait_for_ever_for_a_log_that_is_away(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        bed.publisher.held.clear()
        bed.command(up(1))
        await settled()
    assert bed.committed() == 0
    assert bed.phases() == ["observed"]


async def test_partitions_that_pass_to_a_second_handler_are_finished_first_and_served_by_it(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    first, second = bed.handler(), bed.handler()
    async with bed.running(first):
        await settled()
        bed.command(up(1))
        await settled()
        async with bed.running(second):
            await settled()
            shares = first.health().partitions, second.health().partitions
            assert sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))
            assert first.health().ready
            assert second.health().ready
            bed.command(up(2, replicas=2))
            await settled()
        await settled()
        assert first.health().partitions == frozenset(range(PARTITIONS))
        bed.command(up(3, replicas=3))
        await settled()
    assert [result.replicas for result in bed.results() if result.phase.value == "accepted"] == [1, 2, 3]
    assert bed.committed() == 3


async def test_a_log_that_is_not_set_up_ends_the_handler_with_the_reason(bed: Bed) -> None:
    bed.log.create("odd", 7)
    subscription = replace(bed.settings.subscription(), keyed=("odd",))
    ports = replace(bed.ports(), membership=MemoryMembership(bed.log, subscription))
    with pytest.raises(LogSetupError, match="odd has 7"):
        await ScaleHandler(ports, bed.settings).run()


async def test_transaction_marks_leave_no_lag_behind(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    async with bed.running():
        await settled()
        await bed.command_in_transaction(up(1))
        await settled()
        await bed.command_in_transaction(up(2))
        await settled()
    place = (bed.settings.topic(Topic.SCALE_COMMANDS), bed.partition(WEB))
    assert bed.log.committed[bed.settings.subscription().group][place] >= bed.log.end(place, committed_only=True) - 1


async def test_a_handler_that_was_cancelled_ends_as_politely(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    handler = bed.handler()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(handler.run())
        await settled()
        bed.publisher.held.clear()
        bed.command(up(1))
        await settled()
        running.cancel()
        await settled()
        bed.publisher.held.set()
    assert bed.committed() == 1


async def test_a_log_that_is_away_is_told_of_once_a_minute_however_much_waits_for_it(bed: Bed) -> None:
    services = [ServiceKey("shop", f"web-{number}") for number in range(50)]
    bed.serve(*services)
    for key in services:
        bed.targets.create(TargetKey("shop", TargetRef("apps/v1", "Deployment", key.name)), replicas=0)
    bed.publisher.away = True
    with structlog.testing.capture_logs() as lines:
        async with bed.running():
            bed.command(*(up(1, key=key) for key in services))
            for _ in range(150):
                await bed.later(SECOND)
            bed.publisher.away = False
            await bed.later(SECOND)
    told = [line for line in lines if line["event"] == "not published"]
    assert [line["log_level"] for line in told] == ["warning"] * 3
    assert sum(line["failures"] for line in told) > 50 * 100
    assert len(bed.results()) == 100
