"""More than can be done at once: nothing piles up, nothing sleeps meanwhile, and what waits is bounded."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from consumer.core.answers import Answers
from consumer.core.service import ServiceKey
from consumer.ports import Headers, Record, Subject
from consumer.worker.partition import weight_of
from consumer.worker.settings import WorkerSettings
from schemas.topics import Topic
from tests.worker.bed import Bed, Says, policy
from tests.worker.flaws import OneByOne

KEYS = [ServiceKey("shop", f"web-{number}") for number in range(20)]


class Slow(Says):
    """Judges whose sweep ends when a test lets it, and who count how many there are at once for each partition."""

    def __init__(self) -> None:
        super().__init__()
        self.now: dict[frozenset[ServiceKey], int] = {}
        self.most = 0

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        of_one = frozenset(subject.policy.key for subject in subjects)
        self.now[of_one] = self.now.get(of_one, 0) + 1
        self.most = max(self.most, *self.now.values())
        try:
            return await super().sweep(subjects, now)
        finally:
            self.now[of_one] -= 1


async def test_a_sweep_that_outlasts_its_cycle_is_the_only_one_of_its_partition() -> None:
    bed = Bed(*(policy(key) for key in KEYS), partitions=2)
    judges = bed.judges = Slow()
    async with bed.running():
        judges.free.clear()
        await bed.pass_time(timedelta(minutes=5), timedelta(seconds=10))
        assert len(judges.sweeps) == 2
        judges.free.set()
        await bed.pass_time(timedelta(minutes=2), timedelta(seconds=10))
        assert len(judges.sweeps) > 4
        assert judges.most == 1


async def test_nothing_sleeps_by_answers_that_took_longer_than_they_are_good_for() -> None:
    bed = Bed(policy())
    judges = bed.judges = Slow()
    bed.obedient = True
    async with bed.running():
        bed.result("observed")
        judges.free.clear()
        await bed.pass_time(timedelta(minutes=30), timedelta(seconds=10))
        assert bed.commands() == []
        # A wake does not wait for the sweep.
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.request()
        await bed.settle()
        assert [command.direction.value for command in bed.commands()] == ["up"]


async def test_nothing_sleeps_while_its_partition_is_behind() -> None:
    settings = WorkerSettings(fetch_limit=1, backlog=1)
    bed = Bed(policy(), settings=settings)
    other = ServiceKey("shop", "noise")
    ports = bed.ports()
    membership = Stuck(bed.log, settings.subscription())
    async with bed.running(replace(ports, membership=membership)):
        bed.result("observed")
        await bed.flush()
        membership.still = bed.name(Topic.REQUEST_COUNTS)
        for _ in range(50):
            bed.request(other, count=0)
        await bed.pass_time(timedelta(minutes=30), timedelta(seconds=30))
        assert bed.commands() == []
        assert bed.codes()[-1] == "behind"
        membership.free.set()
        await bed.pass_time(timedelta(minutes=2), timedelta(seconds=1))
        assert {command.direction.value for command in bed.commands()} == {"zero"}


class Stuck(OneByOne):
    """A membership whose broker hands out nothing more of a topic until it is let."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]  # passed on as they are
        self.free = asyncio.Event()
        self.still = ""

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        records = await super().fetch(limit, wait)
        if records and records[0].topic == self.still:
            await self.free.wait()
        return records


async def test_what_is_heavy_around_its_value_is_not_kept_waiting_in_any_number() -> None:
    around: Headers = tuple(("h", b"x" * 1_000) for _ in range(500))
    bed = Bed(policy())
    for _ in range(60):
        bed.request(count=0, headers=around)
    heaviest = most = 0
    weight = weight_of(bed.records(Topic.REQUEST_COUNTS)[:1])
    assert weight > 500_000
    ports = replace(bed.ports(), membership=OneByOne(bed.log, bed.settings.subscription()))
    async with bed.running(ports) as worker:
        for _ in range(2_000):
            await asyncio.sleep(0)
            most = max(most, worker.waiting())
        heaviest = most * weight
        await bed.flush()
        assert bed.committed(Topic.REQUEST_COUNTS) == 60
    assert 0 < heaviest <= 8_000_000 + 2 * weight
