"""The promises of the log's ports; the memory twin and a real Kafka run the very same tests."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

import pytest

from consumer.ports import (
    FencedError,
    LogError,
    LogReader,
    LogSetupError,
    Membership,
    Output,
    Placed,
    Publisher,
    Record,
    Subscription,
    Transaction,
    Writers,
)

WAIT = timedelta(milliseconds=200)


class Bed(Protocol):
    """A log to test on: fresh names, and one of everything."""

    async def create(self, topic: str, partitions: int) -> None: ...

    def membership(self, subscription: Subscription) -> Membership: ...

    def writers(self, group: str) -> Writers: ...

    def publisher(self) -> Publisher: ...

    def reader(self) -> LogReader: ...


class Owner:
    """Remembers what it was told; `held` is what it owns now."""

    def __init__(self) -> None:
        self.held: frozenset[int] = frozenset()
        self.told: list[tuple[str, frozenset[int]]] = []
        self._changed = asyncio.Condition()

    async def gained(self, partitions: frozenset[int]) -> None:
        await self._now("gained", partitions)

    async def lost(self, partitions: frozenset[int]) -> None:
        assert partitions == self.held
        await self._now("lost", frozenset())

    async def holds(self, partitions: set[int]) -> None:
        """Wait until it owns exactly these."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.held == partitions)

    async def _now(self, what: str, partitions: frozenset[int]) -> None:
        async with self._changed:
            self.told.append((what, partitions))
            self.held = partitions
            self._changed.notify_all()


class Finisher(Owner):
    """Commits its work at the last moment."""

    member: Membership

    def __init__(self, place: tuple[str, int]) -> None:
        super().__init__()
        self._place = place

    async def lost(self, partitions: frozenset[int]) -> None:
        await self.member.commit({self._place: 1})
        await super().lost(partitions)


def names() -> tuple[str, str]:
    """Two topic names that no other test has."""
    mark = uuid.uuid4().hex[:8]
    return f"{mark}.a", f"{mark}.b"


def line(topic: str, text: str, partition: int = 0) -> Output:
    return Output(topic, partition, b"shop/web", text.encode(), (("n", text.encode()),))


def texts(records: Sequence[Record]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


@asynccontextmanager
async def joined(bed: Bed, subscription: Subscription) -> AsyncIterator[tuple[Membership, Owner]]:
    """A member that leaves at the end."""
    member, owner = bed.membership(subscription), Owner()
    await member.start(owner)
    try:
        yield member, owner
    finally:
        await member.stop()


async def ready(member: Membership, owner: Owner, partitions: set[int]) -> None:
    """Wait for the partitions, go to the committed offsets, and let them be fetched."""
    await owner.holds(partitions)
    for partition in partitions:
        await member.seek_to_committed(partition)
        member.resume(partition)


async def fetched(member: Membership, count: int) -> list[Record]:
    """Fetch until there are that many."""
    found: list[Record] = []
    while len(found) < count:
        found += await member.fetch(100, WAIT)
    return found


async def read(reader: LogReader, topic: str, partition: int = 0) -> list[Record]:
    return [record async for batch in reader.read_to_end(topic, partition) for record in batch]


async def _halves(one: Owner, other: Owner) -> None:
    """Wait until each has two of four; which of them has the first two is the broker's affair."""
    low, high = {0, 1}, {2, 3}
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(_both(one, mine, other, theirs)) for mine, theirs in ((low, high), (high, low))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()


async def _both(one: Owner, mine: set[int], other: Owner, theirs: set[int]) -> None:
    await one.holds(mine)
    await other.holds(theirs)


class MembershipContract:
    """A member reads its share, from where the group was."""

    @pytest.fixture
    def bed(self) -> Bed:
        raise NotImplementedError

    async def test_records_that_waited_before_the_first_start_are_read(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        placed = await bed.publisher().publish(line(topic, "early"))
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await ready(member, owner, {0})
            (record,) = await fetched(member, 1)
        assert record == Record(topic, 0, 0, b"shop/web", b"early", placed.at, (("n", b"early"),))

    async def test_nothing_is_fetched_of_a_partition_before_it_is_resumed(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 2)
        for partition in (0, 1):
            await bed.publisher().publish(line(topic, f"in {partition}", partition))
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await owner.holds({0, 1})
            await member.seek_to_committed(0)
            await member.seek_to_committed(1)
            member.resume(1)
            assert texts(await fetched(member, 1)) == ["in 1"]
            member.pause(1)
            member.resume(0)
            await bed.publisher().publish(line(topic, "more", 1))
            assert texts(await fetched(member, 1)) == ["in 0"]
            member.resume(1)
            assert texts(await fetched(member, 1)) == ["more"]

    async def test_a_fetch_returns_no_more_than_its_limit_and_loses_nothing(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        for number in range(7):
            await publisher.publish(line(topic, str(number)))
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await ready(member, owner, {0})
            found: list[Record] = []
            while len(found) < 7:
                some = await member.fetch(3, WAIT)
                assert len(some) <= 3
                found += some
                assert (await member.positions(0))[topic] == len(found)
        assert texts(found) == [str(number) for number in range(7)]

    async def test_a_fetch_without_records_returns_after_its_wait(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await ready(member, owner, {0})
            assert list(await member.fetch(10, WAIT)) == []

    async def test_ends_and_positions_of_every_input_are_told(self, bed: Bed) -> None:
        first, second = names()
        await bed.create(first, 1)
        await bed.create(second, 1)
        await bed.publisher().publish(line(first, "one"))
        await bed.publisher().publish(line(first, "two"))
        async with joined(bed, Subscription(first, (first, second))) as (member, owner):
            await owner.holds({0})
            assert await member.seek_to_committed(0) == {first: 0, second: 0}
            assert await member.ends(0) == {first: 2, second: 0}
            member.resume(0)
            await fetched(member, 2)
            assert await member.positions(0) == {first: 2, second: 0}

    async def test_positions_move_at_the_very_moment_when_a_waiting_fetch_returns(self, bed: Bed) -> None:
        """Whoever finds the end reached must not have missed records that are still on their way to him."""
        topic, other = names()
        await bed.create(topic, 1)
        await bed.create(other, 1)
        async with (
            joined(bed, Subscription("g-" + topic, (topic, other))) as (member, owner),
            asyncio.TaskGroup() as tg,
        ):
            await ready(member, owner, {0})
            fetching = tg.create_task(member.fetch(10, timedelta(seconds=20)))
            writing = tg.create_task(bed.publisher().publish(line(topic, "1")))
            ahead = 0
            while not fetching.done():
                ahead += await member.positions(0) != {topic: 0, other: 0} and not fetching.done()
                # Looks at every turn of the loop.
                await asyncio.sleep(0)
            assert texts(fetching.result()) == ["1"]
            assert ahead == 0
            assert await member.positions(0) == {topic: (await writing).offset + 1, other: 0}

    async def test_positions_reach_the_end_behind_the_marker_of_a_foreign_transaction(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        writer = await bed.writers(f"{topic}.foreign").open(0)
        await writer.commit(Transaction((line(topic, "one"),), {}))
        await writer.close()
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await ready(member, owner, {0})
            assert texts(await fetched(member, 1)) == ["one"]
            while await member.positions(0) != await member.ends(0):
                assert list(await member.fetch(10, WAIT)) == []

    async def test_who_comes_back_goes_on_behind_what_was_committed_in_a_transaction(self, bed: Bed) -> None:
        topic, out = names()
        await bed.create(topic, 1)
        await bed.create(out, 1)
        for text in ("one", "two"):
            await bed.publisher().publish(line(topic, text))
        subscription = Subscription(topic, (topic,))
        async with joined(bed, subscription) as (member, owner):
            await owner.holds({0})
            writer = await bed.writers(topic).open(0)
            await writer.commit(Transaction((line(out, "done"),), {(topic, 0): 1}))
            await writer.close()
        async with joined(bed, subscription) as (member, owner):
            await owner.holds({0})
            successor = await bed.writers(topic).open(0)
            assert await member.seek_to_committed(0) == {topic: 1}
            await successor.close()
            member.resume(0)
            assert texts(await fetched(member, 1)) == ["two"]

    async def test_seeking_again_sees_what_was_committed_since_the_assignment(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        await bed.publisher().publish(line(topic, "one"))
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await owner.holds({0})
            assert await member.seek_to_committed(0) == {topic: 0}
            writer = await bed.writers(topic).open(0)
            await writer.commit(Transaction((), {(topic, 0): 1}))
            await writer.close()
            # A commit returns before the group knows its offsets; opening the next writer waits for that.
            successor = await bed.writers(topic).open(0)
            assert await member.seek_to_committed(0) == {topic: 1}
            await successor.close()

    async def test_offsets_can_be_committed_outside_a_transaction(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        await bed.publisher().publish(line(topic, "one"))
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await owner.holds({0})
            await member.commit({(topic, 0): 1})
            assert await member.seek_to_committed(0) == {topic: 1}

    async def test_what_is_finished_while_a_partition_is_lost_is_committed(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        subscription = Subscription(topic, (topic,))
        member, owner = bed.membership(subscription), Finisher((topic, 0))
        owner.member = member
        await bed.publisher().publish(line(topic, "one"))
        await member.start(owner)
        await owner.holds({0})
        await member.stop()
        async with joined(bed, subscription) as (next_one, next_owner):
            await next_owner.holds({0})
            assert await next_one.seek_to_committed(0) == {topic: 1}

    async def test_two_members_share_and_the_one_that_stays_takes_all(self, bed: Bed) -> None:
        first, second = names()
        await bed.create(first, 4)
        await bed.create(second, 4)
        subscription = Subscription(first, (first, second))
        async with joined(bed, subscription) as (_, one):
            await one.holds({0, 1, 2, 3})
            async with joined(bed, subscription) as (_, other):
                await _halves(one, other)
                assert ("lost", frozenset()) in one.told
            await one.holds({0, 1, 2, 3})

    async def test_a_member_can_leave_and_join_again(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        member, owner = bed.membership(Subscription(topic, (topic,))), Owner()
        for _ in range(2):
            await member.start(owner)
            await owner.holds({0})
            await member.stop()
            assert owner.held == frozenset()
        await member.stop()

    async def test_topics_with_unequal_partitions_are_refused(self, bed: Bed) -> None:
        first, second = names()
        await bed.create(first, 1)
        await bed.create(second, 2)
        member = bed.membership(Subscription(first, (first,), keyed=(second,)))
        with pytest.raises(LogSetupError, match="same number of partitions"):
            await member.start(Owner())

    async def test_a_missing_topic_is_named(self, bed: Bed) -> None:
        topic, _ = names()
        with pytest.raises(LogSetupError, match=topic):
            await bed.membership(Subscription(topic, (topic,))).start(Owner())

    async def test_a_rival_group_with_members_is_refused_until_it_is_gone(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        mine = bed.membership(Subscription(f"{topic}-worker-2", (topic,), rivals=f"{topic}-worker-"))
        async with joined(bed, Subscription(f"{topic}-worker-1", (topic,))) as (_, owner):
            await owner.holds({0})
            with pytest.raises(LogSetupError, match=f"{topic}-worker-1"):
                await mine.start(Owner())
        await mine.start(Owner())
        await mine.stop()

    async def test_a_failure_while_partitions_are_handed_over_reaches_the_next_fetch(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)

        class Unable(Owner):
            async def gained(self, partitions: frozenset[int]) -> None:
                await super().gained(partitions)
                raise LogError(f"no room for {sorted(partitions)}")

        member = bed.membership(Subscription(topic, (topic,)))
        await member.start(Unable())
        with pytest.raises(LogError, match="no room"):
            await fetched(member, 1)
        await member.stop()

    async def test_a_partition_that_is_not_ours_can_not_be_asked_about(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await owner.holds({0})
            with pytest.raises(LogError, match="not ours"):
                await member.seek_to_committed(7)


class WritersContract:
    """All of a transaction or nothing of it, and the newest writer alone."""

    @pytest.fixture
    def bed(self) -> Bed:
        raise NotImplementedError

    async def test_a_transaction_tells_where_and_when_each_record_was_placed(self, bed: Bed) -> None:
        topic, other = names()
        await bed.create(topic, 2)
        await bed.create(other, 1)
        writer = await bed.writers(topic).open(0)
        placed = await writer.commit(Transaction((line(topic, "a", 1), line(other, "b"), line(topic, "c", 1)), {}))
        await writer.close()
        assert [(place.topic, place.partition, place.offset) for place in placed] == [
            (topic, 1, 0),
            (other, 0, 0),
            (topic, 1, 1),
        ]
        records = await read(bed.reader(), topic, 1)
        assert texts(records) == ["a", "c"]
        assert [record.at for record in records] == [placed[0].at, placed[2].at]

    async def test_a_tombstone_can_be_written(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        writer = await bed.writers(topic).open(0)
        await writer.commit(Transaction((Output(topic, 0, b"shop/web", None),), {}))
        await writer.close()
        assert [(record.key, record.value) for record in await read(bed.reader(), topic)] == [(b"shop/web", None)]

    async def test_the_newest_writer_fences_all_before_it(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        old = await bed.writers(topic).open(0)
        await old.commit(Transaction((line(topic, "old"),), {}))
        new = await bed.writers(topic).open(0)
        with pytest.raises(FencedError):
            await old.commit(Transaction((line(topic, "late"),), {(topic, 0): 5}))
        with pytest.raises(LogError):
            await old.commit(Transaction((line(topic, "later"),), {}))
        await new.commit(Transaction((line(topic, "new"),), {}))
        await old.close()
        await new.close()
        assert texts(await read(bed.reader(), topic)) == ["old", "new"]

    async def test_writers_of_different_partitions_do_not_fence_one_another(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 2)
        writers = [await bed.writers(topic).open(partition) for partition in (0, 1)]
        for partition, writer in enumerate(writers):
            await writer.commit(Transaction((line(topic, "x", partition),), {}))
            await writer.close()
        assert len(await read(bed.reader(), topic, 0)) == len(await read(bed.reader(), topic, 1)) == 1

    async def test_every_opening_has_its_own_identity(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        seen = set()
        for _ in range(3):
            writer = await bed.writers(topic).open(0)
            seen.add(writer.identity)
            await writer.close()
        assert len(seen) == 3

    async def test_a_transaction_with_a_record_that_does_not_fit_leaves_nothing(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        writer = await bed.writers(topic).open(0)
        huge = Output(topic, 0, b"k", b"x" * 1_100_000)
        with pytest.raises(LogError):
            await writer.commit(Transaction((line(topic, "before"), huge), {(topic, 0): 9}))
        with pytest.raises(LogError):
            await writer.commit(Transaction((line(topic, "after"),), {}))
        await writer.close()
        successor = await bed.writers(topic).open(0)
        await successor.commit(Transaction((line(topic, "next"),), {}))
        await successor.close()
        assert texts(await read(bed.reader(), topic)) == ["next"]
        async with joined(bed, Subscription(topic, (topic,))) as (member, owner):
            await owner.holds({0})
            assert await member.seek_to_committed(0) == {topic: 0}

    async def test_what_a_cancelled_commit_left_open_is_aborted_by_the_next_opening(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        writer = await bed.writers(topic).open(0)
        cut = asyncio.get_running_loop().create_task(
            writer.commit(Transaction(tuple(line(topic, "cut") for _ in range(5)), {}))
        )
        await asyncio.sleep(0)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut
        with pytest.raises(LogError):
            await writer.commit(Transaction((line(topic, "after"),), {}))
        successor = await bed.writers(topic).open(0)
        await successor.commit(Transaction((line(topic, "next"),), {}))
        assert texts(await read(bed.reader(), topic)) == ["next"]
        await writer.close()
        await successor.close()


class PublisherContract:
    """One record, acknowledged when the log has it."""

    @pytest.fixture
    def bed(self) -> Bed:
        raise NotImplementedError

    async def test_records_of_one_partition_keep_the_order_of_their_calls(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        placed: list[Placed] = [await publisher.publish(line(topic, str(number))) for number in range(5)]
        assert [place.offset for place in placed] == list(range(5))
        assert texts(await read(bed.reader(), topic)) == [str(number) for number in range(5)]

    async def test_many_can_be_published_at_once(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        placed = await asyncio.gather(*(publisher.publish(line(topic, str(number))) for number in range(20)))
        assert {place.offset for place in placed} == set(range(20))

    async def test_a_record_that_does_not_fit_is_refused_and_the_next_goes_out(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        with pytest.raises(LogError):
            await publisher.publish(Output(topic, 0, b"k", b"x" * 1_100_000))
        await publisher.publish(line(topic, "small"))
        assert texts(await read(bed.reader(), topic)) == ["small"]

    async def test_a_partition_that_does_not_exist_is_refused(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        with pytest.raises(LogError):
            await publisher.publish(line(topic, "nowhere", 3))
        await publisher.publish(line(topic, "here"))


class LogReaderContract:
    """Committed records of one partition, without a group."""

    @pytest.fixture
    def bed(self) -> Bed:
        raise NotImplementedError

    async def test_an_empty_partition_ends_at_once(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        assert await read(bed.reader(), topic) == []

    async def test_reading_ends_where_the_end_was_at_the_call(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        for number in range(3):
            await publisher.publish(line(topic, str(number)))
        found: list[Record] = []
        async for batch in bed.reader().read_to_end(topic, 0):
            await publisher.publish(line(topic, "later"))
            found += batch
        assert texts(found) == ["0", "1", "2"]

    async def test_an_aborted_transaction_at_the_end_is_not_waited_for(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        await bed.publisher().publish(line(topic, "kept"))
        writer = await bed.writers(topic).open(0)
        with pytest.raises(LogError):
            await writer.commit(Transaction((line(topic, "gone"), Output(topic, 0, b"k", b"x" * 1_100_000)), {}))
        await writer.close()
        successor = await bed.writers(topic).open(0)
        await successor.close()
        assert texts(await read(bed.reader(), topic)) == ["kept"]

    async def test_following_from_an_offset_yields_what_is_there_and_what_comes(self, bed: Bed) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        publisher = bed.publisher()
        for number in range(3):
            await publisher.publish(line(topic, str(number)))
        found: list[Record] = []
        async for batch in bed.reader().follow(topic, 0, 1):
            if not found:
                await publisher.publish(line(topic, "new"))
            found += batch
            if len(found) == 3:
                break
        assert texts(found) == ["1", "2", "new"]

    async def test_a_missing_topic_is_an_error(self, bed: Bed) -> None:
        topic, _ = names()
        with pytest.raises(LogError):
            await read(bed.reader(), topic)
