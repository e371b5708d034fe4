"""Keeps the scene and the crew up to date: the cluster's watch, the policies, the controls, the last known status."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import structlog

from consumer.core.control import unreadable
from consumer.core.reasons import Code
from consumer.core.service import Mode, ServiceKey
from consumer.handler.clerk import Clerk
from consumer.handler.crew import Crew
from consumer.handler.keeper import Keeper
from consumer.handler.news import Told
from consumer.handler.scene import Scene
from consumer.handler.standby import Standby
from consumer.handler.standing import Present
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import LogError, PolicyEntry, PolicyGone, Record, Switches, TargetError, TargetKey
from consumer.wire.controls import switched
from schemas.codec import Undecodable, decode
from schemas.service_status import ServiceStatus
from schemas.topics import Topic

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of what is new."""

    scene: Scene
    crew: Crew
    clerk: Clerk
    keeper: Keeper
    standby: Standby


class Following:
    """Each method is one endless task, but for `restore` and `controls_read`."""

    def __init__(self, ports: HandlerPorts, settings: HandlerSettings, listeners: Listeners) -> None:
        self._ports = ports
        self._settings = settings
        self._scene = listeners.scene
        self._crew = listeners.crew
        self._clerk = listeners.clerk
        self._keeper = listeners.keeper
        self._standby = listeners.standby
        self._tells = ports.resources is not None or ports.notices is not None
        if ports.switches is not None:
            unread = unreadable("they were not read yet", ports.clock.read().now)
            self._scene.controls = self._scene.controls.beside((unread,))
        self._control = settings.topic(Topic.CONTROL)
        self._control_offset = 0
        self.looked_at = ports.clock.read().now
        """When the controls were last asked for."""
        self.trouble = ""
        """What the log said to that; nothing is carried out before they are read, but for direct wakes."""

    async def targets(self) -> None:
        """Take over what the cluster's watch shows, the moment that it shows it."""
        failures = 0
        while True:
            try:
                async for seen in self._ports.targets.watch():
                    failures = 0
                    if isinstance(seen, TargetKey):
                        self._scene.vanished(seen)
                        self._stir(seen)
                    else:
                        self._scene.watched(seen)
                        self._stir(seen.key)
            except TargetError as error:
                _log.warning("watching anew", error=str(error))
            failures += 1
            await self._pause(failures)

    def _stir(self, target: TargetKey) -> None:
        self._crew.stir(target)
        for key in self._scene.services(target):
            self._clerk.stir(key)

    async def policies(self) -> None:
        """Take over the policies in force."""
        changes = self._ports.policies.changes()
        await self._ports.policies.listed()
        for key in self._ports.policies.entries():
            self._policy(key)
        self._scene.listed = True
        async for change in changes:
            self._policy(change.key)
            if isinstance(change, PolicyGone):
                self._keeper.gone(change)

    def _policy(self, key: ServiceKey) -> None:
        """Look the service up: a change says which one, the entries say which policy is in force for it now."""
        entry, before = self._ports.policies.entries().get(key), self._scene.policy(key)
        after = entry.policy if entry else None
        if entry is None or after is None:
            self._scene.drop(key)
        else:
            self._scene.put(after, entry.resource)
        if before is not None and after is not None and before.autoscaler != after.autoscaler:
            # Nobody would ever let the old one run again.
            self._standby.let_run(key.namespace, before.autoscaler, TargetKey(key.namespace, before.target))
        self._crew.policy_changed(key)
        if entry is None:
            self._clerk.stir(key)
        elif self._crew.watches(key):
            self._keep(entry)

    def _keep(self, entry: PolicyEntry) -> None:
        self._keeper.seen(entry)
        self._clerk.stir(entry.key)

    async def restore(self, partition: int) -> None:
        """Read what the log last said of this partition's services; what differs is published from then on."""
        topic = self._settings.topic(Topic.SERVICE_STATUS)
        for attempt in count(1):
            told: dict[ServiceKey, Told] = {}
            offset = 0
            try:
                async for records in self._ports.reader.read_to_end(topic, partition):
                    for record in records:
                        self._note(told, record, news=False)
                        offset = record.offset + 1
            except LogError as error:
                _log.warning("not restored", topic=topic, partition=partition, error=str(error))
                await self._pause(attempt)
            else:
                await self._restored(partition, told, offset)
                return

    async def _restored(self, partition: int, told: dict[ServiceKey, Told], offset: int) -> None:
        """Go on from what was read; without a cluster to tell it to, nobody asks what the log says afterwards."""
        self._crew.restored(partition, told)
        for entry in self._ports.policies.entries().values():
            if self._crew.watches(entry.key):
                self._keep(entry)
        if self._tells:
            await self._statuses(partition, offset)

    async def _statuses(self, partition: int, offset: int) -> None:
        """Take over what the log says of this partition's services from then on; ends with the task."""
        topic, failures = self._settings.topic(Topic.SERVICE_STATUS), 0
        while True:
            try:
                async for records in self._ports.reader.follow(topic, partition, offset):
                    for record in records:
                        self._note({}, record, news=True)
                        offset = record.offset + 1
                    failures = 0
            except LogError as error:
                _log.warning("following anew", topic=topic, partition=partition, error=str(error))
            failures += 1
            await self._pause(failures)

    def _note(self, told: dict[ServiceKey, Told], record: Record, *, news: bool) -> None:
        """The last record of a key counts; a tombstone says that nothing is known any more."""
        if record.value is None:
            if (gone := _named(record)) is not None:
                told.pop(gone, None)
                self._clerk.knows(gone, None, news=news)
            return
        status = decode(ServiceStatus, record.value)
        if isinstance(status, Undecodable):
            _log.warning("unreadable status", partition=record.partition, offset=record.offset, cause=status.cause)
            return
        key = ServiceKey(status.namespace, status.service)
        if (known := _told(status)) is not None:
            told[key] = known
        else:
            told.pop(key, None)
        if self._tells:
            self._clerk.knows(key, _present(status), news=news)

    async def switches(self, switches: Switches) -> None:
        """Take over what is switched in the cluster; until it can be read, nothing sleeps."""
        failures, known = 0, False
        while True:
            try:
                async for controls in switches.follow():
                    self._scene.controls = self._scene.controls.beside(controls)
                    failures, known = 0, True
            except TargetError as error:
                _log.warning("following the switches anew", error=str(error))
                if not known:
                    unread = unreadable(str(error), self._ports.clock.read().now)
                    self._scene.controls = self._scene.controls.beside((unread,))
            failures += 1
            await self._pause(failures)

    async def controls_read(self) -> None:
        """Return when all that was ever switched is known: before, nothing is carried out."""
        for attempt in count(1):
            self._scene.controls = self._scene.controls.emptied()
            self._control_offset = 0
            self.looked_at = self._ports.clock.read().now
            try:
                async for records in self._ports.reader.read_to_end(self._control, 0):
                    self._switch(records)
            except LogError as error:
                _log.warning("controls not read", topic=self._control, error=str(error))
                self.trouble = str(error)
                await self._pause(attempt)
            else:
                self.trouble = ""
                return

    async def controls(self) -> None:
        """Take over what is switched from then on."""
        failures = 0
        while True:
            try:
                async for records in self._ports.reader.follow(self._control, 0, self._control_offset):
                    self._switch(records)
                    failures = 0
            except LogError as error:
                _log.warning("following the controls anew", topic=self._control, error=str(error))
            failures += 1
            await self._pause(failures)

    def _switch(self, records: Sequence[Record]) -> None:
        for record in records:
            controls = switched(self._scene.controls, record)
            if isinstance(controls, Undecodable):
                _log.warning("unreadable control", offset=record.offset, cause=controls.cause)
            else:
                self._scene.controls = controls
            self._control_offset = record.offset + 1

    async def _pause(self, attempt: int) -> None:
        await self._ports.clock.sleep(self._settings.log.delay(attempt, self._ports.chance()))


def _told(status: ServiceStatus) -> Told | None:
    """Return what the log said of the target; None when it knew none."""
    target = status.target
    if target.uid is None or target.generation is None or status.replicas is None:
        return None
    ready = status.ready_replicas or 0
    return Told(target.uid, target.generation, status.replicas, ready, up=ready > 0)


def _present(status: ServiceStatus) -> Present | None:
    """Return what the log said of the judgement; None for a code of a newer version."""
    try:
        code = Code(status.reason.code)
    except ValueError:
        return None
    return Present(code, status.reason.message, status.since, Mode(status.mode.value), status.last_wake_at)


def _named(record: Record) -> ServiceKey | None:
    try:
        return ServiceKey.parse((record.key or b"").decode())
    except ValueError as error:
        # Whoever wrote that meant no service; a restore that ends here would end here for ever.
        _log.warning("unreadable tombstone", partition=record.partition, offset=record.offset, cause=str(error))
        return None
