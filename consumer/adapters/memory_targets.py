"""Targets in memory: the fast twin of a cluster, where nothing happens by itself."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from consumer.core.service import OWN_MANAGER
from consumer.ports import (
    Change,
    Clock,
    TargetError,
    TargetGoneError,
    TargetKey,
    TargetMovedError,
    TargetView,
)


class MemoryTargets:
    """Workloads as values; tests play everybody else: they create, delete, scale by hand and make pods ready."""

    def __init__(self, clock: Clock, manager: str = OWN_MANAGER) -> None:
        self.calls: list[tuple[TargetKey, Change | None]] = []
        """Every call so far: a change, or None for a look."""
        self._clock = clock
        self._manager = manager
        self._views: dict[TargetKey, TargetView] = {}
        self._failures: deque[TargetError | None] = deque()
        self._afterwards: deque[TargetError] = deque()
        self._first: deque[Callable[[], object]] = deque()
        self._stalled = False
        self._broken: TargetError | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._changed = asyncio.Event()
        self._version = 0

    async def look(self, key: TargetKey) -> TargetView:
        """Read the target."""
        self.calls.append((key, None))
        await self._received()
        return self.present(key)

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change."""
        self.calls.append((key, change))
        await self._received()
        view = self.present(key)
        if view.replicas != change.expected or change.resource_version not in (None, view.resource_version):
            message = f"{key} has {view.replicas} replicas at version {view.resource_version}; read it and judge anew"
            raise TargetMovedError(message)
        scaled = self._scaled(view, change.wanted, self._manager)
        if self._afterwards:
            raise self._afterwards.popleft()
        return scaled

    async def watch(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield all, then what changes; of several changes of one target before they are read the last."""
        shown: dict[TargetKey, str] = {}
        if self._broken is not None:
            failure, self._broken = self._broken, None
            raise failure
        while True:
            await self._flowing.wait()
            # Taken before looking, so that a change during a yield is not slept through.
            changed = self._changed
            for key in [key for key in shown if key not in self._views]:
                del shown[key]
                yield key
            for view in [view for view in self._views.values() if shown.get(view.key) != view.resource_version]:
                shown[view.key] = view.resource_version
                yield view
            await changed.wait()

    def create(self, key: TargetKey, *, replicas: int, ready: int = 0) -> TargetView:
        """Create a target under a new uid, in the place of an old one if there is one."""
        self._version += 1
        uid = f"uid-{self._version}"
        return self._put(
            TargetView(
                key=key,
                uid=uid,
                generation=1,
                resource_version=str(self._version),
                replicas=replicas,
                ready=ready,
                at=self._clock.read().now,
            )
        )

    def delete(self, key: TargetKey) -> None:
        """Delete it."""
        del self._views[key]
        self._announce()

    def scale_by_hand(self, key: TargetKey, replicas: int, manager: str = "kubectl") -> TargetView:
        """Somebody else sets the replicas, whatever they are."""
        return self._scaled(self._views[key], replicas, manager)

    def make_ready(self, key: TargetKey, ready: int) -> TargetView:
        """The status changes: so many pods are ready now."""
        return self._put(replace(self._views[key], ready=ready))

    def fail(self, *failures: TargetError | None) -> None:
        """Answer the next calls with these, one each; None: that one is answered as ever."""
        self._failures.extend(failures)

    def forgive(self) -> None:
        """Answer as ever again, whatever was still to fail."""
        self._failures.clear()

    def fail_after(self, *failures: TargetError) -> None:
        """Carry the next changes out and answer them with these all the same, one each."""
        self._afterwards.extend(failures)

    def stall(self) -> None:
        """Never answer the next call."""
        self._stalled = True

    def before_next_call(self, action: Callable[[], object]) -> None:
        """Let somebody be quicker than the next call, after it was made and before it is judged."""
        self._first.append(action)

    def break_watch(self, failure: TargetError) -> None:
        """Let the next watch end with this at once."""
        self._broken = failure

    def hold_watch(self) -> None:
        """Let every watch lag from now on."""
        self._flowing.clear()

    def release_watch(self) -> None:
        """Let every watch catch up."""
        self._flowing.set()

    async def _received(self) -> None:
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self._stalled:
            self._stalled = False
            await asyncio.Event().wait()
        if self._first:
            self._first.popleft()()
        if self._failures and (failure := self._failures.popleft()) is not None:
            raise failure

    def present(self, key: TargetKey) -> TargetView:
        """What there is now, without a call; raises TargetGoneError."""
        view = self._views.get(key)
        if view is None:
            raise TargetGoneError(f"there is no {key}; create it, or correct the policy that names it")
        return view

    def _scaled(self, view: TargetView, replicas: int, manager: str) -> TargetView:
        if replicas == view.replicas:
            return view
        return self._put(replace(view, replicas=replicas, generation=view.generation + 1, manager=manager))

    def _put(self, view: TargetView) -> TargetView:
        self._version += 1
        view = replace(view, resource_version=str(self._version), at=self._clock.read().now)
        self._views[view.key] = view
        self._announce()
        return view

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
