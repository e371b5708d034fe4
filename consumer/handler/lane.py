"""Carries out a service's commands for one target, one at a time; a newer one cancels what an older one waits for."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from consumer.core.asks import TAKEN
from consumer.core.outcome import Command
from consumer.core.reasons import span
from consumer.core.service import Direction, Phase, ServiceKey
from consumer.handler.approach import Answer, Approach
from consumer.handler.calls import Calls
from consumer.handler.errands import Spawn, first_of
from consumer.handler.herald import Herald
from consumer.handler.judge import Obstacle
from consumer.handler.knocks import Knocks
from consumer.handler.notices import of_answer
from consumer.handler.order import Order
from consumer.handler.results import Result
from consumer.handler.scene import Scene, gives_back, takes_back
from consumer.handler.slots import Slots, withdraw
from consumer.handler.standby import Standby
from consumer.handler.teller import Done, Teller
from consumer.handler.vigil import Vigil
from consumer.handler.wiring import HandlerSettings
from consumer.ports import (
    Clock,
    Moment,
    Notice,
    TargetBusyError,
    TargetError,
    TargetGoneError,
    TargetKey,
    TargetUnknownError,
)

_RANKS = {Direction.UP: 0, Direction.PREPARE: 1, Direction.ZERO: 2}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A command that waits for its answer; `done` is called once that is in the log."""

    command: Command
    done: Done

    @property
    def target(self) -> TargetKey:
        """The workload that the command names."""
        return TargetKey(self.command.key.namespace, self.command.target)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all lanes share; `prepared` holds the ids of prepares that nothing took back yet."""

    spawn: Spawn
    idle: Callable[[ServiceKey], None]
    scene: Scene
    calls: Calls
    approach: Approach
    standby: Standby
    herald: Herald
    slots: Slots
    order: Order
    knocks: Knocks
    vigil: Vigil
    clock: Clock
    settings: HandlerSettings
    chance: Callable[[], float]
    prepared: dict[ServiceKey, str] = field(default_factory=dict)


class Lane:
    """A service's commands for one target: an old target that is given back must not delay the wake of the new one."""

    def __init__(self, key: ServiceKey, shop: Workshop, teller: Teller) -> None:
        self._key = key
        self._shop = shop
        self._teller = teller
        self._waiting: deque[Ticket] = deque()
        self._turn: asyncio.Future[bool] | None = None
        self._stirred = asyncio.Event()
        self._closing = False
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What is being carried out now, None when everything is."""
        return self._task

    def offer(self, ticket: Ticket) -> None:
        """Take a command, in the order of the log; it gets its answer, unless the lane is closed before."""
        order, command = self._shop.order, ticket.command
        if not order.admit(command):
            self._say(ticket, self._superseded(command, _overtaken(command)), attempts=0)
            return
        self._waiting.append(ticket)
        self.interrupt()
        if self._task is None:
            self._task = self._shop.spawn(self._run())

    def close(self) -> None:
        """Finish the call that is in flight and begin no other; what has no answer is left to the next owner."""
        self._closing = True
        self.interrupt()

    def interrupt(self) -> None:
        """Look again whether what waits here is still to be carried out."""
        self._stirred.set()
        if self._turn is not None:
            withdraw(self._turn)

    async def _run(self) -> None:
        try:
            while self._waiting and not self._closing:
                await self._serve(self._waiting.popleft())
        finally:
            self._task = None
            self._shop.idle(self._key)

    async def _serve(self, ticket: Ticket) -> None:
        command, attempts, self._trouble = ticket.command, 0, ""
        while not self._closing:
            told = self._is_told(command, attempts)
            if told and not await self._has_turn(command):
                return
            if refusal := self._refusal(command):
                if not told:
                    self._say(ticket, self._superseded(command, self._with_trouble(refusal)), attempts)
                return
            if not await self._granted(command):
                continue
            attempts += 1
            wait = await self._try(ticket, attempts)
            if wait is None:
                return
            await self._pause(command, wait)

    def _is_told(self, command: Command, attempts: int) -> bool:
        """Whether it was answered `failed`, and is tried on all the same: a wake that the cluster was too busy for.

        The worker asks anew after five minutes at the longest. That is as good as never to people who wait for a page
        since the cluster went away, when it is back.
        """
        return (
            command.direction is Direction.UP and not gives_back(command) and attempts >= self._shop.settings.attempts
        )

    async def _has_turn(self, command: Command) -> bool:
        """Wait for a turn to try once more; False when there is something newer to do, or nothing any more."""
        while not (self._closing or self._waiting or self._refusal(command)):
            self._turn = self._shop.vigil.ask()
            try:
                if await self._turn:
                    return True
            finally:
                self._turn = None
        return False

    def _refusal(self, command: Command) -> Obstacle | None:
        moment = self._shop.clock.read()
        withheld = self._shop.scene.withholds(command, moment.now)
        return self._pointless(command) or self._too_late(command, moment) or withheld

    def _too_late(self, command: Command, moment: Moment) -> Obstacle | None:
        """Why a sleep is left to be decided anew: a wake may have found the pods up meanwhile, and changed nothing.

        A handler that does not know the broker's time does not know how long ago that was; it will with its answer.
        """
        age, view = (
            moment.now - command.decided_at,
            self._shop.scene.view(TargetKey(command.key.namespace, command.target)),
        )
        in_time = moment.sure and age <= self._shop.settings.zero_within
        if command.direction is not Direction.ZERO or in_time:
            return None
        if view is not None and not view.replicas:
            # An earlier try has landed, and that is to be told.
            return None
        when = f"decided {span(age)} ago" if moment.sure else "decided at a time unknown by this handler's clock"
        message = f"the sleep of {command.key} was {when}; it is judged anew"
        code = TargetBusyError.code if self._trouble else "too-late"
        return Obstacle(code, message, retryable=bool(self._trouble))

    def _pointless(self, command: Command) -> Obstacle | None:
        """Why nothing is waited for any more."""
        if self._shop.order.overtaken(command):
            return _overtaken(command)
        return _asked_for(command) if self._shop.knocks.unknown_to(command) else None

    async def _granted(self, command: Command) -> bool:
        """Wait for a place among the calls; False when something came up meanwhile."""
        self._turn = self._shop.slots.ask(_RANKS[command.direction])
        try:
            granted = await self._shop.slots.granted(self._turn)
        finally:
            self._turn = None
        if granted and (self._closing or self._refusal(command)):
            self._shop.slots.give_back()
            return False
        return granted

    async def _try(self, ticket: Ticket, attempts: int) -> timedelta | None:
        """Call the cluster once more; returns how long to wait before the next time, None when there is an answer."""
        self._teller.hold()
        try:
            answer = await self._answer(ticket, attempts)
            if isinstance(answer, timedelta):
                return answer
            if answer.obstacle is None or not answer.obstacle.retryable:
                self._shop.vigil.answered()
            self._say(ticket, answer, attempts)
            return None
        finally:
            self._teller.free()
            self._shop.slots.give_back()

    async def _answer(self, ticket: Ticket, attempts: int) -> Answer | timedelta:
        try:
            return await self._shop.approach.answer(ticket.command, first=attempts == 1)
        except TargetBusyError as busy:
            self._trouble = str(busy)
            return self._after(ticket, busy, attempts)
        except (TargetGoneError, TargetUnknownError) as gone:
            # What does not exist any more was given back.
            released = gives_back(ticket.command)
            return Answer(Phase.UNCHANGED, None) if released else self._failed(ticket, gone, retryable=False)
        except TargetError as error:
            return self._failed(ticket, error, retryable=False)

    def _after(self, ticket: Ticket, busy: TargetBusyError, attempts: int) -> Answer | timedelta:
        """What follows a call that the cluster was too busy for: another one after so long, or an answer."""
        settings = self._shop.settings
        if gives_back(ticket.command):
            return self._once_more(ticket, busy, attempts)
        if attempts >= settings.attempts:
            failed = self._failed(ticket, busy, retryable=True)
            if not self._is_told(ticket.command, attempts):
                return failed
            if attempts == settings.attempts:
                self._say(ticket, failed, attempts)
        return settings.calls.delay(attempts, self._shop.chance(), busy.retry_after)

    def _once_more(self, ticket: Ticket, busy: TargetBusyError, attempts: int) -> timedelta:
        """How long to wait before a release is tried again, and so on: the worker has forgotten the service by now."""
        settings = self._shop.settings
        if attempts >= settings.attempts:
            _log.warning("not given back yet", target=str(ticket.target), attempts=attempts, error=str(busy))
        return settings.releases.delay(attempts, self._shop.chance(), busy.retry_after)

    async def _pause(self, command: Command, length: timedelta) -> None:
        """Wait that long, less when a newer command or a request comes, or the lane is closed."""
        clock, until = self._shop.clock, self._shop.clock.read().now + length
        while not self._closing and self._pointless(command) is None:
            left = until - clock.read().now
            if left <= timedelta():
                return
            self._stirred.clear()
            await first_of(clock.sleep(left), self._stirred.wait())

    def _superseded(self, command: Command, why: Obstacle) -> Answer:
        view = self._shop.scene.view(TargetKey(command.key.namespace, command.target))
        # While the cluster is away it is asked for less and less often, not at every cycle.
        return Answer(Phase.FAILED if why.retryable else Phase.SUPERSEDED, view, why)

    def _with_trouble(self, refusal: Obstacle) -> Obstacle:
        """Tell also why it was not carried out in time: while the cluster is away, nothing else says so."""
        return replace(refusal, message=f"{refusal.message}; {self._trouble}") if self._trouble else refusal

    def _failed(self, ticket: Ticket, error: TargetError, *, retryable: bool) -> Answer:
        view = self._shop.scene.view(ticket.target)
        return Answer(Phase.FAILED, view, Obstacle(error.code, str(error), retryable=retryable))

    def _say(self, ticket: Ticket, answer: Answer, attempts: int) -> None:
        command = ticket.command
        result = Result(
            command.key,
            command.target,
            answer.phase,
            answer.view,
            self._shop.clock.read(),
            command=command,
            command_id=command.id,
            obstacle=answer.obstacle,
            attempts=attempts,
            trace=command.trace,
        )
        self._teller.say(result, ticket.done)
        # An answer that needed no call, or came of one that failed, says the same of the autoscaler.
        self._shop.standby.answered(command, answer.phase)
        self._shop.herald.tell(self._notices(command, answer))
        self._take_back(result)

    def _notices(self, command: Command, answer: Answer) -> tuple[Notice, ...]:
        trouble = answer.obstacle.message if answer.obstacle else ""
        return of_answer(command, answer.phase, answer.view, trouble, self._shop.scene.resource(command.key))

    def _take_back(self, result: Result) -> None:
        """An answered up, or an accepted zero, ends a prepare; the resolver is told of the up."""
        command, prepared = result.command, self._shop.prepared
        if command is None:
            return
        match command.direction:
            case Direction.PREPARE if result.phase is Phase.DRAINING:
                prepared[result.key] = result.command_id or ""
            case Direction.ZERO if result.phase is Phase.ACCEPTED:
                prepared.pop(result.key, None)
            case Direction.UP if result.phase in TAKEN:
                known = prepared.pop(result.key, None)
                # The command says so itself when its prepare was answered by a handler before us.
                if known is not None or takes_back(command):
                    self._teller.say(replace(result, phase=Phase.RELEASED, command=None, command_id=known, attempts=0))
            case _:
                pass


def _overtaken(command: Command) -> Obstacle:
    return Obstacle("overtaken", f"a newer command for {command.key} came before this one was carried out")


def _asked_for(command: Command) -> Obstacle:
    message = f"{command.key} was asked for without Kafka, and this was decided without knowledge of that"
    return Obstacle("asked-for", message)
