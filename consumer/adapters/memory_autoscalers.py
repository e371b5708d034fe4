"""Autoscalers in memory: the fast twin of KEDA's ScaledObjects and their annotations."""

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from consumer.ports import AutoscalerKey, TargetError, TargetGoneError, TargetMovedError


@dataclass(frozen=True, slots=True)
class AutoscalerState:
    """What its annotations say: paused or not, held at how many, and by which command of ours."""

    paused: bool = False
    held_at: int | None = None
    by: str | None = None


class MemoryAutoscalers:
    """Implements `ports.Autoscalers`; tests play everybody else: they create, delete, pause by hand, let calls fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, AutoscalerKey, str | None]] = []
        """Every call so far: what was asked, of which, in whose name."""
        self._states: dict[AutoscalerKey, AutoscalerState] = {}
        self._failures: deque[TargetError | None] = deque()

    async def pause(self, key: AutoscalerKey, by: str) -> None:
        """Stop it from scaling."""
        state = await self._received("pause", key, by)
        if _foreign(state):
            raise TargetMovedError(f"{key} is paused by somebody else; remove that pause, or pause the service too")
        self._states[key] = AutoscalerState(paused=True, by=by)

    async def pin(self, key: AutoscalerKey, by: str) -> None:
        """Hold it at zero."""
        state = await self._received("pin", key, by)
        if not state.paused or state.by != by:
            raise TargetMovedError(f"{key} is not paused in the name of {by} any more")
        self._states[key] = replace(state, held_at=0)

    async def resume(self, key: AutoscalerKey, by: str | None = None) -> bool:
        """Let it scale again; True when it was paused."""
        state = await self._received("resume", key, by)
        if not state.paused:
            return False
        if (by is not None and state.by != by) or _foreign(state):
            raise _not_ours(key)
        self._states[key] = AutoscalerState()
        return True

    async def paused(self, key: AutoscalerKey) -> bool:
        """Whether there is a pause that `resume` would end."""
        state = await self._received("paused", key, None)
        if _foreign(state):
            raise _not_ours(key)
        return state.paused

    def create(self, key: AutoscalerKey) -> None:
        """Somebody applies it."""
        self._states[key] = AutoscalerState()

    def delete(self, key: AutoscalerKey) -> None:
        """Somebody deletes it."""
        del self._states[key]

    def pause_by_hand(self, key: AutoscalerKey, held_at: int | None = None) -> None:
        """Somebody else pauses it."""
        self._states[key] = AutoscalerState(paused=True, held_at=held_at)

    def state(self, key: AutoscalerKey) -> AutoscalerState:
        """What it is now; raises TargetGoneError."""
        state = self._states.get(key)
        if state is None:
            raise TargetGoneError(f"there is no {key}; create it, or correct spec.autoscaler of the policy")
        return state

    def fail(self, *failures: TargetError | None) -> None:
        """Answer the next calls with these, one each; None: that one is answered as ever."""
        self._failures.extend(failures)

    async def _received(self, what: str, key: AutoscalerKey, by: str | None) -> AutoscalerState:
        self.calls.append((what, key, by))
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self._failures and (failure := self._failures.popleft()) is not None:
            raise failure
        return self.state(key)


def _foreign(state: AutoscalerState) -> bool:
    """Whether somebody else paused it."""
    return state.paused and state.by is None and state.held_at != 0


def _not_ours(key: AutoscalerKey) -> TargetMovedError:
    return TargetMovedError(f"{key} is paused by somebody else; that is not ours to end")
