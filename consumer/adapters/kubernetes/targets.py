"""What can be scaled, on a real API: conditional patches of `/scale`, and a slim picture of every workload."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.adapters.kubernetes.discovery import Discovery, Kind
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
            for scope in self._field.scopes():
                tasks.create_task(self._follow_scope(kind, scope))

    async def _found(self, ref: TargetRef) -> Kind:
        while True:
            try:
                return await self._discovery.kind(ref)
            except TargetError as error:
                _log.warning("kind not watched", kind=ref.kind, api_version=ref.api_version, error=str(error))
                await self._clock.sleep(_SOON if isinstance(error, TargetBusyError) else _ASK_AGAIN)

    async def _follow_scope(self, kind: Kind, scope: str) -> None:
        present: dict[str, TargetKey] = {}
        async for event in self._watching.follow(kind.collection(scope)):
            await self._take(kind, present, event)

    async def _take(self, kind: Kind, present: dict[str, TargetKey], event: Event) -> None:
        match event:
            case Appeared(content):
                await self._appeared(kind, present, content)
            case Gone({"metadata": {"uid": str(uid)}}):
                self._vanished(present, uid)
            case Whole(uids):
                self._watched.add(kind)
                for uid in present.keys() - uids:
                    self._vanished(present, uid)
            case Broken(error):
                _log.warning("not listed", kind=kind.plural, error=str(error))
            case _:
                return

    async def _appeared(self, kind: Kind, present: dict[str, TargetKey], content: Mapping[str, object]) -> None:
        seen = sketch(content)
        if seen is None:
            return
        key = present.get(seen.uid) or TargetKey(seen.namespace, TargetRef(kind.api_version, kind.kind, seen.name))
        scale = None
        if seen.replicas is None or seen.ready is None:
            try:
                scale = await self._shown_scale(kind, key)
            except TargetError as error:
                _log.info("no scale", target=str(key), error=str(error))
                return
        present[seen.uid] = key
        self._show(seen, key, scale)

    async def _shown_scale(self, kind: Kind, key: TargetKey) -> Scale | None:
        """Read the scale of what the watch shows: until the server answers, since it shows this version only once."""
        while True:
            try:
                return await self._scale(kind, key)
            except TargetBusyError as error:
                _log.info("scale not read", target=str(key), error=str(error))
                await self._clock.sleep(error.retry_after or _SOON)

    def _show(self, seen: Sketch, key: TargetKey, scale: Scale | None) -> None:
        view = seen.view(key, self._clock.read().now, scale)
        known = self._views.get(key)
        if known is not None and replace(known, at=view.at) == view:
            # Listed again, it is no news.
            return
        self._views[key] = view
        for sightings in self._seen.get(key, ()):
            sightings.saw(view)
        self._feed.changed(key)

    def _vanished(self, present: dict[str, TargetKey], uid: str) -> None:
        key = present.pop(uid, None)
        # One that was made again meanwhile is another one, and there.
        if key is not None and key in self._views and self._views[key].uid == uid:
            del self._views[key]
            self._feed.changed(key)

    async def _kind(self, key: TargetKey) -> Kind:
        self.include([key.ref])
        return await self._discovery.kind(key.ref)

    async def _scale(self, kind: Kind, key: TargetKey) -> Scale | None:
        return scale_of(await self._api.get(f"{_path(kind, key)}/scale"))

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
