"""Keeps the scene and the crew up to date: the cluster's watch, the policies, the controls, the last known status."""

from collections.abc import Sequence
from itertools import count

import structlog

from consumer.core.control import Controls
from consumer.core.service import ServiceKey
from consumer.handler.crew import Crew
from consumer.handler.news import Told
from consumer.handler.scene import Scene
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import LogError, Record, TargetError, TargetKey
from consumer.wire.controls import switched
from schemas.codec import Undecodable, decode
from schemas.service_status import ServiceStatus
from schemas.topics import Topic

_log = structlog.get_logger(__name__)


class Following:
    """Each method is one endless task, but for `restore` and `controls_read`."""

    def __init__(self, ports: HandlerPorts, settings: HandlerSettings, scene: Scene, crew: Crew) -> None:
        self._ports = ports
        self._settings = settings
        self._scene = scene
        self._crew = crew
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
                        self._crew.stir(seen)
                    else:
                        self._scene.watched(seen)
                        self._crew.stir(seen.key)
            except TargetError as error:
                _log.warning("watching anew", error=str(error))
            failures += 1
            await self._pause(failures)

    async def policies(self) -> None:
        """Take over the policies in force."""
        changes = self._ports.policies.changes()
        await self._ports.policies.listed()
        for key in self._ports.policies.entries():
            self._policy(key)
        self._scene.listed = True
        async for change in changes:
            self._policy(change.key)

    def _policy(self, key: ServiceKey) -> None:
        """Look the service up: a change says which one, the entries say which policy is in force for it now."""
        entry = self._ports.policies.entries().get(key)
        if entry is None or entry.policy is None:
            self._scene.drop(key)
        else:
            self._scene.put(entry.policy)
        self._crew.policy_changed(key)

    async def restore(self, partition: int) -> None:
        """Read what the log last said of this partition's services; what differs is published from then on."""
        topic = self._settings.topic(Topic.SERVICE_STATUS)
        for attempt in count(1):
            told: dict[ServiceKey, Told] = {}
            try:
                async for records in self._ports.reader.read_to_end(topic, partition):
                    for record in records:
                        _note(told, record)
            except LogError as error:
                _log.warning("not restored", topic=topic, partition=partition, error=str(error))
                await self._pause(attempt)
            else:
                self._crew.restored(partition, told)
                return

    async def controls_read(self) -> None:
        """Return when all that was ever switched is known: before, nothing is carried out."""
        for attempt in count(1):
            self._scene.controls = Controls()
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


def _note(told: dict[ServiceKey, Told], record: Record) -> None:
    """The last record of a key counts; a tombstone says that nothing is known any more."""
    if record.value is None:
        _forget(told, record)
        return
    status = decode(ServiceStatus, record.value)
    if isinstance(status, Undecodable):
        _log.warning("unreadable status", partition=record.partition, offset=record.offset, cause=status.cause)
        return
    key = ServiceKey(status.namespace, status.service)
    target = status.target
    if target.uid is None or target.generation is None or status.replicas is None:
        told.pop(key, None)
        return
    ready = status.ready_replicas or 0
    told[key] = Told(target.uid, target.generation, status.replicas, ready, up=ready > 0)


def _forget(told: dict[ServiceKey, Told], record: Record) -> None:
    try:
        key = ServiceKey.parse((record.key or b"").decode())
    except ValueError as error:
        # Whoever wrote that meant no service; a restore that ends here would end here for ever.
        _log.warning("unreadable tombstone", partition=record.partition, offset=record.offset, cause=str(error))
        return
    told.pop(key, None)
