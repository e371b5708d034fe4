"""What we say on an ElastiService: its status, written as what differs, and the finalizer that holds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.elastiservice import API_VERSION, FINALIZER, KUBEELASTI_FINALIZER, PLURAL, status_patch
from consumer.ports import (
    Clock,
    ResourceRef,
    ResourceStatus,
    TargetBusyError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)

_ATTEMPTS: Final = 5
"""How often somebody else may be quicker with the finalizers of one object before we come back later."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An object as it was seen last: its version, its finalizers, and its status."""

    version: str
    finalizers: tuple[str, ...]
    status: Mapping[str, object]
    leaving: bool = False

    def newer(self, other: "Shown | None") -> "Shown":
        """Return the later of two looks; versions are numbers that grow with every write."""
        if other is None or not (self.version.isdigit() and other.version.isdigit()):
            return self
        return self if int(self.version) >= int(other.version) else other


class Sight(Protocol):
    """Whoever watches the objects."""

    def shown(self, resource: ResourceRef) -> Shown | None:
        """Return the object as the watch showed it last; None when it does not know that very one."""


class KubernetesResources:
    """Implements `ports.Resources`; what a write answered counts until the watch shows something newer."""

    def __init__(self, api: Api, sight: Sight, clock: Clock, *, beside_kubeelasti: bool = False) -> None:
        self._api = api
        self._sight = sight
        self._clock = clock
        self._ours = frozenset({FINALIZER} if beside_kubeelasti else {FINALIZER, KUBEELASTI_FINALIZER})
        self._written: dict[ResourceRef, Shown] = {}

    async def write_status(self, resource: ResourceRef, status: ResourceStatus) -> bool:
        """Write what differs from what is there; False when nothing did, and then nothing was sent."""
        shown = self._latest(resource) or await self._look(resource)
        now = self._clock.read().now
        for attempt in range(_ATTEMPTS):
            patch = status_patch(shown.status, status, now)
            if not patch:
                return False
            body = _conditional(resource, shown.status, patch, absent=attempt % 2 == 0)
            try:
                content = await self._api.patch(f"{_path(resource)}/status", body, PatchKind.JSON)
            except TargetMovedError:
                shown = await self._look(resource)
            except TargetGoneError:
                raise _gone(resource) from None
            else:
                self._remember(resource, content)
                return True
        raise TargetBusyError(f"somebody changes the status of ElastiService {resource} all the time; trying later")

    async def hold(self, resource: ResourceRef) -> None:
        """Put our finalizer on it: from now on it is not gone before it was let go."""

        def held(shown: Shown) -> tuple[str, ...]:
            if FINALIZER in shown.finalizers:
                return shown.finalizers
            if shown.leaving:
                raise TargetGoneError(f"ElastiService {resource} is being deleted: nothing can be put on it any more")
            return (*shown.finalizers, FINALIZER)

        await self._refinalize(resource, held)

    async def let_go(self, resource: ResourceRef) -> None:
        """Take our finalizer off; the resource of that uid may be gone already."""

        def free(shown: Shown) -> tuple[str, ...]:
            return tuple(name for name in shown.finalizers if name not in self._ours)

        try:
            await self._refinalize(resource, free)
        except TargetGoneError:
            return
        finally:
            self._written.pop(resource, None)

    async def namespace_ends(self, namespace: str) -> bool:
        """Whether a namespace is being deleted, or gone."""
        try:
            content = await self._api.get(f"/api/v1/namespaces/{namespace}")
        except TargetGoneError:
            return True
        match content:
            case {"metadata": {"deletionTimestamp": str()}}:
                return True
            case _:
                return False

    async def _refinalize(self, resource: ResourceRef, wanted: Callable[[Shown], tuple[str, ...]]) -> None:
        """Make the finalizers what is wanted, if nobody else changes them meanwhile; if so, look and try again."""
        shown = self._latest(resource) or await self._look(resource)
        for _ in range(_ATTEMPTS):
            names = wanted(shown)
            if names == shown.finalizers:
                return
            try:
                await self._put(resource, shown.finalizers, names)
            except (TargetMovedError, TargetInvalidError):
                shown = await self._look(resource)
            else:
                return
        raise TargetBusyError(f"somebody changes the finalizers of ElastiService {resource} all the time; trying later")

    async def _put(self, resource: ResourceRef, before: tuple[str, ...], names: tuple[str, ...]) -> None:
        body = [
            {"op": "test", "path": "/metadata/uid", "value": resource.uid},
            # An object without finalizers has no list of them, and the test of what is absent is one for null.
            {"op": "test", "path": "/metadata/finalizers", "value": list(before) or None},
            {"op": "add", "path": "/metadata/finalizers", "value": list(names)},
        ]
        self._remember(resource, await self._api.patch(_path(resource), body, PatchKind.JSON))

    def _latest(self, resource: ResourceRef) -> Shown | None:
        written, shown = self._written.get(resource), self._sight.shown(resource)
        if shown is None:
            self._written.pop(resource, None)
            return None
        latest = shown.newer(written)
        if latest is shown:
            self._written.pop(resource, None)
        return latest

    async def _look(self, resource: ResourceRef) -> Shown:
        """Read it now; raises TargetGoneError when there is none, or another one."""
        try:
            content = await self._api.get(_path(resource))
        except TargetGoneError:
            raise _gone(resource) from None
        return self._remember(resource, content)

    def _remember(self, resource: ResourceRef, content: object) -> Shown:
        uid, shown = shown_of(content)
        if uid != resource.uid:
            self._written.pop(resource, None)
            raise _gone(resource)
        self._written[resource] = shown
        return shown


def _conditional(
    resource: ResourceRef, status: Mapping[str, object], fields: Mapping[str, object], *, absent: bool
) -> list[Mapping[str, object]]:
    """Write fields of the status of that very object; its conditions, one list, only if they are those that we saw.

    A merge patch would not do: on the status, the API ignores the uid that it names. A status without content may be
    `absent` or empty.
    """
    tests: list[Mapping[str, object]] = [{"op": "test", "path": "/metadata/uid", "value": resource.uid}]
    if not status:
        tests.append({"op": "test", "path": "/status", "value": None if absent else {}})
        return [*tests, {"op": "add", "path": "/status", "value": fields}]
    if "conditions" in fields:
        tests.append({"op": "test", "path": "/status/conditions", "value": status.get("conditions")})
    return [*tests, *({"op": "add", "path": f"/status/{name}", "value": value} for name, value in fields.items())]


def shown_of(content: object) -> tuple[str, Shown]:
    """Return the uid of an object, and how it is."""
    match content:
        case {"metadata": {"uid": str(uid), "resourceVersion": str(version), **metadata}, **rest}:
            finalizers, status = metadata.get("finalizers"), rest.get("status")
            return uid, Shown(
                version=version,
                finalizers=tuple(map(str, finalizers)) if isinstance(finalizers, list) else (),
                status=status if isinstance(status, dict) else {},
                leaving="deletionTimestamp" in metadata,
            )
        case _:
            raise TargetInvalidError("the API answered with something that is no object; is its address right?")


def _path(resource: ResourceRef) -> str:
    return f"/apis/{API_VERSION}/namespaces/{resource.namespace}/{PLURAL}/{resource.name}"


def _gone(resource: ResourceRef) -> TargetGoneError:
    return TargetGoneError(f"there is no ElastiService {resource} of uid {resource.uid} any more")
