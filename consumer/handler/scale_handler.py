"""The handler as a whole: builds its parts, owns their tasks, starts and stops them in order."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime

import structlog

from consumer.core.service import ServiceKey
from consumer.handler.approach import Approach
from consumer.handler.calls import Calls
from consumer.handler.clerk import Clerk, Sources
from consumer.handler.crew import Crew, cut_off
from consumer.handler.direct import DirectWakes
from consumer.handler.errands import Errands
from consumer.handler.following import Following, Listeners
from consumer.handler.herald import Herald
from consumer.handler.intake import Hands, Intake
from consumer.handler.keeper import Keeper, Means
from consumer.handler.knocks import Knocks
from consumer.handler.lane import Workshop
from consumer.handler.mentions import Mentions
from consumer.handler.order import Order
from consumer.handler.press import Press
from consumer.handler.results import Address
from consumer.handler.scene import Scene
from consumer.handler.slots import Slots
from consumer.handler.standby import Standby
from consumer.handler.teller import Tools
from consumer.handler.vigil import Vigil
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import LogSetupError, TargetBusyError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HandlerHealth:
    """How the handler is: `ready` once it is a member and all it owns is restored.

    `pending` commands have no answer yet; `moved_at` is when fetching, or the attempt to join, last went round;
    `trouble` is what the log said last, while we are no member because of it.
    """

    running: bool
    ready: bool
    partitions: frozenset[int]
    pending: int
    moved_at: datetime
    trouble: str = ""


class ScaleHandler:
    """One member of the group that carries out scale commands; made to run once."""

    def __init__(self, ports: HandlerPorts, settings: HandlerSettings) -> None:
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._live: set[asyncio.Task[None]] = set()
        self._failure: LogSetupError | None = None
        clock, telemetry = ports.clock, ports.telemetry
        scene = Scene(settings.mode)
        press = Press(ports.publisher, clock, telemetry, settings.log, ports.chance)
        address = Address(settings.cluster, settings.prefix, ports.membership)
        calls = Calls(ports.targets, scene, clock, telemetry, settings.deadline)
        errands = Errands(self._spawn, clock, telemetry, ports.chance, settings.deadline, settings.releases)
        standby = Standby(ports.autoscalers, calls, errands)
        herald = Herald(ports.notices, errands)
        approach = Approach(scene, calls, standby)
        shop = Workshop(
            spawn=self._spawn,
            idle=self._idle,
            scene=scene,
            calls=calls,
            approach=approach,
            standby=standby,
            herald=herald,
            slots=Slots(settings.parallel),
            order=Order(settings.remembered),
            knocks=Knocks(settings.remembered),
            vigil=Vigil(self._spawn, clock, settings.calls, ports.chance),
            clock=clock,
            settings=settings,
            chance=ports.chance,
        )
        tools = Tools(
            spawn=self._spawn,
            idle=self._idle,
            press=press,
            address=address,
            scene=scene,
            clock=clock,
            telemetry=telemetry,
        )
        self._crew = Crew(shop, tools)
        sources = Sources(scene, calls, ports.policies, self._crew.watches)
        self._clerk = Clerk(ports.resources, sources, herald, errands)
        keeper = Keeper(ports.resources, Means(scene, calls, standby, herald.tell), errands)
        listeners = Listeners(scene, self._crew, self._clerk, keeper, standby)
        self._following = Following(ports, settings, listeners)
        self._switches = ports.switches
        self._parting = settings.parting
        self._mentions = Mentions(tools, shop.knocks, settings.parting)
        self._direct = DirectWakes(shop, self._crew, self._mentions)
        self._restoring: dict[int, asyncio.Task[None]] = {}
        self._address = address
        self._intake = Intake(ports, shop, self._crew, press, Hands(self._adopt, self._abandon))

    def health(self) -> HandlerHealth:
        """How it is now."""
        owned = self._intake.owned
        return HandlerHealth(
            running=self._tasks is not None,
            ready=self._intake.joined and owned <= self._crew.restored_partitions,
            partitions=owned,
            pending=self._intake.pending,
            moved_at=max(self._intake.moved_at, self._following.looked_at),
            trouble="" if self._intake.joined else self._following.trouble or self._intake.trouble,
        )

    async def wake(self, key: ServiceKey, trace: str | None) -> None:
        """Wake a service without the log; returns once the cluster took it, or had it already. Raises TargetError."""
        if self._tasks is None:
            raise TargetBusyError(f"{key}: the handler does not run (yet, or any more); ask again")
        await self._direct.wake(key, trace)

    async def stop(self) -> None:
        """Let `run` come to its end: finish what is in flight, publish, commit, leave."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped or cancelled, both of them politely; raises LogSetupError when the log is not set up."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            following = self._following
            for work in (following.targets(), following.policies(), self._intake.keep_committing(), self._clerk.run()):
                self._spawn(work)
            if self._switches is not None:
                self._spawn(following.switches(self._switches))
            working = self._spawn(self._work())
            try:
                await self._stopping.wait()
            finally:
                working.cancel()
                await asyncio.wait((working,))
                self._mentions.hurry()
                # While what it is about is still ours.
                await self._clerk.finish(self._parting)
                await self._intake.leave()
                await self._mentions.ended()
                await cut_off(self._live)
                self._tasks = None
        if self._failure is not None:
            raise self._failure

    async def _work(self) -> None:
        try:
            # Nothing is carried out before it is known what must not be.
            await self._following.controls_read()
            self._spawn(self._following.controls())
            await self._intake.run()
        except LogSetupError as error:
            self._failure = error
            self._stopping.set()

    def _adopt(self, partition: int) -> None:
        self._restoring[partition] = self._spawn(self._following.restore(partition))

    def _abandon(self, partitions: frozenset[int]) -> None:
        """Another handler looks after these from now on."""
        for partition in partitions:
            if (task := self._restoring.pop(partition, None)) is not None:
                task.cancel()
        self._clerk.forget(lambda key: self._address.partition(key) in partitions)

    def _idle(self, key: ServiceKey) -> None:
        self._crew.idle(key)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin a task of ours; a bug in one ends them all, and with them the process."""
        if self._tasks is None:
            work.close()
            msg = "the handler does not run"
            raise RuntimeError(msg)
        task = self._tasks.create_task(work)
        self._live.add(task)
        task.add_done_callback(self._live.discard)
        return task
