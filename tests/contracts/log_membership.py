"""The promises of a group's membership; the memory twin and a real Kafka run the very same tests."""

import asyncio
from abc import abstractmethod
from datetime import timedelta

import pytest

from consumer.ports import (
    LogError,
    LogSetupError,
    Record,
    Subscription,
    Transaction,
)
from tests.contracts.log_bed import (
    WAIT,
    Bed,
    Finisher,
    Owner,
    fetched,
    halves,
    joined,
    line,
    names,
    ready,
    texts,
)


class MembershipContract:
    """A member reads its share, from where the group was."""

    @pytest.fixture
    @abstractmethod
    def bed(self) -> Bed:
        """The log to hold to the contract."""

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
                await halves(one, other)
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

    async def test_of_several_rival_groups_one_with_members_is_enough_and_those_without_are_none(
        self, bed: Bed
    ) -> None:
        topic, _ = names()
        await bed.create(topic, 1)
        mine = bed.membership(Subscription(f"{topic}-worker-9", (topic,), rivals=f"{topic}-worker-"))
        async with joined(bed, Subscription(f"{topic}-worker-1", (topic,))) as (_, one):
            await one.holds({0})
            async with joined(bed, Subscription(f"{topic}-worker-2", (topic,))) as (_, other):
                await other.holds({0})
                with pytest.raises(LogSetupError, match=f"{topic}-worker-[12]"):
                    await mine.start(Owner())
            with pytest.raises(LogSetupError, match=f"^(?!.*{topic}-worker-2).*{topic}-worker-1"):
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
