"""All lanes and tellers: brings commands and news to the right ones, and winds them up when partitions go."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from consumer.core.service import ServiceKey, TargetRef
from consumer.handler.lane import Lane, Ticket, Workshop
from consumer.handler.news import Told
from consumer.handler.teller import Teller, Tools
from consumer.ports import TargetError, TargetKey

# Behind wakes, prepares and sleeps.
_LOOKING_FOR = 3
_SAY_AGAIN = 0.5
_log = structlog.get_logger(__name__)


class Crew:
    """A lane per service and target with something to do; a teller per such service, and per policy that is ours."""

    def __init__(self, shop: Workshop, tools: Tools) -> None:
        self._shop = shop
        self._tools = tools
        self._lanes: dict[ServiceKey, dict[TargetRef, Lane]] = {}
        self._tellers: dict[ServiceKey, Teller] = {}
        # Per partition that is ours and restored: what the log said of services that have no teller yet.
        self._restored: dict[int, dict[ServiceKey, Told]] = {}

    @property
    def restored_partitions(self) -> frozenset[int]:
        """The partitions whose targets are ours to watch."""
        return frozenset(self._restored)

    def watches(self, key: ServiceKey) -> bool:
        """Whether the service's partition is ours and restored."""
        return bool(self._restored) and self._partition(key) in self._restored

    def offer(self, ticket: Ticket) -> None:
        """Bring a command to its target's lane; what it overtakes in the others of its service is found out there."""
        key, target = ticket.command.key, ticket.command.target
        lanes = self._lanes.setdefault(key, {})
        lane = lanes.get(target)
        if lane is None:
            lane = lanes[target] = Lane(key, self._shop, self.teller(key))
        lane.offer(ticket)
        for other in lanes.values():
            if other is not lane:
                other.interrupt()

    def asked_for(self, key: ServiceKey) -> None:
        """A request came without the log: what waits in the lanes of its service may be pointless now."""
        for lane in self._lanes_of(key):
            lane.interrupt()

    def stir(self, target: TargetKey) -> None:
        """The target changed."""
        for key in self._shop.scene.services(target):
            if (teller := self._tellers.get(key)) is not None:
                teller.stir()

    def restored(self, partition: int, told: Mapping[ServiceKey, Told]) -> None:
        """From now on this partition's targets are ours to watch; `told` is what the log last said of them."""
        self._restored[partition] = dict(told)
        for key in self._shop.scene.policies():
            if self._partition(key) == partition:
                self.policy_changed(key)

    def policy_changed(self, key: ServiceKey) -> None:
        """The service's policy came, changed or went."""
        target = self._shop.scene.target(key)
        # Before the first assignment nobody knows the number of partitions, and nothing is ours anyway.
        told = self._restored.get(self._partition(key)) if self._restored else None
        if target is None or told is None:
            self._unwatch(key)
            return
        teller = self.teller(key)
        teller.watches = True
        teller.told = teller.told or told.pop(key, None)
        teller.stir()
        if teller.told is not None and self._shop.scene.view(target) is None:
            # Deleted while nobody watched, it would never be shown by the watch.
            self._tools.spawn(self._look_for(target))

    async def drain(self, partitions: frozenset[int]) -> None:
        """Let what is in flight end and be published, within the deadline; then forget these partitions."""
        keys = [key for key in {*self._lanes, *self._tellers} if self._partition(key) in partitions]
        for key in keys:
            self._unwatch(key)
            for lane in self._lanes_of(key):
                lane.close()
        try:
            async with asyncio.timeout(self._shop.settings.drain.total_seconds()):
                await _ended(lane.task for key in keys for lane in self._lanes_of(key))
                await _ended(self._tellers[key].task for key in keys if key in self._tellers)
        except TimeoutError:
            _log.warning("not everything ended in time", partitions=sorted(partitions))
            await self._cut_off(keys)
        self._forget(partitions)

    async def _cut_off(self, keys: Iterable[ServiceKey]) -> None:
        busy: list[Lane | Teller] = [lane for key in keys for lane in self._lanes_of(key)]
        busy += [teller for key in keys if (teller := self._tellers.get(key)) is not None]
        await cut_off(one.task for one in busy if one.task is not None)

    def _forget(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            self._restored.pop(partition, None)
        seen = {*self._shop.order.keys(), *self._shop.prepared, *self._lanes, *self._tellers}
        left = frozenset(key for key in seen if self._partition(key) in partitions)
        self._shop.order.forget(left)
        for key in left:
            self._shop.prepared.pop(key, None)
            self._lanes.pop(key, None)
            self._tellers.pop(key, None)

    async def _look_for(self, target: TargetKey) -> None:
        if not await self._shop.slots.granted(self._shop.slots.ask(_LOOKING_FOR)):
            return
        try:
            if self._shop.scene.view(target) is None:
                await self._shop.calls.look(target)
        except TargetError as error:
            _log.info("not found", target=str(target), code=error.code, error=str(error))
        finally:
            self._shop.slots.give_back()
        self.stir(target)

    def idle(self, key: ServiceKey) -> None:
        """A lane or teller of this service has nothing to do any more: keep only what will have."""
        lanes = {target: lane for target, lane in self._lanes.pop(key, {}).items() if lane.task is not None}
        if lanes:
            self._lanes[key] = lanes
        teller = self._tellers.get(key)
        if key not in self._lanes and teller is not None and teller.task is None and not teller.watches:
            del self._tellers[key]

    def _unwatch(self, key: ServiceKey) -> None:
        if (teller := self._tellers.get(key)) is not None:
            teller.watches = False
            teller.told = None
            self.idle(key)

    def teller(self, key: ServiceKey) -> Teller:
        """The voice of this service."""
        teller = self._tellers.get(key)
        if teller is None:
            teller = self._tellers[key] = Teller(key, self._tools)
        return teller

    def _lanes_of(self, key: ServiceKey) -> Iterable[Lane]:
        return self._lanes.get(key, {}).values()

    def _partition(self, key: ServiceKey) -> int:
        return self._tools.address.partition(key)


async def _ended(tasks: Iterable[asyncio.Task[None] | None]) -> None:
    if running := [task for task in tasks if task is not None]:
        await asyncio.wait(running)


async def cut_off(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End these; a client whose broker is gone swallows a cancellation, so it is said until it is heard."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_SAY_AGAIN)
