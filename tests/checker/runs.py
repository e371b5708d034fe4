"""Good runs to judge and to spoil: the real worker and the real handler, on one log in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

from consumer.adapters.memory import MemoryMembership, MemoryPublisher, MemoryReader
from consumer.adapters.memory_targets import MemoryTargets
from consumer.checker import GROUP, OFFSETS, Record, Recording
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import TargetKey
from schemas.topics import TOPICS, Topic
from tests.handler.bed import Told
from tests.worker.bed import Bed, policy

SHOP = tuple(ServiceKey("shop", name) for name in ("web", "cart", "search", "pay"))
COOLDOWN = timedelta(minutes=2)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Records(tuple[Record, ...]):
    """Many records that are not all shown when a test fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{len(self)} records"


class Shop(Bed):
    """A few services with targets in memory whose pods start at once, a worker and a handler."""

    def __init__(self, *policies: Policy, partitions: int = 2) -> None:
        super().__init__(*(policies or [policy(key, cooldown=COOLDOWN) for key in SHOP]), partitions=partitions)
        self.targets = MemoryTargets(self.clock)
        for entry in self.policies.entries().values():
            if entry.policy is not None:
                self.targets.create(TargetKey(entry.key.namespace, entry.policy.target), replicas=1, ready=1)

    def handler(self) -> ScaleHandler:
        """One more handler."""
        settings = HandlerSettings()
        ports = HandlerPorts(
            membership=MemoryMembership(self.log, settings.subscription()),
            publisher=MemoryPublisher(self.log),
            reader=MemoryReader(self.log),
            targets=self.targets,
            policies=self.policies,
            clock=self.clock,
            telemetry=Told(),
            chance=lambda: 0.0,
        )
        return ScaleHandler(ports, settings)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """A worker and a handler at work, until everything is told."""
        handler = self.handler()
        async with self.running(), asyncio.TaskGroup() as tasks:
            tasks.create_task(handler.run())
            await self.settle()
            try:
                yield
            finally:
                await handler.stop()

    async def passes(self, length: timedelta, step: timedelta = 5 * SECOND) -> None:
        """Let time pass; every pod that is wanted gets ready."""
        while length > timedelta():
            await self.pass_time(min(step, length), min(step, length))
            length -= step
            self.pods()
            await self.settle()

    def pods(self) -> None:
        """Let every pod that is wanted be ready."""
        for entry in self.policies.entries().values():
            if entry.policy is None:
                continue
            target = TargetKey(entry.key.namespace, entry.policy.target)
            view = self.targets.present(target)
            if view.ready != view.replicas:
                self.targets.make_ready(target, view.replicas)

    def by_hand(self, key: ServiceKey, replicas: int) -> None:
        """Somebody else scales a service."""
        entry = self.policies.entries()[key]
        assert entry.policy is not None
        self.targets.scale_by_hand(TargetKey(key.namespace, entry.policy.target), replicas)

    def replicas(self, key: ServiceKey) -> int:
        """How many replicas a service has in truth."""
        entry = self.policies.entries()[key]
        assert entry.policy is not None
        return self.targets.present(TargetKey(key.namespace, entry.policy.target)).replicas

    def recording(self) -> Recording:
        """Everything that is in the log, as a recorded run."""
        return Recording(Records(self._records()), self.partitions)

    def _records(self) -> Iterator[Record]:
        for spec in TOPICS:
            for one in self.records(spec.topic):
                yield Record(
                    spec.topic.value, one.partition, one.offset, one.at, one.key, one.value, tuple(one.headers)
                )
        for group, offsets in self.log.committed.items():
            for (topic, partition), offset in offsets.items():
                kind = topic.removeprefix(self.settings.prefix).encode()
                yield Record(OFFSETS, partition, 0, self.clock.now, kind, b"%d" % offset, ((GROUP, group.encode()),))


async def a_day(shop: Shop) -> None:
    """Sleeps, wakes, a stray, poison, a host, somebody else's hand, and rest."""
    async with shop.open():
        await shop.passes(4 * MINUTE)
        web, cart, search, pay = SHOP
        shop.request(web)
        shop.raw(Topic.REQUEST_COUNTS, b"poison", shop.home(web))
        shop.raw(Topic.REQUEST_COUNTS, b'{"svc": "cart", "namespace": "shop"}', 1 - shop.home(cart))
        shop.raw(Topic.HOSTS, host(search), shop.home(search), key=bytes(search))
        await shop.passes(30 * SECOND)
        for _ in range(3):
            shop.request(web, count=5)
            shop.request(pay)
            await shop.passes(20 * SECOND)
        await shop.passes(5 * MINUTE)


def host(key: ServiceKey, *, allowed: bool = True) -> bytes:
    """A resolver's word on a service."""
    told = "true" if allowed else "false"
    return (
        f'{{"IncomingHost": "{key.name}.{key.namespace}.svc", "Namespace": "{key.namespace}", '
        f'"SourceService": "{key.name}", "TrafficAllowed": {told}}}'
    ).encode()
