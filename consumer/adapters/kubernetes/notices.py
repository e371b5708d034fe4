"""Kubernetes Events: what people read with `kubectl describe`; what is told again raises the count of the one there."""

import hashlib
from datetime import datetime
from typing import Final

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.core.service import OWN_MANAGER
from consumer.elastiservice import API_VERSION, KIND
from consumer.ports import Notice, ResourceRef, TargetBusyError, TargetGoneError, TargetInvalidError, TargetMovedError

_LONGEST_MESSAGE: Final = 1024
"""Characters that the API takes."""
_LONGEST_NAME: Final = 200
"""Of the subject's name; with the digest behind it the Event's name stays below the API's 253."""
_ROOM: Final = 4_096
"""Counts that are remembered; one that is not costs two requests more."""
_ATTEMPTS: Final = 5
_NOTHING: Final[dict[str, object]] = {}


class KubernetesNotices:
    """Implements `ports.Notices`; needs no right but to create and patch Events.

    The name of an Event is made of what it says, so that all handlers, now and after a restart, raise one count.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._counts: dict[str, int] = {}

    async def tell(self, notice: Notice, *, count: int, first: datetime, last: datetime) -> None:
        """Write it, or raise the count of the one that is there."""
        name = _name(notice)
        path = f"/api/v1/namespaces/{notice.about.namespace}/events"
        for _ in range(_ATTEMPTS):
            try:
                if name not in self._counts:
                    await self._api.post(path, _event(notice, name, count, first, last))
                    self._remember(name, count)
                    return
                raised = self._counts[name] + count
                await self._api.patch(f"{path}/{name}", _raise(self._counts[name], raised, last), PatchKind.JSON)
            except TargetMovedError:
                await self._learn(path, name)
            except TargetGoneError:
                # The API forgets Events after an hour.
                self._counts.pop(name, None)
            else:
                self._remember(name, raised)
                return
        raise TargetBusyError(f"Event {notice.about.namespace}/{name} is changed by others all the time; try again")

    async def _learn(self, path: str, name: str) -> None:
        """Take note of how often it was told; a patch that changes nothing returns the Event, and is no write."""
        try:
            match await self._api.patch(f"{path}/{name}", _NOTHING, PatchKind.MERGE):
                case {"count": int(there)}:
                    self._remember(name, there)
                case _:
                    raise TargetInvalidError(f"the API answered with something that is no Event {name} of ours")
        except TargetGoneError:
            self._counts.pop(name, None)

    def _remember(self, name: str, count: int) -> None:
        self._counts.pop(name, None)
        self._counts[name] = count
        if len(self._counts) > _ROOM:
            del self._counts[next(iter(self._counts))]


def _name(notice: Notice) -> str:
    kind = "Warning" if notice.warning else "Normal"
    said = "\n".join((str(_subject(notice)), notice.reason, kind, notice.message))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"{_subject(notice)['name'][:_LONGEST_NAME].rstrip('.-')}.{digest}"


def _subject(notice: Notice) -> dict[str, str]:
    about = notice.about
    if isinstance(about, ResourceRef):
        named = {"apiVersion": API_VERSION, "kind": KIND, "name": about.name, "uid": about.uid}
    else:
        ref = about.ref
        named = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}
        if notice.target_uid is not None:
            named["uid"] = notice.target_uid
    return {"namespace": about.namespace, **named}


def _event(notice: Notice, name: str, count: int, first: datetime, last: datetime) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": notice.about.namespace},
        "involvedObject": _subject(notice),
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason,
        "message": notice.message[:_LONGEST_MESSAGE],
        "source": {"component": OWN_MANAGER},
        "reportingComponent": OWN_MANAGER,
        "firstTimestamp": _moment(first),
        "lastTimestamp": _moment(last),
        "count": count,
    }


def _raise(before: int, after: int, last: datetime) -> list[dict[str, object]]:
    return [
        {"op": "test", "path": "/count", "value": before},
        {"op": "add", "path": "/count", "value": after},
        {"op": "add", "path": "/lastTimestamp", "value": _moment(last)},
    ]


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
