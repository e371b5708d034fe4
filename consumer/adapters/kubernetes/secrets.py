"""Secrets that policies name: one read for each of them, kept for a minute in memory and nowhere else."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from consumer.adapters.kubernetes.api import Api
from consumer.ports import TargetBusyError, TargetError, TargetForbiddenError, TargetGoneError, TargetInvalidError

_KEPT: Final = 60.0
_REFUSED: Final = 5.0
"""How long a failure, or a value that somebody did not take, stands: nobody reads the API at the pace of a sweep."""
_FORGOTTEN: Final = 600.0

_Place = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    """What one Secret held when it was read last, and when that was, in the loop's time."""

    read: float
    stale: float
    values: Mapping[str, bytes] | None = field(default=None, repr=False)
    failure: TargetError | None = None


class KubernetesSecrets:
    """Implements `ports.Secrets`: reads single Secrets by their names, so that the right to get these is enough.

    A value stands for `kept` seconds, a failure or a doubted value for `refused`.
    """

    def __init__(self, api: Api, *, kept: float = _KEPT, refused: float = _REFUSED) -> None:
        self._api = api
        self._for = kept
        self._refused = refused
        self._kept: dict[_Place, _Kept] = {}
        self._reading: dict[_Place, asyncio.Lock] = {}

    async def read(self, namespace: str, name: str, key: str) -> str:
        """Return the value as it was at most a minute ago; raises TargetError, which never shows it."""
        values = await self._values((namespace, name))
        if key not in values:
            known = ", ".join(sorted(values)) or "none"
            raise TargetGoneError(f'Secret {namespace}/{name} has no key "{key}" (there are: {known}); add it')
        try:
            return values[key].decode()
        except UnicodeDecodeError:
            raise TargetInvalidError(f'Secret {namespace}/{name}, key "{key}" is no text; write UTF-8') from None

    def distrust(self, namespace: str, name: str) -> None:
        """Look at this Secret anew when it is read next, unless that was done a moment ago."""
        kept = self._kept.get((namespace, name))
        if kept is not None:
            kept.stale = min(kept.stale, kept.read + self._refused)

    async def _values(self, place: _Place) -> Mapping[str, bytes]:
        # One at a time for each Secret: a sweep asks for the same one a hundred times at once.
        async with self._reading.setdefault(place, asyncio.Lock()):
            now = asyncio.get_running_loop().time()
            kept = self._kept.get(place)
            if kept is None or kept.stale <= now:
                self._forget(now)
                kept = self._kept[place] = await self._looked(place, kept)
        if kept.values is None:
            raise kept.failure or TargetInvalidError(f"Secret {place[0]}/{place[1]} holds nothing")
        return kept.values

    async def _looked(self, place: _Place, before: _Kept | None) -> _Kept:
        namespace, name = place
        told = f"Secret {namespace}/{name}"
        failure: TargetError
        try:
            content = await self._api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except TargetGoneError:
            failure = TargetGoneError(f"there is no {told}; create it, or name another one")
        except TargetForbiddenError:
            failure = TargetForbiddenError(
                f"{told} may not be read; give our service account a Role there to get it (resourceNames: [{name}])"
            )
        except TargetBusyError as busy:
            # While the API is away what it said last is more than nothing: a server will say if it is not.
            failure = busy
            if before is not None and before.values is not None:
                return _standing(self._refused, before.values)
        except TargetError as error:
            failure = error
        else:
            return _standing(self._for, _decoded(content, told))
        return _standing(self._refused, None, failure)

    def _forget(self, now: float) -> None:
        old = now - _FORGOTTEN
        for place in [place for place, kept in self._kept.items() if kept.read < old]:
            del self._kept[place]
            self._reading.pop(place, None)


def _standing(seconds: float, values: Mapping[str, bytes] | None, failure: TargetError | None = None) -> _Kept:
    now = asyncio.get_running_loop().time()
    return _Kept(now, now + seconds, values, failure)


def _decoded(content: object, told: str) -> Mapping[str, bytes]:
    data = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(data, Mapping):
        return {}
    try:
        return {str(key): b64decode(str(value), validate=True) for key, value in data.items()}
    except binascii.Error:
        raise TargetInvalidError(f"{told} holds what is no base64; write it anew") from None
