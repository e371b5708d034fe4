"""The worker: one member of the group, and a task for each partition it owns; leaves and joins anew when it must."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from consumer.core.control import unreadable
from consumer.core.service import ServiceKey
from consumer.core.state import ServiceState
from consumer.errors import first_error
from consumer.ports import LogError, LogSetupError, Record, Switches, TargetError
from consumer.wire.controls import switched
from consumer.worker.gate import GateFailedError
from consumer.worker.session import Session
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.shared import PartitionHealth, Shared
from schemas.codec import Undecodable
from schemas.topics import Topic

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """How the worker does: `joined` is whether it is a member, `moved_at` when its fetching last went round.

    `trouble` is what the log said when the last membership ended, until there is a new one.
    """

    joined: bool
    moved_at: datetime
    partitions: tuple[PartitionHealth, ...]
    trouble: str = ""

    @property
    def ready(self) -> bool:
        """Whether everything that was assigned is restored."""
        return self.joined and all(partition.restored for partition in self.partitions)


class Worker:
    """Judges the services of the partitions that the group gives it, until it is stopped."""

    def __init__(self, ports: WorkerPorts, settings: WorkerSettings) -> None:
        self._shared = Shared(ports, settings)
        self._stopping = asyncio.Event()
        self._session = Session(self._shared)
        self._trouble = ""

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            LogSetupError: topics are missing or uneven, a rival group is at work, or a state can not be read.
            GateFailedError: a partition could not be taken over.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                followers = [tasks.create_task(self._follow_controls()), tasks.create_task(self._watch_policies())]
                if (switches := self._shared.ports.switches) is not None:
                    followers.append(tasks.create_task(self._follow_switches(switches)))
                await self._sessions()
                for follower in followers:
                    follower.cancel()
        except BaseExceptionGroup as group:
            raise first_error(group) from group

    async def stop(self) -> None:
        """Ask it to finish: what is decided is written, the group is left, and `run` returns."""
        self._stopping.set()

    def health(self) -> WorkerHealth:
        """Return how it does, for whoever asks from outside."""
        session = self._session
        partitions = tuple(partition.health() for partition in session.partitions.values())
        return WorkerHealth(session.joined, session.moved_at, partitions, "" if session.joined else self._trouble)

    def states(self) -> Mapping[ServiceKey, ServiceState]:
        """Return what is known of every service that it owns."""
        return {key: state for p in self._session.partitions.values() for key, state in p.desk.states.items()}

    def waiting(self) -> int:
        """Return how many fetched records are not applied yet."""
        return sum(partition.waiting for partition in self._session.partitions.values())

    async def _sessions(self) -> None:
        """One membership after the other: a partition that was dropped is only taken up by a new one."""
        failures = 0
        while not self._stopping.is_set():
            self._session = Session(self._shared)
            error = await self._session.run(self._stopping)
            if error is None:
                return
            if isinstance(error, LogSetupError | GateFailedError):
                raise error
            self._trouble = str(error)
            failures = 0 if self._session.worked else failures + 1
            log.warning("joining anew", error=str(error), failures=failures)
            await self._pause(failures)

    async def _follow_controls(self) -> None:
        """Know what people switched, from the beginning and then as it comes."""
        shared, topic = self._shared, self._shared.settings.topic(Topic.CONTROL)
        reader, failures, offset = shared.ports.reader, 0, 0
        while True:
            try:
                if not shared.controls_read.is_set():
                    async for records in reader.read_to_end(topic, 0):
                        offset = self._switch(records)
                    shared.controls_read.set()
                async for records in reader.follow(topic, 0, offset):
                    offset = self._switch(records)
                    failures = 0
            except LogError as error:
                log.warning("controls can not be followed", error=str(error))
                await shared.ports.clock.sleep(shared.settings.delay(failures))
                failures += 1

    async def _follow_switches(self, switches: Switches) -> None:
        """Know what people switched in the cluster; until it can be read, nothing sleeps."""
        shared, failures, known = self._shared, 0, False
        while True:
            try:
                async for controls in switches.follow():
                    shared.controls = shared.controls.beside(controls)
                    failures, known = 0, True
                    shared.switches_read.set()
            except TargetError as error:
                log.warning("switches can not be followed", error=str(error))
                if not known:
                    unread = unreadable(str(error), shared.ports.clock.read().now)
                    shared.controls = shared.controls.beside((unread,))
                    shared.switches_read.set()
            await shared.ports.clock.sleep(shared.settings.delay(failures))
            failures += 1

    def _switch(self, records: Sequence[Record]) -> int:
        for record in records:
            book = switched(self._shared.controls, record)
            if isinstance(book, Undecodable):
                log.warning("unreadable control", offset=record.offset, cause=book.cause)
            else:
                self._shared.controls = book
        return records[-1].offset + 1

    async def _watch_policies(self) -> None:
        async for change in self._shared.ports.policies.changes():
            self._session.changed(change)

    async def _pause(self, failures: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            delay = self._shared.settings.delay(failures)
            waits = (
                tasks.create_task(self._stopping.wait()),
                tasks.create_task(self._shared.ports.clock.sleep(delay)),
            )
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for waiting in waits:
                waiting.cancel()
