"""Tells the log everything about one service, one record after the other: answers first, then what is news."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Phase, ServiceKey
from consumer.handler.errands import Spawn
from consumer.handler.news import Told, accepted, after, buried, news
from consumer.handler.press import Press
from consumer.handler.results import Address, Result
from consumer.handler.scene import Scene
from consumer.handler.wiring import HandlerTelemetry
from consumer.ports import Clock, TargetView
from schemas.scale_result import ResultCause

Done = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all tellers share."""

    spawn: Spawn
    idle: Callable[[ServiceKey], None]
    press: Press
    address: Address
    scene: Scene
    clock: Clock
    telemetry: HandlerTelemetry


class Teller:
    """The voice of one service.

    While a call is in flight (`hold` … `free`) nothing is said about what the watch shows, so that `accepted` comes
    before the `ready` that it causes, and our own change is not reported as an observation.
    """

    __slots__ = ("_held", "_key", "_queue", "_task", "_tools", "told", "watches")

    def __init__(self, key: ServiceKey, tools: Tools) -> None:
        self.told: Told | None = None
        self.watches = False
        """Whether news of the target is ours to tell: its policy is in force, its partition ours and restored."""
        self._key = key
        self._tools = tools
        self._queue: deque[tuple[Result, Done | None]] = deque()
        self._held = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What is being told now, None when all is said."""
        return self._task

    def say(self, result: Result, done: Done | None = None) -> None:
        """Publish this after what was said before; `done` is called when the log has it."""
        self._queue.append((result, done))
        self.stir()

    def hold(self) -> None:
        """A call to the target is in flight."""
        self._held += 1

    def free(self) -> None:
        """The call has ended, and what it brought was said."""
        self._held -= 1
        self.stir()

    def stir(self) -> None:
        """Something may be to be told."""
        if self._task is None and (self._queue or self._next()):
            self._task = self._tools.spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._queue or self._next():
                await (self._answer() if self._queue else self._report())
        finally:
            self._task = None
            self._tools.idle(self._key)

    async def _answer(self) -> None:
        result, done = self._queue[0]
        await self._tools.press.print(partial(self._tools.address.output, result))
        self._queue.popleft()
        if result.view is not None and self._is_of_ours(result) and self._tells(result.phase, result.view):
            self.told = accepted(self.told, result.view, result.trace, result.at)
        if result.command is not None:
            # Two clocks that agree within a millisecond may still tell the answer before its cause.
            took = max(self._tools.clock.read().now - result.command.triggered_at, timedelta())
            self._tools.telemetry.answered(result.command.direction, result.phase, took)
            if result.command.reason.code is Code.REQUEST:
                error = result.obstacle.code if result.obstacle else "success"
                self._tools.telemetry.scaled(result.key, result.target, error)
        if done is not None:
            done()

    def _is_of_ours(self, result: Result) -> bool:
        """Whether it is of the target that is watched; what comes of an old one says nothing about that."""
        target = self._tools.scene.target(self._key)
        return target is None or target.ref == result.target

    def _tells(self, phase: Phase, view: TargetView) -> bool:
        """Whether it tells of a change of ours, be it one whose own answer was lost; others' are observed besides."""
        if phase is Phase.ACCEPTED:
            return True
        return view.manager == OWN_MANAGER and self.told is not None and self.told.replicas != view.replicas

    def _next(self) -> Result | None:
        """The next thing that the log does not know of the target."""
        scene = self._tools.scene
        target = scene.target(self._key) if self.watches and not self._held else None
        if target is None:
            return None
        view = scene.view(target)
        if view is not None:
            phase = next(iter(news(self.told, view)), None)
        else:
            phase = Phase.OBSERVED if scene.is_gone(target) and self.told and self.told.uid else None
        if phase is None:
            return None
        trace = self.told.trace if self.told and phase is Phase.READY else None
        moment = self._tools.clock.read()
        return Result(self._key, target.ref, phase, view, moment, trace=trace, cause=ResultCause.OBSERVED)

    async def _report(self) -> None:
        result = self._next()
        if result is None:
            return
        await self._tools.press.print(partial(self._tools.address.output, result))
        self._tools.telemetry.observed(result.phase)
        self._note(result)

    def _note(self, result: Result) -> None:
        """Remember what the log knows now."""
        told, view = self.told, result.view
        if view is None:
            self.told = buried(told) if told else None
            return
        if result.phase is Phase.READY and told is not None and told.accepted_at is not None and not told.up:
            self._tools.telemetry.became_ready(self._tools.clock.read().now - told.accepted_at)
        self.told = after(told, result.phase, view)
