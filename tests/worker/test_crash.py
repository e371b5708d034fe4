"""A worker killed at any step: its successor loses nothing, doubles nothing, and gives the same ids."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest

from consumer.adapters.memory import MemoryMembership
from consumer.core.inputs import RecordCause
from consumer.core.outcome import derived_id
from consumer.core.service import ServiceKey
from consumer.ports import Placed
from consumer.wire.state import state_from_bytes
from consumer.worker.settings import WorkerSettings
from consumer.worker.worker import Worker
from schemas.codec import Undecodable
from schemas.partitioning import record_key
from schemas.topics import Topic
from tests.worker.bed import WEB, Bed, policy
from tests.worker.mortal import Fate, KilledError, mortal

# These two belong into different partitions of two.
CART = ServiceKey("shop", "cart")


def prepared() -> tuple[Bed, dict[ServiceKey, Placed]]:
    """Two sleeping services; a request for each, one of them misplaced and without a key; and a record of poison."""
    # Short enough that all the lives together end before an unanswered wake is asked again.
    settings = WorkerSettings(flush_every=timedelta(milliseconds=50))
    bed = Bed(policy(), policy(CART), partitions=2, settings=settings)
    assert bed.home(WEB) != bed.home(CART)
    for key in (WEB, CART):
        bed.result("observed", key, replicas=0, ready_replicas=0)
    bed.raw(Topic.REQUEST_COUNTS, b"poison", bed.home(WEB))
    stray = bed.raw(Topic.REQUEST_COUNTS, b'{"svc": "cart", "namespace": "shop"}', bed.home(WEB))
    return bed, {WEB: bed.request(), CART: stray}


async def live(bed: Bed, fate: Fate) -> None:
    """Run one worker until its fate, or, when it has none, until everything is done."""
    real = bed.ports()
    assert isinstance(real.membership, MemoryMembership)
    worker = Worker(mortal(real, fate), bed.settings)
    running = asyncio.get_running_loop().create_task(worker.run())
    for _ in range(4):
        await bed.settle()
        bed.clock.advance(bed.settings.flush_every)
    await bed.settle()
    if not running.done():
        await worker.stop()
    with suppress(KilledError):
        await running
    if fate.dead:
        with suppress(ValueError):
            await real.membership.expire()


def check(bed: Bed, asked: dict[ServiceKey, Placed]) -> None:
    """Everything was done, and once."""
    commands = {command.id: command for command in bed.commands()}
    assert len(commands) == len(bed.commands())
    expected = {
        derived_id("command", key, RecordCause(placed.topic, placed.partition, placed.offset))
        for key, placed in asked.items()
    }
    assert set(commands) == expected
    assert max(Counter(decision.id for decision in bed.decisions()).values()) == 1
    assert [record.value for record in bed.records(Topic.DEAD_LETTER)] == [b"poison"]
    for partition in (0, 1):
        for topic in (Topic.REQUEST_COUNTS, Topic.SCALE_RESULTS):
            records = [record for record in bed.records(topic) if record.partition == partition]
            assert bed.committed(topic, partition) == len(records)
    for key, placed in asked.items():
        values = [r.value for r in bed.records(Topic.STATE) if r.key == record_key(key.namespace, key.name)]
        state = state_from_bytes(values[-1] or b"")
        assert not isinstance(state, Undecodable)
        assert state.ask is not None
        assert state.ask.command_id in expected
        assert state.last_request_at == placed.at


async def test_without_a_crash_everything_is_done_once() -> None:
    bed, asked = prepared()
    await live(bed, Fate())
    check(bed, asked)


async def test_a_successor_of_a_worker_killed_at_any_step_completes_its_work() -> None:
    bed, _ = prepared()
    whole = Fate()
    await live(bed, whole)
    names = Counter(whole.steps)
    assert {"fetch", "before a wake's commit", "after a wake's commit", "before publishing"} <= set(names)
    for last in range(1, len(whole.steps) + 1):
        bed, asked = prepared()
        await live(bed, Fate(last))
        await live(bed, Fate())
        check(bed, asked)


async def test_a_series_of_crashes_changes_nothing_either() -> None:
    bed, asked = prepared()
    for last in (3, 5, 8, 11, 13):
        await live(bed, Fate(last))
    await live(bed, Fate())
    check(bed, asked)


async def test_a_policy_that_goes_with_its_worker_has_no_request_judged_twice() -> None:
    """What was decided is durable before the offset moves: a successor reads the request of a forgotten one again."""
    bed, _ = prepared()
    whole = Fate()
    await live(bed, whole)
    for last in range(1, len(whole.steps) + 1):
        bed, _ = prepared()
        await live(bed, Fate(last))
        bed.policies.drop(WEB)
        await live(bed, Fate())
        assert max(Counter(decision.id for decision in bed.decisions()).values()) == 1


async def test_a_cancelled_worker_leaves_politely() -> None:
    bed, asked = prepared()
    running = asyncio.get_running_loop().create_task(Worker(bed.ports(), bed.settings).run())
    await bed.until(lambda: bool(bed.commands()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bed.log.groups_with_members() == []
    await live(bed, Fate())
    check(bed, asked)
