"""Reads the commands, hands them to the crew, and moves the offsets behind what is answered."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from consumer.handler.crew import Crew
from consumer.handler.lane import Ticket, Workshop
from consumer.handler.offsets import Ledger
from consumer.handler.press import Press
from consumer.handler.wiring import HandlerPorts
from consumer.ports import LogError, LogSetupError, Output, Record, unreadable
from consumer.wire.commands import command_of
from schemas.cloudevents import trace_of
from schemas.codec import Undecodable
from schemas.dead_letter import DeadLetter, kept_key
from schemas.topics import Topic

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hands:
    """Who is told of partitions: one that is ours now, and those that are ours no more."""

    adopt: Callable[[int], None]
    abandon: Callable[[frozenset[int]], None]


class Intake:
    """The handler's membership: what was read of each partition, and how far that is answered."""

    def __init__(self, ports: HandlerPorts, shop: Workshop, crew: Crew, press: Press, hands: Hands) -> None:
        self._ports = ports
        self._shop = shop
        self._crew = crew
        self._press = press
        self._hands = hands
        self._topic = shop.settings.topic(Topic.SCALE_COMMANDS)
        self._ledgers: dict[int, Ledger] = {}
        self._moved_at = ports.clock.read().now
        self._went_round = False
        self._failures = 0
        self.trouble = ""
        """What the log said when we last tried to be a member."""
        self._answered = asyncio.Event()
        self._committable = asyncio.Event()

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that are ours."""
        return frozenset(self._ledgers)

    @property
    def joined(self) -> bool:
        """Whether we are a member; of more members than partitions some own nothing."""
        return bool(self._ledgers) or self._went_round

    @property
    def pending(self) -> int:
        """How many commands were read and have no answer yet."""
        return sum(ledger.pending for ledger in self._ledgers.values())

    @property
    def moved_at(self) -> datetime:
        """When fetching last went round."""
        return self._moved_at

    async def run(self) -> None:
        """Read for ever, joining anew whenever the log failed us; raises LogSetupError when that is pointless."""
        while True:
            try:
                await self._ports.membership.start(self)
                await self._read()
            except LogSetupError:
                raise
            except LogError as error:
                _log.warning("joining anew", topic=self._topic, error=str(error))
                self.trouble = str(error)
            await self.leave()
            self._moved_at = self._ports.clock.read().now
            self._failures += 1
            await self._ports.clock.sleep(self._shop.settings.log.delay(self._failures, self._ports.chance()))

    async def leave(self) -> None:
        """Finish what is in flight, commit it, and leave the group."""
        self._went_round = False
        try:
            await self._ports.membership.stop()
        except LogError as error:
            _log.warning("left in disorder", topic=self._topic, error=str(error))

    async def gained(self, partitions: frozenset[int]) -> None:
        """Begin where the last owner's answers end."""
        for partition in sorted(partitions):
            positions = await self._ports.membership.seek_to_committed(partition)
            self._ledgers[partition] = Ledger(positions[self._topic])
            self._ports.membership.resume(partition)
            self._hands.adopt(partition)
        _log.info("gained", topic=self._topic, partitions=sorted(partitions))

    async def lost(self, partitions: frozenset[int]) -> None:
        """Finish and commit; what could not be finished is read again by the next owner."""
        # Taken away first: what a fetch still returns of them is left to the next owner.
        left = {partition: ledger for partition in partitions if (ledger := self._ledgers.pop(partition, None))}
        self._hands.abandon(partitions)
        await self._crew.drain(partitions)
        try:
            # A log that is away must not keep a process from ending in time.
            async with asyncio.timeout(self._shop.settings.parting.total_seconds()):
                await self._commit(left)
        except (LogError, TimeoutError) as error:
            _log.warning("not committed", topic=self._topic, partitions=sorted(partitions), error=str(error))
        self._answered.set()

    async def keep_committing(self) -> None:
        """Commit whenever an answer moved an offset; what comes in meanwhile goes with the next commit."""
        failures = 0
        while True:
            await self._committable.wait()
            self._committable.clear()
            try:
                await self._pass_marks()
                await self._commit(self._ledgers)
            except LogError as error:
                failures += 1
                _log.warning("not committed", topic=self._topic, error=str(error))
                await self._ports.clock.sleep(self._shop.settings.log.delay(failures, self._ports.chance()))
                self._committable.set()
            else:
                failures = 0

    async def _read(self) -> None:
        settings = self._shop.settings
        while True:
            while self.pending >= settings.pending:
                self._answered.clear()
                await self._answered.wait()
            self._take(await self._ports.membership.fetch(settings.batch, settings.patience))
            self._went_round, self._failures, self._moved_at = True, 0, self._ports.clock.read().now

    def _take(self, records: Sequence[Record]) -> None:
        """Hand on a batch in one go, so that a command which a later one overtakes is never begun."""
        for record in records:
            ledger = self._ledgers.get(record.partition)
            if ledger is None:
                continue
            ledger.took(record.offset)
            done = partial(self._done, ledger, record.offset)
            command = command_of(record.value, self._shop.settings.cluster, trace_of(record.headers))
            if isinstance(command, Undecodable):
                self._shop.spawn(self._bury(record, unreadable(record) or command.cause, done))
            else:
                self._crew.offer(Ticket(command, done))

    async def _bury(self, record: Record, cause: str, done: Callable[[], None]) -> None:
        _log.warning("dead letter", topic=record.topic, partition=record.partition, offset=record.offset, cause=cause)
        letter = DeadLetter(cause, record.topic, record.partition, record.offset, record.at, record.value)
        topic = self._shop.settings.topic(Topic.DEAD_LETTER)
        output = Output(topic, 0, kept_key(record.key), letter.value(), letter.headers())
        await self._press.print(lambda: output)
        self._ports.telemetry.dead_lettered()
        done()

    def _done(self, ledger: Ledger, offset: int) -> None:
        ledger.done(offset)
        self._answered.set()
        self._committable.set()

    async def _pass_marks(self) -> None:
        """Where all is answered, go past the log's own marks too, so that no lag is left that nobody can work off."""
        for partition, ledger in tuple(self._ledgers.items()):
            if not ledger.pending:
                ledger.read_to((await self._ports.membership.positions(partition))[self._topic])

    async def _commit(self, ledgers: Mapping[int, Ledger]) -> None:
        due = {partition: offset for partition, ledger in ledgers.items() if (offset := ledger.due()) is not None}
        if not due:
            return
        await self._ports.membership.commit({(self._topic, partition): offset for partition, offset in due.items()})
        for partition, offset in due.items():
            if (ledger := ledgers.get(partition)) is not None:
                ledger.committed(offset)
