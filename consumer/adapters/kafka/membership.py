"""One member of a consumer group on Kafka: eager rebalances that nobody can sleep through."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from consumer.adapters.kafka.connection import ClientOptions, KafkaConnection, milliseconds, records_of
from consumer.adapters.kafka.leaving import end_client, to_its_end
from consumer.adapters.kafka.strays import strays_as_failures
from consumer.adapters.kafka.topics import rival_groups, same_partitions
from consumer.errors import first_error
from consumer.ports import Guarded, LogError, LogSetupError, Operation, Ownership, Permit, Record, Subscription

# A member is waited for that long at a rebalance while it finishes; its heartbeats keep it a member meanwhile.
_REBALANCE_MS = 30_000
# Joining waits for all others: an answer may take that long, and some time more.
_JOIN_MS = _REBALANCE_MS + 10_000
# aiokafka leaves the group when nobody fetches; but a spare member without partitions has nothing to fetch, nor has
# one whose gates are still closed. Whether our loops move is told by their health.
_NEVER_MS = 10**12
# A fetch that is under way keeps newly resumed partitions waiting, since a node answers one at a time.
_FETCH_WAIT_MS = 100
_PER_PARTITION = 1_048_576


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Hears of the rebalances of one consumer, as long as that one is ours.

    A consumer that is on its way out takes part in another rebalance if it takes long enough: what it is given then is
    nobody's, and not that of the member that comes after it.
    """

    def __init__(self, membership: "KafkaMembership") -> None:
        self._membership = membership
        self.listens = True

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of ours, always
        """Give everything up before the group goes on; the protocol is eager."""
        if self.listens:
            await self._membership.give_up()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hand over what is new."""
        if self.listens:
            await self._membership.assigned(list(assigned), lambda: self.listens)


class KafkaMembership:
    """One dynamic member; static ones are missed only after their session time-out, polite stops included."""

    def __init__(self, connection: KafkaConnection, subscription: Subscription) -> None:
        self._connection = connection
        self._subscription = subscription
        self._consumer: AIOKafkaConsumer | None = None
        self._listener: _Listener | None = None
        self._ownership: Ownership | None = None
        self._owned: frozenset[int] = frozenset()
        self._resumed: set[int] = set()
        # Where the records begin that aiokafka gave us and `fetch` did not return yet: its positions are behind them.
        self._in_hand: dict[TopicPartition, int] = {}
        self._poke = asyncio.Event()
        self._partitions = 0
        self._trouble: LogError | None = None

    @property
    def partitions(self) -> int:
        """The number of partitions of every keyed topic."""
        return self._partitions

    async def start(self, ownership: Ownership) -> None:
        """Check the topics and the other groups, then join."""
        await self._check()
        await self._refuse_rivals()
        self._ownership = ownership
        self._trouble = None
        self._in_hand.clear()
        consumer = self._consumer = AIOKafkaConsumer(
            **self._options(),
            group_id=self._subscription.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed" if self._subscription.committed_only else "read_uncommitted",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=milliseconds(self._connection.session_timeout),
            heartbeat_interval_ms=milliseconds(self._connection.session_timeout) // 4,
            rebalance_timeout_ms=_REBALANCE_MS,
            max_poll_interval_ms=_NEVER_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=_PER_PARTITION,
        )
        self._listener = _Listener(self)
        consumer.subscribe(list(self._subscription.inputs), listener=self._listener)
        try:
            with strays_as_failures():
                await consumer.start()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise self._failed(f"joining group {self._subscription.group}", error) from error
        except BaseException:
            await self.stop()
            raise

    def _options(self) -> ClientOptions:
        options = self._connection.options()
        options["request_timeout_ms"] = _JOIN_MS
        return options

    async def assigned(self, tps: Sequence[TopicPartition], still: Callable[[], bool]) -> None:
        """Hand over what is new; none of it is resumed, so nothing of it is returned, whatever is fetched meanwhile."""
        owned = frozenset(tp.partition for tp in tps)
        if not owned:
            return
        try:
            await self._check()
            self._must_be_together(owned, tps)
            if not still() or self._ownership is None:
                return
            self._owned = owned
            await self._ownership.gained(owned)
        except Exception as error:  # noqa: BLE001 - aiokafka swallows it, so the next fetch must say it
            self._trouble = _told("taking partitions over", error)

    async def give_up(self) -> None:
        """Let whoever has them finish what is owned."""
        lost, self._owned = self._owned, frozenset()
        self._resumed.clear()
        if not lost or self._ownership is None:
            return
        try:
            await self._ownership.lost(lost)
        except Exception as error:  # noqa: BLE001 - aiokafka swallows it, so the next fetch must say it
            self._trouble = _told("giving partitions up", error)

    async def fetch(self, limit: int, wait: timedelta) -> Sequence[Record]:
        """Return records of resumed partitions.

        Others are only left out: what aiokafka fetched of them, a chunk at most, stays where it is. Pausing them
        there would throw it away, and a backlog would be fetched many times over.
        """
        found = await self._get(limit, timedelta()) or await self._wait(limit, wait)
        if self._trouble is not None:
            raise self._trouble
        # Nothing is awaited from here to whoever called: for everyone else, the records and the positions move at once.
        self._in_hand.clear()
        return found

    async def _get(self, limit: int, wait: timedelta) -> list[Record]:
        tps = [tp for partition in self._resumed for tp in self._of(partition)]
        if not tps:
            return []
        try:
            with strays_as_failures():
                found = await self._running().getmany(*tps, timeout_ms=milliseconds(wait), max_records=limit)
        except (KafkaError, OSError) as error:
            raise self._failed("fetching", error) from error
        self._in_hand.update({tp: records[0].offset for tp, records in found.items()})
        return [
            record for tp, records in found.items() if tp.partition in self._resumed for record in records_of(records)
        ]

    async def _wait(self, limit: int, wait: timedelta) -> list[Record]:
        """Wait for records, until a partition is resumed that may have some already."""
        self._poke.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                getting, poked = tasks.create_task(self._get(limit, wait)), tasks.create_task(self._poke.wait())
                waits = (getting, poked) if self._resumed else (poked,)
                await asyncio.wait(waits, timeout=wait.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
                # A task that has records is done: between taking and returning them aiokafka awaits nothing.
                for waiting in (getting, poked):
                    waiting.cancel()
        except BaseExceptionGroup as group:
            # Only the fetch can fail; whoever waits for a LogError would not know it inside a group.
            raise first_error(group) from group
        return getting.result() if getting.done() and not getting.cancelled() else []

    async def seek_to_committed(self, partition: int) -> Mapping[str, int]:
        """Go to the committed offsets, or to the beginning: what was fetched before the gate is worthless."""
        consumer = self._running()
        tps = self._of(partition)
        try:
            # aiokafka remembers what was committed at the assignment, before we fenced the previous owner.
            with strays_as_failures():
                committed = await self._committed(tps)
                missing = [tp for tp in tps if committed.get(tp) is None]
                first = await consumer.beginning_offsets(missing) if missing else {}
            positions = {tp: first[tp] if tp in first else committed[tp] for tp in tps}
            for tp, offset in positions.items():
                consumer.seek(tp, offset)
                self._in_hand.pop(tp, None)
        except (KafkaError, OSError, IllegalStateError) as error:
            raise self._failed(f"finding the committed offsets of partition {partition}", error) from error
        return {tp.topic: offset for tp, offset in positions.items()}

    async def _committed(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        consumer = self._running()
        committed = {}
        for tp in tps:
            offset = await consumer.committed(tp)
            if offset is not None:
                committed[tp] = offset
        return committed

    async def ends(self, partition: int) -> Mapping[str, int]:
        """The end of each input now."""
        tps = self._of(partition)
        try:
            with strays_as_failures():
                found = await self._running().end_offsets(tps)
        except (KafkaError, OSError) as error:
            raise self._failed(f"asking for the ends of partition {partition}", error) from error
        return {tp.topic: found[tp] for tp in tps}

    async def positions(self, partition: int) -> Mapping[str, int]:
        """How far `fetch` came in each input."""
        consumer = self._running()
        try:
            # Nothing waits here after a seek: together these are one look at one moment.
            with strays_as_failures():
                positions = {tp: await consumer.position(tp) for tp in self._of(partition)}
            return {tp.topic: self._in_hand.get(tp, position) for tp, position in positions.items()}
        except (KafkaError, IllegalStateError) as error:
            raise self._failed(f"asking for the positions of partition {partition}", error) from error

    def pause(self, partition: int) -> None:
        """Fetch nothing of it."""
        self._resumed.discard(partition)

    def resume(self, partition: int) -> None:
        """Fetch it again."""
        self._of(partition)
        self._resumed.add(partition)
        self._poke.set()

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit outside a transaction."""
        places = {TopicPartition(*place): offset for place, offset in offsets.items()}
        try:
            with strays_as_failures():
                await to_its_end(self._running().commit(places))
        except (KafkaError, OSError, IllegalStateError) as error:
            raise self._failed("committing offsets", error) from error

    async def stop(self) -> None:
        """Finish what is owned, then leave at once."""
        if self._listener is not None:
            self._listener.listens = False
        try:
            await self.give_up()
        finally:
            # Also when the finishing was cut off: a consumer that nobody stops would stay in the group, be given
            # partitions, and hand them to whoever joins with us next.
            consumer, self._consumer = self._consumer, None
            self._ownership = None
            if consumer is not None:
                await self._leave(consumer)

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        try:
            # A broker that is mute would keep us for as long as it is.
            async with asyncio.timeout(self._connection.request_timeout.total_seconds()):
                await end_client(consumer)
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._connection.failed("leaving the group", error) from error

    def _failed(self, what: str, error: Exception) -> LogError:
        subscription = self._subscription
        read = [Permit(Guarded.TOPIC, topic, Operation.READ) for topic in subscription.inputs]
        # Groups beside ours are looked for, so that one ACL is for all of them.
        group = Permit(
            Guarded.GROUP, subscription.rivals or subscription.group, Operation.READ, prefixed=bool(subscription.rivals)
        )
        return self._connection.failed(what, error, *read, group)

    def _of(self, partition: int) -> list[TopicPartition]:
        if partition not in self._owned:
            raise LogError(f"partition {partition} of group {self._subscription.group} is not ours any more")
        return [TopicPartition(topic, partition) for topic in self._subscription.inputs]

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise LogError(f"group {self._subscription.group}: not a member; start first")
        return self._consumer

    async def _check(self) -> None:
        self._partitions = await same_partitions(
            self._connection, (*self._subscription.inputs, *self._subscription.keyed)
        )

    def _must_be_together(self, owned: frozenset[int], assigned: Sequence[TopicPartition]) -> None:
        """A member with another subscription in the group would tear a partition's topics apart."""
        wanted = {TopicPartition(topic, partition) for partition in owned for topic in self._subscription.inputs}
        if wanted != set(assigned):
            raise LogSetupError(
                f"group {self._subscription.group}: a member reads other topics, so that partitions were torn apart; "
                "stop all members of this group that are not of this version and settings"
            )

    async def _refuse_rivals(self) -> None:
        if self._subscription.rivals is None:
            return
        found = await rival_groups(self._connection, self._subscription.rivals, self._subscription.group)
        if found:
            raise LogSetupError(
                f"group {', '.join(found)} reads other topics than {self._subscription.group} and still has members; "
                "stop all of them first"
            )


def _told(what: str, error: Exception) -> LogError:
    return error if isinstance(error, LogError) else LogError(f"{what} failed: {error!r}")
