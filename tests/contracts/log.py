"""The promises of the log's writers, publishers and readers; the memory twin and a real Kafka run the same tests."""

import asyncio
from abc import abstractmethod

import pytest

from consumer.ports import (
    FencedError,
    LogError,
    Output,
    Placed,
    Record,
    Subscription,
    Transaction,
)
from tests.contracts.log_bed import (
    Bed,
    joined,
    line,
    names,
    read,
    texts,
)


class WritersContract:
    """All of a transaction or nothing of it, and the newest writer alone."""

    @pytest.fixture
    @abstractmethod
    def bed(self) -> Bed:
        """The log to hold to the contract."""

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

    async def test_a_writer_that_learns_of_its_fencing_in_mid_transaction_says_so(self, bed: Bed) -> None:
        # Where each topic goes has to be asked first: the refusal of the first is known when the last ones come.
        topics = [names()[0] for _ in range(6)]
        for topic in topics:
            await bed.create(topic, 1)
        old = await bed.writers(topics[0]).open(0)
        new = await bed.writers(topics[0]).open(0)
        with pytest.raises(LogError):
            await old.commit(Transaction(tuple(line(topic, "late") for topic in topics), {}))
        await new.commit(Transaction((line(topics[0], "new"),), {}))
        await old.close()
        await new.close()
        assert [texts(await read(bed.reader(), topic)) for topic in topics] == [["new"], *[[]] * 5]

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
    @abstractmethod
    def bed(self) -> Bed:
        """The log to hold to the contract."""

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
    @abstractmethod
    def bed(self) -> Bed:
        """The log to hold to the contract."""

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
