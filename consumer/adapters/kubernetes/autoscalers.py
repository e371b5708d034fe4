"""KEDA's ScaledObjects: they stand aside by the annotations that KEDA reads, each change on a condition of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.ports import (
    AutoscalerKey,
    TargetBusyError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)

PAUSED: Final = "autoscaling.keda.sh/paused"
"""KEDA leaves the replicas alone while this is true."""
HELD_AT: Final = "autoscaling.keda.sh/paused-replicas"
"""KEDA scales to this number and stays there: written before the target is at zero, it would itself be the sleep."""
MARK: Final = "elasti.truefoundry.com/paused-by"
"""The command in whose name we paused; a handler that was stalled meanwhile finds another one, or none."""
_OURS: Final = (PAUSED, HELD_AT, MARK)
_ZERO: Final = "0"
_ATTEMPTS: Final = 5
"""How often others may be quicker with the same annotations."""

_Notes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A ScaledObject: which one it is, and what it says of pauses; `bare`: it has no annotations at all."""

    uid: str
    notes: _Notes
    bare: bool

    @property
    def paused(self) -> bool:
        """Whether KEDA leaves it alone; KubeElasti ends a pause by `false`."""
        return self.notes.get(PAUSED, "false") != "false" or HELD_AT in self.notes

    @property
    def by(self) -> str | None:
        """In whose name we paused it; whoever holds it at another number than zero has made our pause theirs."""
        return self.notes.get(MARK) if self.notes.get(HELD_AT, _ZERO) == _ZERO else None

    @property
    def foreign(self) -> bool:
        """Whether somebody else paused it; without our mark and at zero, it is KubeElasti's pause, and ours to end."""
        return self.paused and self.by is None and self.notes.get(HELD_AT) != _ZERO


class KubernetesAutoscalers:
    """Implements `ports.Autoscalers`: two requests for a pause or its end, one for a pin or a look."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def pause(self, key: AutoscalerKey, by: str) -> None:
        """Stop it from scaling."""
        for _ in range(_ATTEMPTS):
            seen = await self._look(key)
            if seen.foreign:
                raise TargetMovedError(f"{key} is paused by somebody else; remove that pause, or pause the service too")
            if await self._became(key, seen, {PAUSED: "true", MARK: by}):
                return
        raise _overtaken(key)

    async def pin(self, key: AutoscalerKey, by: str) -> None:
        """Hold it at zero."""
        patch: list[dict[str, object]] = [
            {"op": "test", "path": _path_of(MARK), "value": by},
            {"op": "test", "path": _path_of(PAUSED), "value": "true"},
            {"op": "add", "path": _path_of(HELD_AT), "value": _ZERO},
        ]
        try:
            await self._patch(key, patch)
        except TargetMovedError as error:
            raise TargetMovedError(f"{key} is not paused in the name of {by} any more") from error

    async def resume(self, key: AutoscalerKey, by: str | None = None) -> bool:
        """Let it scale again; True when it was paused."""
        for _ in range(_ATTEMPTS):
            seen = await self._look(key)
            if not seen.paused and MARK not in seen.notes:
                return False
            if seen.foreign or (seen.paused and by is not None and seen.by != by):
                raise _not_ours(key)
            # Where somebody ended our pause and left the mark, a later pause of theirs would look like ours.
            if await self._became(key, seen, {}):
                return seen.paused
        raise _overtaken(key)

    async def paused(self, key: AutoscalerKey) -> bool:
        """Whether there is a pause that `resume` would end."""
        seen = await self._look(key)
        if seen.foreign:
            raise _not_ours(key)
        return seen.paused

    async def _look(self, key: AutoscalerKey) -> _Seen:
        with _about(key):
            content = await self._api.get(_path(key))
        match content:
            case {"metadata": {"uid": str(uid), **metadata}}:
                notes = metadata.get("annotations")
                told = notes if isinstance(notes, dict) else {}
                return _Seen(uid, {name: str(told[name]) for name in _OURS if name in told}, bare=not told)
            case _:
                raise TargetInvalidError(f"the API answered with something that is no {key}")

    async def _became(self, key: AutoscalerKey, seen: _Seen, wanted: _Notes) -> bool:
        """Make its annotations these, if they still are as seen; False when they are not."""
        if seen.notes == wanted:
            return True
        try:
            await self._patch(key, _change(seen, wanted))
        except TargetMovedError:
            return False
        return True

    async def _patch(self, key: AutoscalerKey, patch: list[dict[str, object]]) -> None:
        with _about(key):
            await self._api.patch(_path(key), patch, PatchKind.JSON)


def _change(seen: _Seen, wanted: _Notes) -> list[dict[str, object]]:
    """Write the change and its condition as one JSON Patch; what is not there is equal to null."""
    patch: list[dict[str, object]] = [{"op": "test", "path": "/metadata/uid", "value": seen.uid}]
    if seen.bare:
        patch.append({"op": "test", "path": "/metadata/annotations", "value": None})
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    patch.extend({"op": "test", "path": _path_of(name), "value": seen.notes.get(name)} for name in _OURS)
    for name in _OURS:
        if name in wanted:
            patch.append({"op": "add", "path": _path_of(name), "value": wanted[name]})
        elif name in seen.notes:
            patch.append({"op": "remove", "path": _path_of(name)})
    return patch


def _path_of(name: str) -> str:
    # A slash in a name is written ~1 in a JSON pointer (RFC 6901).
    return f"/metadata/annotations/{name.replace('/', '~1')}"


def _path(key: AutoscalerKey) -> str:
    return f"/apis/keda.sh/v1alpha1/namespaces/{key.namespace}/scaledobjects/{key.name}"


def _not_ours(key: AutoscalerKey) -> TargetMovedError:
    return TargetMovedError(f"{key} is paused by somebody else; that is not ours to end")


def _overtaken(key: AutoscalerKey) -> TargetBusyError:
    return TargetBusyError(f"the pause of {key} is changed by others all the time; try again")


@contextmanager
def _about(key: AutoscalerKey) -> Iterator[None]:
    """Say in an error which autoscaler it is about, and what to do; without KEDA there is none, either."""
    try:
        yield
    except TargetGoneError as error:
        raise TargetGoneError(f"there is no {key}; create it, or correct spec.autoscaler of the policy") from error
    except TargetForbiddenError as error:
        told = f"{key}: the rights are missing; grant the handler get and patch of scaledobjects in keda.sh ({error})"
        raise TargetForbiddenError(told) from error
