"""Reads the scale of each object that the watch shows, every one by itself: one that fails holds no other up."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from consumer.adapters.kubernetes.workloads import Scale, Sketch
from consumer.ports import Clock, TargetBusyError, TargetError, TargetKey

_log = structlog.get_logger(__name__)

_ANSWERS_WITHIN: Final = timedelta(seconds=5)
_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(seconds=30)
_LONGEST_REFUSED: Final = timedelta(minutes=5)
"""What is refused stays so until somebody grants a right. Every 30 s, ten thousand objects would be 333 calls a second.
"""
_AT_ONCE: Final = 16
_AGAIN_AT_ONCE: Final = 4
"""Those that failed before wait for one another: a hundred that hang leave the way free for one that is new."""
_TOLD_EVERY: Final = 10

Show = Callable[[TargetKey, Sketch, Scale], None]


@dataclass(frozen=True, slots=True)
class Question:
    """An object as the watch shows it, and how its scale is read."""

    key: TargetKey
    seen: Sketch
    read: Callable[[], Awaitable[Scale]]


@dataclass(slots=True)
class _Asking:
    """One object; `newest` is what was shown of it since its scale was read last."""

    newest: Question | None
    task: asyncio.Task[None] | None = None
    failures: int = 0


@dataclass(slots=True)
class Scales:
    """Shows each object with its scale as soon as that is read; what could not be read is asked for until it is.

    Until then the object stays what it was: unknown, or as it was shown last. Nothing is assumed of it.
    """

    show: Show
    clock: Clock
    _asking: dict[str, _Asking] = field(default_factory=dict)
    _new: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _again: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AGAIN_AT_ONCE))

    def ask(self, question: Question, tasks: asyncio.TaskGroup) -> None:
        """The watch shows this; returns at once."""
        uid = question.seen.uid
        if (asking := self._asking.get(uid)) is not None:
            asking.newest = question
            return
        asking = self._asking[uid] = _Asking(question)
        asking.task = tasks.create_task(self._until_known(uid, asking), name=f"scale of {question.key}")

    def forget(self, uid: str) -> None:
        """The object is gone, or tells everything itself by now."""
        asking = self._asking.pop(uid, None)
        if asking is not None and asking.task is not None:
            asking.task.cancel()

    async def _until_known(self, uid: str, asking: _Asking) -> None:
        try:
            while (question := asking.newest) is not None:
                asking.newest = None
                await self._answered(question, asking)
        finally:
            if self._asking.get(uid) is asking:
                del self._asking[uid]

    async def _answered(self, question: Question, asking: _Asking) -> None:
        try:
            scale = await self._read(question, self._again if asking.failures else self._new)
        except TargetError as error:
            asking.newest = asking.newest or question
            asking.failures += 1
            await self.clock.sleep(_pause(question, asking.failures, error))
            return
        if asking.failures:
            _log.info("scale read at last", target=str(question.key), failures=asking.failures)
        asking.failures = 0
        # One that was made again under the name is another one, and its own event is on the way.
        if scale.uid == question.seen.uid:
            self.show(question.key, question.seen, scale)

    async def _read(self, question: Question, lane: asyncio.Semaphore) -> Scale:
        async with lane:
            try:
                async with asyncio.timeout(_ANSWERS_WITHIN.total_seconds()):
                    return await question.read()
            except TimeoutError:
                raise TargetBusyError(f"the scale of {question.key} was not answered in time") from None


def _pause(question: Question, failures: int, error: TargetError) -> timedelta:
    busy = error if isinstance(error, TargetBusyError) else None
    pause: timedelta = min(_FIRST * 2 ** min(failures - 1, 10), _LONGEST if busy else _LONGEST_REFUSED)
    if busy is not None and busy.retry_after is not None:
        pause = max(pause, min(busy.retry_after, _LONGEST))
    if failures % _TOLD_EVERY == 1:
        _log.warning(
            "scale not read",
            target=str(question.key),
            error=str(error),
            failures=failures,
            again=pause.total_seconds(),
        )
    return pause
