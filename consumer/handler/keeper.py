"""Keeps a policy's resource until its target is given back: by our finalizer, without the log if need be."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog

from consumer.core.policy import Policy
from consumer.core.service import Mode, ServiceKey
from consumer.handler.calls import Calls
from consumer.handler.errands import Errands
from consumer.handler.notices import SUCCESS
from consumer.handler.scene import Scene
from consumer.handler.standby import Standby, autoscaler_key
from consumer.ports import (
    Change,
    Notice,
    PolicyEntry,
    PolicyGone,
    ResourceRef,
    Resources,
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetKey,
    TargetMovedError,
    TargetUnknownError,
)

_AT_A_TIME = 16
"""At a first start every policy is to be held; a wake in that time must not stand behind thousands of such calls."""
_ROUNDS = 5
"""Each one lost means that somebody else changed the target between our look and our call."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What giving a target back takes."""

    scene: Scene
    calls: Calls
    standby: Standby
    tell: Callable[[Iterable[Notice]], None]


class Keeper:
    """The way to the finalizers of `Resources`; whatever freeze, pause or mode say, what was taken is given back."""

    def __init__(self, resources: Resources | None, means: Means, errands: Errands) -> None:
        self._resources = resources
        self._scene = means.scene
        self._calls = means.calls
        self._standby = means.standby
        self._tell = means.tell
        self._errands = errands
        self._at_work: set[tuple[str, ResourceRef]] = set()
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    def seen(self, entry: PolicyEntry) -> None:
        """A policy is in force, and ours to keep."""
        resources = self._resources
        if resources is None:
            return
        if entry.resource is not None and not entry.held:
            self._begin("hold", entry.resource, self._holding(resources, entry.resource))
        for shadowed in entry.shadowed:
            if shadowed.leaving:
                self._begin("let go", shadowed.resource, self._letting_go(resources, shadowed.resource))

    def gone(self, change: PolicyGone) -> None:
        """A policy was deleted. Any handler gives its target back: two that do it at once do no harm."""
        resources, resource = self._resources, change.resource
        if resources is None or resource is None or not change.held:
            return

        policy = change.policy or change.remains

        async def give_back() -> None:
            try:
                if policy is not None:
                    await self._give_back(change.key, policy, change.previous_replicas)
            except TargetForbiddenError as error:
                why = await self._excuse(change.key, resources)
                if why is None:
                    raise
                _log.error("let go as it is", resource=str(resource), why=why, error=str(error))
            await self._letting_go(resources, resource)()

        self._begin("give back", resource, give_back)

    async def _excuse(self, key: ServiceKey, resources: Resources) -> str | None:
        """Return why a resource is let go although we may not give its target back: else it would wait for ever."""
        if self._scene.mode_of(key, self._errands.clock.read().now) is Mode.OBSERVE:
            # Without the right to change anything it changed nothing.
            return "mode observe"
        try:
            ends = await resources.namespace_ends(key.namespace)
        except TargetForbiddenError:
            return None
        # The target goes with its namespace, and so did the rights that were given in it: nobody can give them back.
        return "its namespace is being deleted" if ends else None

    def _holding(self, resources: Resources, resource: ResourceRef) -> Callable[[], Awaitable[None]]:
        async def hold() -> None:
            try:
                await self._errands.call("finalizer", resources.hold(resource))
            except TargetGoneError:
                _log.info("gone before it was held", resource=str(resource))

        return hold

    def _letting_go(self, resources: Resources, resource: ResourceRef) -> Callable[[], Awaitable[None]]:
        async def let_go() -> None:
            await self._errands.call("finalizer", resources.let_go(resource))
            _log.info("let go", resource=str(resource))

        return let_go

    def _begin(self, what: str, resource: ResourceRef, attempt: Callable[[], Awaitable[None]]) -> None:
        if (what, resource) not in self._at_work:
            self._at_work.add((what, resource))
            self._errands.spawn(self._until_done(what, resource, attempt))

    async def _until_done(self, what: str, resource: ResourceRef, attempt: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        try:
            while True:
                try:
                    async with self._turns:
                        await attempt()
                except TargetError as error:
                    failures += 1
                    log = _log.error if isinstance(error, TargetForbiddenError) and failures == 1 else _log.warning
                    log("not done yet", what=what, resource=str(resource), attempt=failures, error=str(error))
                    await self._errands.clock.sleep(self._errands.delay(failures, error))
                else:
                    return
        finally:
            self._at_work.discard((what, resource))

    async def _give_back(self, key: ServiceKey, policy: Policy, previous: int | None) -> None:
        target = TargetKey(key.namespace, policy.target)
        wanted = max(policy.min_replicas, previous or self._scene.awake_replicas(target) or 0)
        try:
            async with self._calls.alone_with(target):
                for _ in range(_ROUNDS):
                    if await self._is_back(target, wanted):
                        break
                    _log.info("changed meanwhile", target=str(target))
                else:
                    raise TargetBusyError(f"{target} was changed by somebody else {_ROUNDS} times; find out who does")
        except (TargetGoneError, TargetUnknownError):
            # What does not exist any more was given back.
            _log.info("nothing to give back", target=str(target))
        if autoscaler := autoscaler_key(key.namespace, policy.autoscaler):
            await self._standby.resume(autoscaler)

    async def _is_back(self, target: TargetKey, wanted: int) -> bool:
        view = await self._calls.look(target)
        if view.replicas or view.zeroed_by_others:
            return True
        try:
            await self._calls.scale(target, Change(expected=0, wanted=wanted))
        except TargetMovedError:
            return False
        why = "its policy was deleted, so it is given back awake (policy-deleted)"
        message = f"Successfully scaled {wanted} replicas for {target.ref}: {why}"
        self._tell((Notice(target, SUCCESS, message, target_uid=view.uid),))
        return True
