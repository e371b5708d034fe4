"""What can be scaled, on a real API: conditional patches of `/scale`, and a slim picture of every workload."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.adapters.kubernetes.discovery import Discovery, Kind
from consumer.adapters.kubernetes.scales import Question, Scales
from consumer.adapters.kubernetes.watching import Appeared, Broken, Event, Gone, Watching, Whole
from consumer.adapters.kubernetes.workloads import Scale, Sketch, scale_of, sketch
from consumer.core.service import OWN_MANAGER, TargetRef
from consumer.feed import Feed
from consumer.ports import (
    Change,
    Clock,
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetKey,
    TargetView,
)

_log = structlog.get_logger(__name__)

_SHOWN_WITHIN: Final = timedelta(seconds=1)
"""The watch shows our own change within a few milliseconds, later when many are woken at once; then 100 more requests
would make it later still. When it does not, the target is read."""
_ASK_AGAIN: Final = timedelta(seconds=30)
"""A kind that the cluster does not know may be installed later."""
_SOON: Final = timedelta(seconds=1)
"""The server is away; nothing was said about the kind."""


@dataclass(frozen=True, slots=True)
class Field:
    """What is to be watched: the namespaces, or the whole cluster when none is given."""

    namespaces: Collection[str] = ()

    def scopes(self) -> Iterable[str]:
        """Each namespace to be watched for itself; an empty name is all of them."""
        return sorted(self.namespaces) or [""]


@dataclass(frozen=True, slots=True)
class _Scope:
    """One watch: of which kind, whose tasks read what it does not show, and which uids it showed."""

    kind: Kind
    tasks: asyncio.TaskGroup
    present: dict[str, TargetKey] = field(default_factory=dict)


class KubernetesTargets:
    """Implements `ports.Targets`; `run` must be running for the watch to show anything.

    Of each kind that was named by `include` (or called) every object is watched, since a policy may name it next;
    of each object only what a `TargetView` holds is kept.
    """

    def __init__(self, api: Api, watching: Watching, clock: Clock, field: Field | None = None) -> None:
        self._api = api
        self._watching = watching
        self._clock = clock
        self._field = field or Field()
        self._discovery = Discovery(api)
        self._views: dict[TargetKey, TargetView] = {}
        self._feed = Feed(self._views)
        self._refs: dict[tuple[str, str], TargetRef] = {}
        self._more = asyncio.Event()
        self._scales = Scales(self._show, clock)
        self._watched: set[Kind] = set()
        self._seen: defaultdict[TargetKey, list[_Sightings]] = defaultdict(list)

    # What `Targets` asks for.

    async def look(self, key: TargetKey) -> TargetView:
        """Read the target now."""
        kind = await self._kind(key)
        with _about(key):
            seen = sketch(await self._api.get(_path(kind, key)))
            if seen is None:
                raise TargetInvalidError(f"{key} is no object that can be scaled; correct scaleTargetRef")
            scale = await self._scale(kind, key) if seen.replicas is None or seen.ready is None else None
        return seen.view(key, self._clock.read().now, scale)

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change."""
        kind = await self._kind(key)
        with self._sightings(key) as sightings, _about(key):
            scaled = scale_of(await self._api.patch(f"{_path(kind, key)}/scale", _patch(change), PatchKind.JSON))
            if scaled is None:
                raise TargetInvalidError(f"{key}: the API answered a change of its scale with something else")
            # For a single command nobody watches, and nothing will be shown.
            view = await sightings.of(scaled) if kind in self._watched else None
        if view is None:
            view = await self.look(key)
        return replace(view, manager=OWN_MANAGER) if view.resource_version == scaled.version else view

    def watch(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield all, then each change."""
        return self._feed.follow()

    # What keeps the picture current.

    def include(self, refs: Iterable[TargetRef]) -> None:
        """Watch the kinds of these targets from now on, too."""
        for ref in refs:
            if (ref.api_version, ref.kind) not in self._refs:
                self._refs[ref.api_version, ref.kind] = ref
                self._more.set()

    async def run(self) -> None:
        """Watch every kind that is included, until cancelled."""
        begun: set[tuple[str, str]] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                for name in [name for name in self._refs if name not in begun]:
                    begun.add(name)
                    tasks.create_task(self._follow(self._refs[name]))
                self._more.clear()
                await self._more.wait()

    async def _follow(self, ref: TargetRef) -> None:
        kind = await self._found(ref)
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._field.scopes():
                tasks.create_task(self._follow_scope(kind, namespace))

    async def _found(self, ref: TargetRef) -> Kind:
        while True:
            try:
                return await self._discovery.kind(ref)
            except TargetError as error:
                _log.warning("kind not watched", kind=ref.kind, api_version=ref.api_version, error=str(error))
                await self._clock.sleep(_SOON if isinstance(error, TargetBusyError) else _ASK_AGAIN)

    async def _follow_scope(self, kind: Kind, namespace: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            scope = _Scope(kind, tasks)
            async for event in self._watching.follow(kind.collection(namespace)):
                self._take(scope, event)

    def _take(self, scope: _Scope, event: Event) -> None:
        match event:
            case Appeared(content):
                self._appeared(scope, content)
            case Gone({"metadata": {"uid": str(uid)}}):
                self._vanished(scope, uid)
            case Whole(uids):
                self._watched.add(scope.kind)
                for uid in scope.present.keys() - uids:
                    self._vanished(scope, uid)
            case Broken(error):
                _log.warning("not listed", kind=scope.kind.plural, error=str(error))
            case _:
                return

    def _appeared(self, scope: _Scope, content: Mapping[str, object]) -> None:
        seen, kind = sketch(content), scope.kind
        if seen is None:
            return
        key = TargetKey(seen.namespace, TargetRef(kind.api_version, kind.kind, seen.name))
        key = scope.present.setdefault(seen.uid, key)
        if seen.replicas is None or seen.ready is None:
            self._scales.ask(Question(key, seen, partial(self._scale, kind, key)), scope.tasks)
            return
        self._scales.forget(seen.uid)
        self._show(key, seen)

    def _show(self, key: TargetKey, seen: Sketch, scale: Scale | None = None) -> None:
        view = seen.view(key, self._clock.read().now, scale)
        known = self._views.get(key)
        if known is not None and replace(known, at=view.at) == view:
            # Listed again, it is no news.
            return
        self._views[key] = view
        for sightings in self._seen.get(key, ()):
            sightings.saw(view)
        self._feed.changed(key)

    def _vanished(self, scope: _Scope, uid: str) -> None:
        self._scales.forget(uid)
        key = scope.present.pop(uid, None)
        # One that was made again meanwhile is another one, and there.
        if key is not None and key in self._views and self._views[key].uid == uid:
            del self._views[key]
            self._feed.changed(key)

    async def _kind(self, key: TargetKey) -> Kind:
        self.include([key.ref])
        return await self._discovery.kind(key.ref)

    async def _scale(self, kind: Kind, key: TargetKey) -> Scale:
        scale = scale_of(await self._api.get(f"{_path(kind, key)}/scale"))
        if scale is None:
            raise TargetInvalidError(f"{key}: the API answered the question for its scale with something else")
        return scale

    @contextmanager
    def _sightings(self, key: TargetKey) -> Iterator["_Sightings"]:
        sightings = _Sightings()
        self._seen[key].append(sightings)
        try:
            yield sightings
        finally:
            self._seen[key].remove(sightings)
            if not self._seen[key]:
                del self._seen[key]


class _Sightings:
    """What the watch shows of a target while a change of ours is under way.

    The Scale object has neither generation nor readiness, so they are taken from the watch, which shows that very
    version in a moment: one request less for each wake.
    """

    def __init__(self) -> None:
        self._views: dict[str, TargetView] = {}
        self._more = asyncio.Event()

    def saw(self, view: TargetView) -> None:
        """The watch shows this."""
        self._views[view.resource_version] = view
        self._more.set()

    async def of(self, scale: Scale) -> TargetView | None:
        """Return the view of that very version; None when the watch does not show it in time."""
        try:
            async with asyncio.timeout(_SHOWN_WITHIN.total_seconds()):
                while (view := self._views.get(scale.version)) is None:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return None
        return view


def _patch(change: Change) -> list[dict[str, object]]:
    """Write the condition and the change as one JSON Patch, which the API applies all or not at all."""
    # At zero the API leaves the field out of the Scale object, and only null is equal to what is not there.
    there = change.expected or None
    patch: list[dict[str, object]] = [{"op": "test", "path": "/spec/replicas", "value": there}]
    if change.resource_version is not None:
        patch.append({"op": "test", "path": "/metadata/resourceVersion", "value": change.resource_version})
    return [*patch, {"op": "add", "path": "/spec/replicas", "value": change.wanted}]


def _path(kind: Kind, key: TargetKey) -> str:
    return f"{kind.collection(key.namespace)}/{key.ref.name}"


@contextmanager
def _about(key: TargetKey) -> Iterator[None]:
    """Say in an error which target it is about, and what to do."""
    try:
        yield
    except TargetGoneError as error:
        raise TargetGoneError(f"there is no {key}; create it, or correct the policy that names it ({error})") from error
    except TargetForbiddenError as error:
        told = f"{key}: the rights are missing; grant them to the handler's service account ({error})"
        raise TargetForbiddenError(told) from error
