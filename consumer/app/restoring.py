"""Giving targets back what they had, without Kafka and without any running part of ours: the way out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

from consumer.app.places import ClusterPlace
from consumer.ports import (
    Change,
    Clock,
    Holding,
    TargetBusyError,
    TargetError,
    TargetGoneError,
    TargetInvalidError,
    TargetKey,
    TargetMovedError,
)

_AT_A_TIME: Final = 16
_ATTEMPTS: Final = 6
_FIRST_WAIT: Final = timedelta(milliseconds=250)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done for one ElastiService, or would be, and what is left to be done and why."""

    holding: Holding
    did: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    woken: bool = False
    kept_at_zero: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How it is to be done: in a `rehearsal` everything is looked at and nothing changed.

    `also_others`: what somebody else put to zero is raised, too.
    """

    rehearsal: bool = False
    also_others: bool = False


async def restore(
    cluster: ClusterPlace,
    holdings: Sequence[Holding],
    clock: Clock,
    told: Callable[[Restored], None],
    way: Way,
) -> Sequence[Restored]:
    """Give back each of these, several at a time; `told` hears of each when it is through.

    What is as it should be is left alone, so that it can be run again after a stop in the middle.
    """
    turns, had = asyncio.Semaphore(_AT_A_TIME), _had(holdings)

    async def one(holding: Holding) -> Restored:
        async with turns:
            restored = await _Return(cluster, holding, had, way).carried_out(clock)
        told(restored)
        return restored

    return await asyncio.gather(*(one(holding) for holding in holdings))


def _had(holdings: Sequence[Holding]) -> Mapping[TargetKey, int]:
    """Return what each target is to get back: of several resources that name it, the one that knows of most."""
    had: dict[TargetKey, int] = {}
    for one in holdings:
        if one.target is not None:
            knows = one.previous_replicas or max(one.min_replicas, 1)
            had[one.target] = max(had.get(one.target, 0), knows)
    return had


class _Return:
    """The return of one target."""

    def __init__(self, cluster: ClusterPlace, holding: Holding, had: Mapping[TargetKey, int], way: Way) -> None:
        self._cluster = cluster
        self._holding = holding
        self._had = had
        self._way = way
        self._done = Restored(holding)

    async def carried_out(self, clock: Clock) -> Restored:
        """Un-pause, wake, let go: in this order, so that whatever fails keeps the finalizer that asks for it."""
        for step in (self._unpause, self._wake):
            try:
                await _patiently(step, clock)
            except TargetError as error:
                self._leave(str(error))
        if not self._done.left and self._holding.held:
            try:
                await _patiently(self._let_go, clock)
            except TargetError as error:
                self._leave(str(error))
        return self._done

    async def _unpause(self) -> None:
        key = self._holding.autoscaler
        if key is None:
            return
        autoscalers, rehearsal = self._cluster.autoscalers, self._way.rehearsal
        try:
            paused = await (autoscalers.paused(key) if rehearsal else autoscalers.resume(key))
        except TargetGoneError:
            return
        except TargetMovedError:
            # Not our pause: whoever made it wants it.
            self._did(f"left {key} as somebody else paused it")
            return
        if paused:
            self._did(f"{'would un-pause' if rehearsal else 'un-paused'} {key}")

    async def _wake(self) -> None:
        target = self._holding.target
        if target is None:
            self._did("it names no target")
            return
        try:
            view = await self._cluster.targets.look(target)
        except TargetGoneError:
            self._did(f"there is no {target.ref} any more")
            return
        if view.replicas > 0:
            return
        if view.zeroed_by_others and not self._way.also_others:
            self._done = replace(self._done, kept_at_zero=True)
            self._did(f"left {target.ref} at 0: scaled by {view.zeroed_by_others}")
            return
        wanted = self._had[target]
        if not self._way.rehearsal:
            await self._cluster.targets.scale(target, Change(0, wanted))
        self._done = replace(self._done, woken=True)
        self._did(f"{'would scale' if self._way.rehearsal else 'scaled'} {target.ref} from 0 to {wanted}")

    async def _let_go(self) -> None:
        if not self._way.rehearsal:
            await self._cluster.resources.let_go(self._holding.resource)
        self._did(f"{'would take' if self._way.rehearsal else 'took'} our finalizer off")

    def _did(self, what: str) -> None:
        self._done = replace(self._done, did=(*self._done.did, what))

    def _leave(self, why: str) -> None:
        self._done = replace(self._done, left=(*self._done.left, why))


async def _patiently(step: Callable[[], Awaitable[_T]], clock: Clock) -> _T:
    """Try again what was overtaken by somebody or was too much at once; raises TargetError when it stays so."""
    for pause in _pauses():
        try:
            return await step()
        except TargetMovedError:
            continue
        except TargetBusyError as busy:
            await clock.sleep(max(busy.retry_after or pause, pause))
    return await step()


def _pauses() -> Iterator[timedelta]:
    for attempt in range(_ATTEMPTS - 1):
        yield _FIRST_WAIT * 2**attempt


def chosen(holdings: Sequence[Holding], scope: str) -> Sequence[Holding]:
    """Return those of a scope: `*`, `namespace/*` or `namespace/name`, of the resource or of its service.

    Raises TargetInvalidError when there is none of that name.
    """
    namespace, _, name = scope.partition("/")
    if scope == "*":
        return holdings
    inside = [holding for holding in holdings if holding.resource.namespace == namespace]
    found = [one for one in inside if name in ("*", one.resource.name, one.service)]
    if not found and name != "*":
        known = ", ".join(sorted(one.resource.name for one in inside)) or "none"
        raise TargetInvalidError(f"there is no ElastiService {scope} (in {namespace} there are: {known})")
    return found
