"""Keeps the status of every resource of ours true: written only when it differs, late enough to be written once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from consumer.core.reasons import Code
from consumer.core.service import ServiceKey
from consumer.handler.calls import Calls
from consumer.handler.errands import Errands, first_of
from consumer.handler.herald import Herald
from consumer.handler.notices import camel, of_code
from consumer.handler.scene import Scene
from consumer.handler.standing import (
    AT_ONCE,
    READY,
    SOMETIME,
    SOON,
    Knowledge,
    Present,
    pace,
    status_of,
    status_of_shadowed,
)
from consumer.ports import (
    Condition,
    Notice,
    Policies,
    PolicyEntry,
    ResourceRef,
    Resources,
    ResourceStatus,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    Truth,
)

_AT_A_TIME = 16
_TOLD_FAULTS = frozenset({"InvalidPolicy", "Conflict", "TargetMissing"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Written:
    """What was last written of a resource, and when."""

    status: ResourceStatus
    at: datetime


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the clerk looks things up; `owned` is whether a service is ours to write for."""

    scene: Scene
    calls: Calls
    policies: Policies
    owned: Callable[[ServiceKey], bool]


class Clerk:
    """The way to the status of `Resources`; of several handlers the one that owns a service's partition writes."""

    def __init__(self, resources: Resources | None, sources: Sources, herald: Herald, errands: Errands) -> None:
        self._resources = resources
        self._sources = sources
        self._herald = herald
        self._errands = errands
        self._presents: dict[ServiceKey, Present] = {}
        self._given_up: dict[ServiceKey, Present] = {}
        self._written: dict[ServiceKey, dict[ResourceRef, _Written]] = {}
        self._failures: dict[ServiceKey, int] = {}
        self._unseen: set[ServiceKey] = set()
        self._due: dict[ServiceKey, datetime] = {}
        self._news = asyncio.Event()
        self._leaving = False
        self._said_forbidden = False

    def knows(self, key: ServiceKey, present: Present | None, *, news: bool) -> None:
        """This is what the log says of a service's judgement; `news`: it came just now."""
        before = self._presents.pop(key, None)
        if present is not None:
            self._presents[key] = present
        self._keep_what_was_given_up(key, present)
        if news:
            self._announce(key, before, present)
            self.stir(key)

    def stir(self, key: ServiceKey) -> None:
        """Something about this service may be different."""
        self._forget_what_is_over(key)
        failing = key in self._due and key in self._failures
        if self._resources is None or failing or not self._sources.owned(key):
            return
        # What waits for its pace may be joined by what does not: a zero is not told half a minute late.
        self._wait(key, self._errands.clock.read().now + AT_ONCE)
        self._news.set()

    def forget(self, keys: Callable[[ServiceKey], bool]) -> None:
        """Another handler writes for these from now on."""
        for known in (self._presents, self._given_up, self._written, self._failures, self._due):
            for key in [key for key in known if keys(key)]:
                del known[key]
        self._unseen -= {key for key in self._unseen if keys(key)}

    async def run(self) -> None:
        """Write what is due, for ever."""
        if self._resources is None:
            return
        while True:
            now = self._errands.clock.read().now
            self._news.clear()
            ready = [key for key, due in self._due.items() if due <= now]
            await self._serve_all(ready, self._resources)
            if not ready:
                await self._rest(now)

    async def finish(self, within: timedelta) -> None:
        """Write now what waits for its time, as far as that takes no longer than this: there may be no successor."""
        self._leaving = True
        if self._resources is None:
            return
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._serve_all(list(self._due), self._resources)
        except TimeoutError:
            _log.warning("not every status was written in time", left=len(self._due))

    async def _serve_all(self, keys: Sequence[ServiceKey], resources: Resources) -> None:
        for start in range(0, len(keys), _AT_A_TIME):
            async with asyncio.TaskGroup() as tasks:
                for key in keys[start : start + _AT_A_TIME]:
                    tasks.create_task(self._serve(key, resources))

    async def _rest(self, now: datetime) -> None:
        if not self._due:
            await self._news.wait()
            return
        await first_of(self._errands.clock.sleep(min(self._due.values()) - now), self._news.wait())

    async def _serve(self, key: ServiceKey, resources: Resources) -> None:
        """Write what differs of all resources that name the service; the rest waits for its time."""
        self._due.pop(key, None)
        entry = self._sources.policies.entries().get(key)
        if entry is None or not self._sources.owned(key):
            self._written.pop(key, None)
            self._failures.pop(key, None)
            self._unseen.discard(key)
            return
        if entry.resource is not None and self._is_yet_to_be_seen(entry):
            # A watch that has just begun shows it in a moment: a thousand services need not be asked for one by one.
            self._wait(key, self._errands.clock.read().now + SOON)
            return
        try:
            for resource, status in await self._statuses(entry):
                await self._write(key, resource, status, resources)
        except TargetError as error:
            self._later(key, error)
        else:
            self._failures.pop(key, None)

    def _is_yet_to_be_seen(self, entry: PolicyEntry) -> bool:
        """Whether the target was not shown yet, and this is the first time that it is missed."""
        scene, target = self._sources.scene, self._sources.scene.target(entry.key)
        missed = target is not None and scene.view(target) is None and not scene.is_gone(target)
        first = missed and not entry.problems and entry.key not in self._unseen
        (self._unseen.add if missed else self._unseen.discard)(entry.key)
        return first

    def _later(self, key: ServiceKey, error: TargetError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if isinstance(error, TargetForbiddenError) and not self._said_forbidden:
            self._said_forbidden = True
            _log.error("no right to write the status of ElastiServices", error=str(error))
        else:
            _log.info("status not written", service=str(key), attempt=failures, error=str(error))
        self._due[key] = self._errands.clock.read().now + max(AT_ONCE, self._errands.delay(failures, error))

    async def _statuses(self, entry: PolicyEntry) -> Sequence[tuple[ResourceRef, ResourceStatus]]:
        shadowed = [(one.resource, status_of_shadowed(one, entry)) for one in entry.shadowed if not one.leaving]
        if entry.resource is None:
            return shadowed
        known = await self._knowledge(entry)
        mode = self._sources.scene.mode_of(entry.key, self._errands.clock.read().now)
        return [(entry.resource, status_of(entry, known, mode)), *shadowed]

    async def _knowledge(self, entry: PolicyEntry) -> Knowledge:
        scene, present = self._sources.scene, self._presents.get(entry.key)
        target = scene.target(entry.key)
        if target is None or entry.policy is None:
            return Knowledge(present=present)
        refused = None
        if scene.view(target) is None and not scene.is_gone(target):
            try:
                # The watch shows what is there; that something never was can only be asked.
                await self._sources.calls.look(target)
                self._forget_what_is_over(entry.key)
            except TargetGoneError:
                _log.info("target missing", target=str(target), service=str(entry.key))
            except (TargetInvalidError, TargetForbiddenError) as error:
                refused = Condition(READY, Truth.FALSE, f"Target{camel(error.code)}", str(error))
        return Knowledge(
            older=self._sources.policies.conflict(entry.policy),
            present=present,
            view=scene.view(target),
            gone=scene.is_gone(target),
            refused=refused,
            awake=scene.awake_replicas(target),
            given_up=self._given_up.get(entry.key),
        )

    def _keep_what_was_given_up(self, key: ServiceKey, present: Present | None) -> None:
        """A wake is given up in one judgement, and the next one is about something else: people look later."""
        if present is not None and present.code is Code.NEVER_READY:
            self._given_up[key] = present
        elif (kept := self._given_up.get(key)) and (present is None or present.last_wake_at != kept.last_wake_at):
            del self._given_up[key]

    def _forget_what_is_over(self, key: ServiceKey) -> None:
        """Forget the wake that was given up as soon as its target shows a ready replica, or sleeps.

        Not when a status is made of it: who is ready for a moment only may be, between two of them.
        """
        target = self._sources.scene.target(key) if key in self._given_up else None
        view = self._sources.scene.view(target) if target is not None else None
        if view is not None and (view.ready or not view.replicas):
            del self._given_up[key]

    async def _write(
        self, key: ServiceKey, resource: ResourceRef, status: ResourceStatus, resources: Resources
    ) -> None:
        written, now = self._written.setdefault(key, {}), self._errands.clock.read().now
        last = written.get(resource)
        wait = pace(last.status if last else None, status)
        if wait is None:
            return
        hurries = self._leaving and wait < SOMETIME
        if last is not None and now < last.at + wait and not hurries:
            self._wait(key, last.at + wait)
            return
        try:
            changed = await self._errands.call("status", resources.write_status(resource, status))
        except TargetGoneError:
            # It was deleted a moment ago: the news of that is on its way.
            return
        written[resource] = _Written(status, now)
        if changed:
            self._herald.tell(_faults(resource, last.status if last else None, status))

    def _wait(self, key: ServiceKey, until: datetime) -> None:
        self._due[key] = min(self._due.get(key, until), until)

    def _announce(self, key: ServiceKey, before: Present | None, now: Present | None) -> None:
        if before is None or now is None or before.code is now.code:
            return
        resource = self._sources.scene.resource(key)
        told = of_code(resource, now.code, now.message) if resource else None
        if told is not None:
            self._herald.tell((told,))


def _faults(resource: ResourceRef, before: ResourceStatus | None, status: ResourceStatus) -> Iterator[Notice]:
    """Yield what is told of faults that were not in the status before."""
    known = before.conditions if before else ()
    for condition in status.conditions:
        if condition.type == READY and condition.reason in _TOLD_FAULTS and condition not in known:
            yield Notice(resource, condition.reason, condition.message, warning=True)
