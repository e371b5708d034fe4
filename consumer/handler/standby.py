"""Has the autoscaler beside a service stand aside while it sleeps, and lets it go on beside every wake.

Two handlers may be at it at once, one of them stalled for minutes. So whoever wrote looks at the target afterwards:
whichever of them writes last then sees whether that still fits, and corrects it.
"""

import asyncio
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from consumer.core.asks import TAKEN
from consumer.core.outcome import Command
from consumer.core.service import OWN_MANAGER, Autoscaler, Direction, Phase
from consumer.handler.calls import Calls
from consumer.handler.errands import Errands, first_of
from consumer.ports import (
    AutoscalerKey,
    Autoscalers,
    TargetError,
    TargetGoneError,
    TargetKey,
    TargetMovedError,
    TargetView,
)

KEDA = "keda"
_log = structlog.get_logger(__name__)


class AutoscalerHeldError(TargetError):
    """Somebody else paused the autoscaler: what it is held at is not ours to say, and a sleep may be undone."""

    code = "autoscaler-held"


@dataclass(frozen=True, slots=True)
class Wish:
    """How an autoscaler is to be: held at zero in the name of `by`, or running; `only`: if `by` paused it."""

    target: TargetKey
    by: str
    asleep: bool
    only: bool = False


def autoscaler_key(namespace: str, autoscaler: Autoscaler | None) -> AutoscalerKey | None:
    """Return the autoscaler that has to stand aside by our doing; an HPA does so by itself."""
    if autoscaler is None or autoscaler.type != KEDA:
        return None
    return AutoscalerKey(namespace, autoscaler.name)


def wish_after(command: Command, phase: Phase) -> Wish | None:
    """Return how the autoscaler is to be once a command has this answer; None: as it is."""
    target = TargetKey(command.key.namespace, command.target)
    match command.direction:
        case Direction.UP:
            return Wish(target, command.id, asleep=False) if phase in TAKEN else None
        case Direction.ZERO:
            taken = phase in TAKEN
            return Wish(target, command.id, asleep=taken, only=not taken)
        case Direction.PREPARE:
            return None


def fits(wish: Wish, view: TargetView) -> bool:
    """Whether the target, as it is after the wish was granted, goes with it; what others put to zero is theirs.

    Whose zero it is the cluster may not know: then a sleep is believed, and nobody's autoscaler is paused for it.
    """
    if view.replicas:
        return not wish.asleep
    return view.zeroed_by_others is None if wish.asleep else view.manager != OWN_MANAGER


class Standby:
    """The way to `Autoscalers`; None: there are none here."""

    def __init__(self, autoscalers: Autoscalers | None, calls: Calls, errands: Errands) -> None:
        self._autoscalers = autoscalers
        self._calls = calls
        self._errands = errands
        self._wishes: dict[AutoscalerKey, Wish] = {}
        self._stirred: dict[AutoscalerKey, asyncio.Event] = {}
        self._locks: WeakValueDictionary[AutoscalerKey, asyncio.Lock] = WeakValueDictionary()

    async def make_way(self, command: Command) -> None:
        """Pause the autoscaler before its target is put to zero; raises TargetError when that is not safe."""
        key, port = autoscaler_key(command.key.namespace, command.autoscaler), self._autoscalers
        if key is None or port is None:
            return
        async with self._alone_with(key):
            try:
                await self._errands.call("autoscaler", port.pause(key, command.id))
            except TargetGoneError:
                _log.info("no autoscaler to pause", autoscaler=str(key), service=str(command.key))
            except TargetMovedError as error:
                raise AutoscalerHeldError(f"{command.key} is not put to sleep: {error}") from error
            # What an earlier wake still wanted is overtaken by this pause.
            self._wishes.pop(key, None)

    def answered(self, command: Command, phase: Phase) -> None:
        """A command has its answer: whatever is to be done about its autoscaler now is done beside."""
        key, wish = autoscaler_key(command.key.namespace, command.autoscaler), wish_after(command, phase)
        if key is not None and wish is not None:
            self._want(key, wish)

    def let_run(self, namespace: str, autoscaler: Autoscaler | None, target: TargetKey) -> None:
        """The autoscaler is none of the service's any more."""
        if (key := autoscaler_key(namespace, autoscaler)) is not None:
            self._want(key, Wish(target, "", asleep=False))

    async def resume(self, key: AutoscalerKey) -> None:
        """Let it go on now; one that is gone, or that somebody else paused, is none of ours. Raises TargetError."""
        if self._autoscalers is None:
            return
        async with self._alone_with(key):
            self._wishes.pop(key, None)
            try:
                await self._errands.call("autoscaler", self._autoscalers.resume(key))
            except (TargetGoneError, TargetMovedError) as error:
                _log.info("no pause of ours to end", autoscaler=str(key), why=str(error))

    def _want(self, key: AutoscalerKey, wish: Wish) -> None:
        if self._autoscalers is None:
            return
        before = self._wishes.get(key)
        if wish.only and before is not None and not before.only and before.by != wish.by:
            # An old zero is refused after a wake was taken: the wake's wish covers it, and is not to be lost.
            return
        self._wishes[key] = wish
        if (stirred := self._stirred.get(key)) is not None:
            stirred.set()
            return
        self._stirred[key] = asyncio.Event()
        self._errands.spawn(self._grant(key, self._autoscalers))

    async def _grant(self, key: AutoscalerKey, port: Autoscalers) -> None:
        """Work until the last wish is granted, or was overtaken by a newer zero's pause."""
        failures, stirred = 0, self._stirred[key]
        try:
            while key in self._wishes:
                stirred.clear()
                try:
                    await self._once(key, port)
                except TargetError as error:
                    failures += 1
                    _log.warning("autoscaler not reached", autoscaler=str(key), attempt=failures, error=str(error))
                    pause = self._errands.delay(failures, error)
                    await first_of(self._errands.clock.sleep(pause), stirred.wait())
        finally:
            del self._stirred[key]

    async def _once(self, key: AutoscalerKey, port: Autoscalers) -> None:
        async with self._alone_with(key):
            wish = self._wishes.get(key)
            if wish is None:
                return
            try:
                following = await self._granted(key, wish, port)
            except (TargetGoneError, TargetMovedError) as error:
                # No such autoscaler or target any more, or somebody else's pause: there is nothing for us to do.
                _log.info("autoscaler left alone", autoscaler=str(key), why=str(error))
                following = None
            # A newer wish that came meanwhile stays.
            if self._wishes.get(key) is not wish:
                return
            if following is None:
                del self._wishes[key]
            else:
                self._wishes[key] = following

    async def _granted(self, key: AutoscalerKey, wish: Wish, port: Autoscalers) -> Wish | None:
        """Grant it and look; returns what is to be done next. A step of the loop each, so that newer ones come in."""
        pinned = False
        if wish.asleep:
            pinned = await self._pinned(key, wish, port)
        else:
            await self._errands.call("autoscaler", port.resume(key, wish.by if wish.only else None))
        view = await self._calls.look(wish.target)
        if not fits(wish, view):
            return replace(wish, asleep=not wish.asleep, only=False)
        if not wish.asleep or pinned:
            return None
        # Another handler's late wake let it run in between: this zero was the last word, so it is paused anew.
        await self._errands.call("autoscaler", port.pause(key, wish.by))
        return wish

    async def _pinned(self, key: AutoscalerKey, wish: Wish, port: Autoscalers) -> bool:
        try:
            await self._errands.call("autoscaler", port.pin(key, wish.by))
        except TargetMovedError:
            return False
        return True

    def _alone_with(self, key: AutoscalerKey) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())
