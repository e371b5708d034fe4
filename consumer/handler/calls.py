"""Calls to the cluster: one at a time per target, a bounded number at all, each with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from weakref import WeakValueDictionary

from consumer.handler.scene import Scene
from consumer.handler.wiring import HandlerTelemetry
from consumer.ports import Change, Clock, TargetBusyError, TargetError, TargetGoneError, TargetKey, Targets, TargetView


class Calls:
    """The handler's way to `Targets`; what it sees on the way is put into the scene. Raises TargetError only."""

    def __init__(
        self, targets: Targets, scene: Scene, clock: Clock, telemetry: HandlerTelemetry, deadline: timedelta
    ) -> None:
        self._targets = targets
        self._scene = scene
        self._clock = clock
        self._telemetry = telemetry
        self._deadline = deadline
        self._locks: WeakValueDictionary[TargetKey, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone_with(self, target: TargetKey) -> AsyncIterator[None]:
        """Nobody else of this process calls this target meanwhile: two services may name the same one."""
        lock = self._locks.setdefault(target, asyncio.Lock())
        async with lock:
            yield

    async def look(self, target: TargetKey) -> TargetView:
        """Read the target now."""
        view = await self._timed(target, self._targets.look(target))
        self._scene.read(view)
        return self._scene.attributed(view)

    async def scale(self, target: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change."""
        view = await self._timed(target, self._targets.scale(target, change))
        self._scene.read(view)
        return view

    async def _timed(self, target: TargetKey, call: Awaitable[TargetView]) -> TargetView:
        began = self._clock.read().now
        result = "ok"
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                return await call
        except TimeoutError:
            result = TargetBusyError.code
            message = f"{target}: no answer within {self._deadline.total_seconds():g} s; is the API server overloaded?"
            raise TargetBusyError(message) from None
        except TargetError as error:
            result = error.code
            if isinstance(error, TargetGoneError):
                self._scene.vanished(target)
            raise
        finally:
            self._telemetry.called(result, self._clock.read().now - began)
