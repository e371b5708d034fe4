"""A handler whose targets are real and whose log is in memory: what becomes of commands when the API has a bad day."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.targets import Field, KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.adapters.memory import MemoryLog, MemoryMembership, MemoryPublisher, MemoryReader
from consumer.core.outcome import Command
from consumer.core.service import Phase, ServiceKey
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import Output, TargetKey, TargetView
from consumer.wire.messages import command_message
from schemas.partitioning import partition_for
from schemas.scale_result import ScaleResult
from schemas.topics import TOPICS, Topic
from tests.handler.bed import PARTITIONS, HandPolicies, Told
from tests.handler.samples import HOWEVER_LATE, policy

FINAL = frozenset({Phase.ACCEPTED, Phase.UNCHANGED, Phase.SUPERSEDED, Phase.FAILED})
LIMIT = 45.0


@dataclass(slots=True)
class Bench:
    """One handler, its log, what it told, and the worker's pen."""

    targets: KubernetesTargets
    told: Told
    handler: ScaleHandler
    log: MemoryLog
    settings: HandlerSettings
    views: dict[TargetKey, TargetView] = field(default_factory=dict)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def command(self, *commands: Command) -> None:
        """Write commands as the worker does."""
        for command in commands:
            self.log.append(
                Output(
                    self.settings.topic(Topic.SCALE_COMMANDS),
                    partition_for(command.key.namespace, command.key.name, PARTITIONS),
                    bytes(command.key),
                    command_message(command, self.settings.cluster).encode(),
                )
            )

    async def answer(self, command: Command) -> ScaleResult:
        """Wait for the one result that ends a command."""
        partition = partition_for(command.key.namespace, command.key.name, PARTITIONS)
        async with asyncio.timeout(LIMIT):
            following = MemoryReader(self.log).follow(self.settings.topic(Topic.SCALE_RESULTS), partition, 0)
            async for records in following:
                for record in records:
                    result = ScaleResult.model_validate_json(record.value or b"")
                    if result.command_id == command.id and Phase(result.phase.value) in FINAL:
                        return result
        raise AssertionError(f"no result of {command}")

    async def seen(self, key: TargetKey, holds: Callable[[TargetView | None], bool]) -> None:
        """Wait until this holds of what the handler's own watch shows; None: the target is not there."""
        async with asyncio.timeout(LIMIT):
            while not holds(self.views.get(key)):
                self.more.clear()
                await self.more.wait()

    async def follow(self) -> None:
        """Keep `views` as the watch says."""
        async for one in self.targets.watch():
            if isinstance(one, TargetView):
                self.views[one.key] = one
            else:
                self.views.pop(one, None)
            self.more.set()


@asynccontextmanager
async def handling(access: Access, *keys: ServiceKey) -> AsyncIterator[Bench]:
    """Let a handler of these services run; it has seen them when the block begins."""
    api, clock, told, settings = Api(access), BrokerClock(), Told(), HandlerSettings(zero_within=HOWEVER_LATE)
    scope = Field({key.namespace for key in keys})
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock, scope)
    policies, log = HandPolicies(), MemoryLog(clock)
    policies.put(*map(policy, keys))
    for spec in TOPICS:
        log.create(spec.topic.under(settings.prefix), spec.partitions(PARTITIONS))
    targets.include(policy(key).target for key in keys)
    handler = ScaleHandler(
        HandlerPorts(
            membership=MemoryMembership(log, settings.subscription()),
            publisher=MemoryPublisher(log),
            reader=MemoryReader(log),
            targets=targets,
            policies=policies,
            clock=clock,
            telemetry=told,
            chance=chance,
        ),
        settings,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            watching, running = tasks.create_task(targets.run()), tasks.create_task(handler.run())
            bench = Bench(targets, told, handler, log, settings)
            following = tasks.create_task(bench.follow())
            for key in keys:
                await bench.seen(TargetKey(key.namespace, policy(key).target), lambda view: view is not None)
            yield bench
            await handler.stop()
            await running
            watching.cancel()
            following.cancel()
    finally:
        await api.close()
