"""Writes beside the scaling itself: each with a deadline, counted, tried again, and never in the way of a wake."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from consumer.handler.backoff import Backoff
from consumer.handler.wiring import HandlerTelemetry
from consumer.ports import Clock, TargetBusyError, TargetError

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Errands:
    """What all who write beside the scaling share."""

    spawn: Spawn
    clock: Clock
    telemetry: HandlerTelemetry
    chance: Callable[[], float]
    deadline: timedelta
    backoff: Backoff

    async def call(self, what: str, call: Awaitable[T]) -> T:
        """Return what the cluster answers; raises TargetError, also when it does not within the deadline."""
        result = "ok"
        try:
            async with asyncio.timeout(self.deadline.total_seconds()):
                return await call
        except TimeoutError:
            result = TargetBusyError.code
            message = f"{what}: no answer within {self.deadline.total_seconds():g} s; is the API server overloaded?"
            raise TargetBusyError(message) from None
        except TargetError as error:
            result = error.code
            raise
        finally:
            self.telemetry.wrote(what, result)

    def delay(self, attempt: int, error: TargetError) -> timedelta:
        """How long to wait after the failed `attempt` (from 1)."""
        asked = error.retry_after if isinstance(error, TargetBusyError) else None
        return self.backoff.delay(attempt, self.chance(), asked)


async def first_of(*waits: Coroutine[None, None, object]) -> None:
    """Return when one of them is over; the others are cancelled, and over too."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(wait) for wait in waits]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
