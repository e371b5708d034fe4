"""The API server as a test sees it: a small client that creates, reads, and waits for conditions by watches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from consumer.adapters.control_plane import ControlPlane, User
from consumer.adapters.control_plane.calls import trusting
from tests.bed.manifests import Manifest

LIMIT = 30.0
"""Seconds for a condition to come true on a busy machine."""

_APPLY = "application/apply-patch+yaml"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_REFUSED = 400
_GONE = 404


class KubeError(Exception):
    """The API server refused; `status` is its HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Ref:
    """One object: what it is, where it is, what it is called."""

    api: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What RBAC is asked about: a verb on a resource, in a namespace or in all of them."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    subresource: str = ""


def ref(manifest: Manifest, namespace: str = "") -> Ref:
    """The object that a manifest describes; the namespace is for manifests that name none."""
    about = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], about.get("namespace") or namespace, about["name"])


class Kube:
    """One user's calls: `async with Kube(plane, user) as kube`; without a user, the administrator's."""

    def __init__(self, plane: ControlPlane, user: User | None = None) -> None:
        self._url = plane.url
        self._tls = trusting(plane.ca)
        self._headers = {"Authorization": f"Bearer {(user or plane.admin).token}", "Accept": "application/json"}
        self._session: aiohttp.ClientSession | None = None
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    async def __aenter__(self) -> Self:
        """Open the connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=LIMIT),
            # A line of a watch is a whole object.
            read_bufsize=1_048_576,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    async def apply(self, manifest: Manifest, namespace: str = "", *, manager: str = "bed-test") -> Manifest:
        """Apply on the server's side, as the field manager that is named; return the object as it is then."""
        path = await self.path(ref(manifest, namespace))
        options = {"fieldManager": manager, "force": "true"}
        return await self.call("PATCH", path, orjson.dumps(manifest), kind=_APPLY, options=options)

    async def get(self, what: Ref, *, subresource: str = "") -> Manifest:
        """The object; raises KubeError."""
        return await self.call("GET", await self.path(what, subresource))

    async def merge(self, what: Ref, change: Manifest, *, subresource: str = "", manager: str = "bed-test") -> Manifest:
        """Merge a change into the object, or into its subresource; return what became of it."""
        path = await self.path(what, subresource)
        options = {"fieldManager": manager}
        return await self.call(
            "PATCH", path, orjson.dumps(change), kind="application/merge-patch+json", options=options
        )

    async def scale(self, what: Ref, replicas: int, *, manager: str = "bed-test") -> Manifest:
        """Set the replicas unconditionally, as a person does; return the Scale object."""
        return await self.merge(what, {"spec": {"replicas": replicas}}, subresource="scale", manager=manager)

    async def delete(self, what: Ref) -> None:
        """Ask for the object's end, do not wait for it; one that is not there is all right."""
        try:
            await self.call("DELETE", await self.path(what))
        except KubeError as refused:
            if refused.status != _GONE:
                raise

    async def until(
        self, what: Ref, holds: Callable[[Manifest | None], bool], *, within: float = LIMIT
    ) -> Manifest | None:
        """Watch the object until this holds of it (of None while it is not there); return it as it is then."""
        seen: Manifest | None = None
        try:
            async with asyncio.timeout(within), aclosing(self.states(what)) as states:
                async for seen in states:
                    if holds(seen):
                        return seen
        except TimeoutError:
            raise AssertionError(f"{what} did not get there in {within} s; it is {seen}") from None
        raise AssertionError(f"the watch of {what} ended; it was {seen}")

    async def ready(self, what: Ref, replicas: int, *, within: float = LIMIT) -> Manifest:
        """Wait until a workload has exactly so many ready replicas, and none in excess."""
        found = await self.until(
            what, lambda now: now is not None and _counts(now) == (replicas, replicas), within=within
        )
        assert found is not None
        return found

    async def until_may(self, user: User, deed: Deed, *, allowed: bool = True) -> None:
        """Ask until RBAC says so; it reads roles and bindings from a cache, which learns of them a moment later."""
        asked = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user.name, "groups": list(user.groups), "resourceAttributes": asdict(deed)},
        }
        async with asyncio.timeout(LIMIT):
            while True:
                said = await self.call("POST", _REVIEWS, orjson.dumps(asked))
                if bool(said["status"]["allowed"]) == allowed:
                    return

    async def states(self, what: Ref) -> AsyncGenerator[Manifest | None, None]:
        """The object as it is now, and after each change; None while it is not there. It never ends by itself."""
        path = await self.path(Ref(what.api, what.kind, what.namespace, ""))
        one = {"fieldSelector": f"metadata.name={what.name}"}
        while True:
            listed = await self.call("GET", path, options=one)
            yield listed["items"][0] if listed["items"] else None
            version = listed["metadata"]["resourceVersion"]
            async for event in self._events(path, {**one, "watch": "true", "resourceVersion": version}):
                yield None if event["type"] == "DELETED" else event["object"]

    async def path(self, what: Ref, subresource: str = "") -> str:
        """Where the object is, by what the server says of its kind; without a name, its collection."""
        root = f"/apis/{what.api}" if "/" in what.api else f"/api/{what.api}"
        plural, namespaced = await self._kind(root, what.kind)
        within = f"/namespaces/{what.namespace}" if namespaced and what.namespace else ""
        parts = "".join(f"/{part}" for part in (what.name, subresource) if part)
        return f"{root}{within}/{plural}{parts}"

    async def call(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        kind: str = "application/json",
        options: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Any call; raises KubeError."""
        async with self._opened().request(
            method, self._url + path, data=data, params=options, headers=self._headers | {"Content-Type": kind}
        ) as response:
            body = await response.read()
        if response.status >= _REFUSED:
            raise KubeError(response.status, body.decode(errors="replace"))
        answer: Manifest = orjson.loads(body)
        return answer

    async def _kind(self, root: str, kind: str) -> tuple[str, bool]:
        if (root, kind) not in self._kinds:
            for each in (await self.call("GET", root))["resources"]:
                if "/" not in each["name"]:
                    self._kinds[root, each["kind"]] = (each["name"], each["namespaced"])
        if (root, kind) not in self._kinds:
            raise KubeError(_GONE, f"the server knows no {kind} in {root}")
        return self._kinds[root, kind]

    async def _events(self, path: str, options: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Events until the server ends the watch, or the version is too old; then the caller lists anew."""
        forever = aiohttp.ClientTimeout(total=None)
        async with self._opened().get(
            self._url + path, params=options, headers=self._headers, timeout=forever
        ) as response:
            async for line in response.content:
                event: dict[str, Any] = orjson.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event

    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use `async with Kube(…)`"
        return self._session


def _counts(workload: Manifest) -> tuple[int, int]:
    """Ready replicas, and all of them, as the controller last saw them; -1 while it has not seen the last change."""
    status = workload.get("status", {})
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return -1, -1
    return status.get("readyReplicas", 0), status.get("replicas", 0)
