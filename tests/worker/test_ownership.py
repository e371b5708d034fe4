"""Who owns a partition: handed over with its state, fenced, dropped and taken up again, or given up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.adapters.memory import MemoryMembership, MemoryReader, MemoryWriters
from consumer.core.service import ServiceKey
from consumer.ports import (
    LogError,
    LogSetupError,
    Ownership,
    PolicyEntry,
    Record,
    Subscription,
    Writer,
)
from consumer.worker.gate import GateFailedError
from consumer.worker.settings import WorkerSettings
from consumer.worker.worker import Worker
from schemas.topics import Topic
from tests.contracts.log_bed import Owner
from tests.worker.bed import WEB, Bed, policy
from tests.worker.flaws import Flaw, FlawedMembership, FlawedPublisher, FlawedReader, SilentWriters, flawed

CART = ServiceKey("shop", "cart")


async def test_a_partition_is_handed_over_with_its_state() -> None:
    bed = Bed(policy(), policy(CART), partitions=2)
    async with bed.running() as first:
        for key in (WEB, CART):
            bed.result("observed", key, replicas=0, ready_replicas=0)
            bed.request(key)
        await bed.until(lambda: len(bed.commands()) == 2)
        before = first.states()
        async with bed.running() as second:
            await bed.until(lambda: first.health().ready and len(first.states()) == 1)
            assert {**first.states(), **second.states()} == before
            for key in (WEB, CART):
                bed.request(key)
            await bed.flush()
            assert len(bed.commands()) == 2
        await bed.until(lambda: first.health().ready and len(first.states()) == 2)


async def test_what_was_decided_before_a_handover_is_written_first() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        assert bed.committed(Topic.SCALE_RESULTS) == 0
    assert bed.committed(Topic.SCALE_RESULTS) == 1
    assert bed.records(Topic.STATE)


async def test_a_zombie_that_wakes_up_finds_itself_fenced_and_joins_anew() -> None:
    bed = Bed(policy())
    ports = bed.ports()
    assert isinstance(ports.membership, MemoryMembership)
    async with bed.running(ports) as zombie:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
        await ports.membership.expire()
        async with bed.running():
            # Both read it; only the heir can say anything about it.
            bed.request()
            await bed.flush()
            assert len(bed.commands()) == 1
            await bed.pass_time(timedelta(seconds=2))
            assert zombie.health().joined
        await bed.until(lambda: zombie.health().ready and bool(zombie.states()))
        bed.request()
        await bed.flush()
        assert len(bed.commands()) == 1


async def test_a_commit_of_unknown_outcome_drops_the_partition_and_the_next_membership_goes_on() -> None:
    bed = Bed(policy())
    commits = Flaw()
    async with bed.running(flawed(bed, commits=commits)) as worker:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
        commits.times = 1
        bed.request()
        await bed.settle()
        assert bed.commands() == []
        await bed.pass_time(timedelta(seconds=2))
        assert worker.health().ready
        assert len(bed.commands()) == 1
        assert bed.committed(Topic.REQUEST_COUNTS) == 1


async def test_a_forward_that_fails_moves_no_offset_and_is_repeated() -> None:
    bed = Bed(policy(CART), partitions=2)
    flaw = Flaw(1)
    ports = bed.ports()
    async with bed.running(replace(ports, publisher=FlawedPublisher(ports.publisher, flaw))):
        bed.raw(Topic.REQUEST_COUNTS, b'{"svc": "cart", "namespace": "shop"}', bed.home(WEB))
        await bed.settle()
        assert bed.committed(Topic.REQUEST_COUNTS, bed.home(WEB)) == 0
        await bed.pass_time(timedelta(seconds=4))
        assert bed.committed(Topic.REQUEST_COUNTS, bed.home(WEB)) == 1
        assert len(bed.commands()) == 1


async def test_a_failed_last_transaction_does_not_stop_the_leaving() -> None:
    bed = Bed(policy())
    commits = Flaw()
    async with bed.running(flawed(bed, commits=commits)):
        bed.result("observed")
        await bed.settle()
        commits.times = 1
    assert bed.log.groups_with_members() == []
    assert bed.committed(Topic.SCALE_RESULTS) == 0


async def test_a_transaction_that_never_ends_does_not_stop_the_leaving() -> None:
    bed = Bed(policy(), settings=WorkerSettings(drain=timedelta(milliseconds=50)))
    writers = SilentWriters(bed.ports().writers)
    async with bed.running(replace(bed.ports(), writers=writers)):
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        writers.silent = True
        bed.request()
        await writers.waiting.wait()
    assert bed.committed(Topic.REQUEST_COUNTS, bed.home(WEB)) == 0


async def test_a_gate_that_fails_is_tried_again() -> None:
    bed = Bed(policy())
    worker = Worker(flawed(bed, opening=Flaw(3)), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bed.pass_time(timedelta(seconds=3), timedelta(milliseconds=250))
        assert worker.health().ready
        await worker.stop()


async def test_a_gate_that_never_opens_ends_the_worker() -> None:
    bed = Bed(policy(), settings=WorkerSettings(gate_attempts=3))
    worker = Worker(flawed(bed, opening=Flaw(99)), bed.settings)
    running = asyncio.get_running_loop().create_task(worker.run())
    await bed.pass_time(timedelta(seconds=3), timedelta(milliseconds=250))
    with pytest.raises(GateFailedError, match="3 attempts: the broker is away"):
        await running
    assert bed.log.groups_with_members() == []


async def test_nothing_is_read_before_the_policies_are_listed_and_the_switches_known() -> None:
    bed = Bed(policy())
    bed.policies.ready.clear()
    bed.request()
    worker = Worker(bed.ports(), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bed.pass_time(timedelta(seconds=5))
        assert not worker.health().ready
        assert bed.commands() == []
        bed.policies.ready.set()
        await bed.until(lambda: bool(bed.commands()))
        await worker.stop()


async def test_a_gate_is_left_when_its_partition_is_lost() -> None:
    bed = Bed(policy(), partitions=2)
    bed.policies.ready.clear()
    first, second = Worker(bed.ports(), bed.settings), Worker(bed.ports(), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.run())
        await bed.settle()
        tasks.create_task(second.run())
        await bed.settle()
        bed.policies.ready.set()
        await bed.until(lambda: first.health().ready and second.health().ready)
        assert [len(worker.health().partitions) for worker in (first, second)] == [1, 1]
        await first.stop()
        await second.stop()


class DeafReader(MemoryReader):
    """A restore that never ends, by a client that swallows the first cancellation, as one that is being closed does."""

    restoring = False

    async def read_to_end(self, topic: str, partition: int) -> AsyncIterator[Sequence[Record]]:
        if not topic.endswith(Topic.STATE):
            async for records in super().read_to_end(topic, partition):
                yield records
            return
        self.restoring = True
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()


async def test_a_gate_that_does_not_hear_its_end_at_once_is_told_again() -> None:
    bed = Bed(policy())
    reader = DeafReader(bed.log)
    worker = Worker(replace(bed.ports(), reader=reader), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bed.until(lambda: reader.restoring)
        await worker.stop()
    assert bed.log.groups_with_members() == []


async def test_a_state_that_can_not_be_read_ends_the_worker_and_says_what_to_do() -> None:
    bed = Bed(policy())
    bed.raw(Topic.STATE, b'{"v": 99}', key=b"shop/web")
    with pytest.raises(LogSetupError, match="write a tombstone for the key"):
        await Worker(bed.ports(), bed.settings).run()


async def test_tombstones_are_forgotten_at_the_restore() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed")
        await bed.flush()
    bed.raw(Topic.STATE, None, key=b"shop/web")
    bed.raw(Topic.STATE, None, key=b"shop/nobody")
    async with bed.running() as worker:
        assert worker.states()[WEB].target is None


async def test_a_rival_group_is_refused() -> None:
    bed = Bed()
    own = bed.settings.subscription()
    assert own.rivals is not None
    rival = MemoryMembership(bed.log, Subscription(f"{own.rivals}older", own.inputs))
    await rival.start(Owner())
    with pytest.raises(LogSetupError, match="stop all of them first"):
        await Worker(bed.ports(), bed.settings).run()
    await rival.stop()


async def test_a_log_that_is_away_at_the_start_is_waited_for_and_told() -> None:
    bed = Bed(policy())
    ports = bed.ports()

    class Away(MemoryMembership):
        times = 2

        async def start(self, ownership: Ownership) -> None:
            self.times -= 1
            if self.times >= 0:
                raise LogError("no broker")
            await super().start(ownership)

    away = Away(bed.log, bed.settings.subscription())
    worker = Worker(replace(ports, membership=away), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bed.until(lambda: worker.health().trouble == "no broker")
        assert not worker.health().ready
        await bed.pass_time(timedelta(seconds=5))
        await bed.until(lambda: worker.health().ready)
        assert worker.health().trouble == ""
        await worker.stop()


async def test_a_fetch_that_fails_is_followed_by_a_new_membership() -> None:
    bed = Bed(policy())
    membership = FlawedMembership(bed.log, bed.settings.subscription())
    membership.fetches = Flaw()
    async with bed.running(replace(bed.ports(), membership=membership)) as worker:
        membership.fetches.times = 2
        bed.request()
        await bed.pass_time(timedelta(seconds=5))
        assert worker.health().ready
        assert len(bed.commands()) == 1


async def test_a_worker_that_is_joining_anew_can_be_stopped() -> None:
    bed = Bed(policy())
    membership = FlawedMembership(bed.log, bed.settings.subscription())
    membership.fetches = Flaw()
    async with bed.running(replace(bed.ports(), membership=membership)):
        membership.fetches.times = 99
        bed.request()
        await bed.pass_time(timedelta(seconds=1))


async def test_ends_that_nobody_can_tell_keep_services_awake() -> None:
    bed = Bed(policy(cooldown=timedelta(minutes=1)))
    membership = FlawedMembership(bed.log, bed.settings.subscription())
    membership.questions, membership.answers = Flaw(), Flaw()
    async with bed.running(replace(bed.ports(), membership=membership)):
        bed.result("observed")
        await bed.settle()
        membership.questions.times = 99
        await bed.pass_time(timedelta(minutes=2), timedelta(seconds=15))
        assert bed.codes()[-1] == "behind"
        assert bed.commands() == []


async def test_positions_that_nobody_can_tell_keep_services_awake() -> None:
    bed = Bed(policy(cooldown=timedelta(minutes=1)))
    membership = FlawedMembership(bed.log, bed.settings.subscription())
    membership.answers = Flaw()
    async with bed.running(replace(bed.ports(), membership=membership)):
        bed.result("observed")
        await bed.settle()
        bed.judges.free.clear()
        await bed.pass_time(timedelta(seconds=60), timedelta(seconds=30))
        membership.answers.times = 1
        bed.judges.free.set()
        await bed.flush()
        assert bed.codes()[-1] != "idle"
        assert bed.commands() == []


async def test_switches_that_can_not_be_followed_are_followed_again() -> None:
    bed = Bed(policy())
    flaw = Flaw(3)
    ports = bed.ports()
    worker = Worker(replace(ports, reader=FlawedReader(MemoryReader(bed.log), flaw)), bed.settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bed.pass_time(timedelta(seconds=6), timedelta(milliseconds=250))
        assert worker.health().ready
        await worker.stop()


async def test_a_bug_is_not_hidden() -> None:
    bed = Bed(policy())
    ports = bed.ports()

    class Broken(MemoryWriters):
        async def open(self, partition: int) -> Writer:  # type: ignore[override]
            raise ZeroDivisionError(f"at {partition}")

    with pytest.raises(ZeroDivisionError):
        await Worker(replace(ports, writers=Broken(bed.log, "g")), bed.settings).run()


async def test_a_change_of_a_policy_reaches_only_its_owner() -> None:
    bed = Bed(partitions=2)
    async with bed.running() as first, bed.running() as second:
        await bed.until(lambda: first.health().ready and len(first.health().partitions) == 1)
        for key in (WEB, CART):
            bed.policies.put(PolicyEntry(key, policy(key)))
        await bed.settle()
        assert sorted(map(len, (first.states(), second.states()))) == [1, 1]
