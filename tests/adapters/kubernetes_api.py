"""An API server, small and quick: one kind, Secrets, namespaces; versions, pages, watches, patches, and faults.

The live tests hold the same adapters against a real one; this one can be told to misbehave.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from consumer.elastiservice import API_VERSION, PLURAL, merged

Content = dict[str, object]
Key = tuple[str, str]
ALL = f"/apis/{API_VERSION}/{PLURAL}"
ONES = f"/apis/{API_VERSION}/namespaces/{{namespace}}/{PLURAL}"


@dataclass(slots=True)
class FakeApi:
    """Its address, what is in it, what it was asked, and how it behaves from now on."""

    url: str = ""
    page: int = 500
    objects: dict[Key, Content] = field(default_factory=dict)
    secrets: dict[Key, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: deque[web.Response | None] = field(default_factory=deque)
    forbidden: set[str] = field(default_factory=set)
    namespaces: dict[str, Content] = field(default_factory=lambda: {"shop": {"name": "shop"}})
    silent: bool = False
    oldest: int = 0
    _version: int = 0
    _uids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _events: list[tuple[int, Content]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _watches: set[web.StreamResponse] = field(default_factory=set)

    def create(self, name: str, spec: Mapping[str, object], namespace: str = "shop", *finalizers: str) -> Content:
        metadata: Content = {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{next(self._uids)}",
            "generation": 1,
            "creationTimestamp": "2026-01-05T12:00:00Z",
        }
        if finalizers:
            metadata["finalizers"] = list(finalizers)
        content: Content = {
            "apiVersion": API_VERSION,
            "kind": "ElastiService",
            "metadata": metadata,
            "spec": dict(spec),
        }
        return self._put((namespace, name), content, "ADDED")

    def edit(self, name: str, spec: Mapping[str, object], namespace: str = "shop") -> Content:
        content = deepcopy(self.objects[namespace, name])
        metadata = _object(content["metadata"])
        metadata["generation"] = int(str(metadata["generation"])) + 1
        return self._put((namespace, name), {**content, "metadata": metadata, "spec": dict(spec)}, "MODIFIED")

    def write_status(self, name: str, status: Mapping[str, object], namespace: str = "shop") -> Content:
        content = merged(self.objects[namespace, name], {"status": status})
        return self._put((namespace, name), content, "MODIFIED")

    def delete(self, name: str, namespace: str = "shop") -> None:
        content = deepcopy(self.objects[namespace, name])
        _object(content["metadata"])["deletionTimestamp"] = "2026-01-05T13:00:00Z"
        self._put((namespace, name), content, "MODIFIED")

    def fail(self, *responses: web.Response | None) -> None:
        """Answer the next requests with these, one each; None: that one is answered as ever."""
        self.failures.extend(responses)

    def compact(self) -> None:
        """Forget all history: no watch can go on from before now."""
        self._version += 1
        self.oldest = self._version

    async def break_watches(self) -> None:
        """Let every watch end in the middle."""
        for response in tuple(self._watches):
            if response.task is not None:
                response.task.cancel()
        await asyncio.sleep(0)

    def _put(self, key: Key, content: Content, kind: str) -> Content:
        self._version += 1
        content = deepcopy(content)
        metadata = _object(content["metadata"])
        metadata["resourceVersion"] = str(self._version)
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.objects.pop(key, None)
            kind = "DELETED"
        else:
            self.objects[key] = content
        self._events.append((self._version, {"type": kind, "object": content}))
        self._changed.set()
        self._changed = asyncio.Event()
        return content

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.failures and (failure := self.failures.popleft()) is not None:
            return failure
        namespace, name = request.match_info.get("namespace", ""), request.match_info.get("name")
        if namespace in self.forbidden:
            return refused(403, f"elastiservices is forbidden in {namespace}")
        if name is not None:
            return await self._one(request, (namespace, name))
        if request.query.get("watch"):
            return await self._watch(request, namespace)
        return self._list(request, namespace)

    def _list(self, request: web.Request, namespace: str) -> web.Response:
        begin = int(request.query.get("continue", "0"))
        found = [one for (place, _), one in sorted(self.objects.items()) if namespace in ("", place)]
        size = min(int(request.query["limit"]), self.page)
        more = str(begin + size) if begin + size < len(found) else ""
        metadata = {"resourceVersion": str(self._version), "continue": more}
        return web.json_response({"metadata": metadata, "items": found[begin : begin + size]})

    async def _watch(self, request: web.Request, namespace: str) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        self._watches.add(response)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                if version < self.oldest:
                    await _send(response, {"type": "ERROR", "object": {"code": 410, "message": "too old"}})
                    return response
                await self._stream(response, version, namespace)
        except TimeoutError:
            return response
        finally:
            self._watches.discard(response)
        return response

    async def _stream(self, response: web.StreamResponse, version: int, namespace: str) -> None:
        while True:
            changed = self._changed
            for at, event in [one for one in self._events if one[0] > version]:
                version = at
                if namespace in ("", _object(_object(event["object"])["metadata"])["namespace"]) and not self.silent:
                    await _send(response, event)
            await changed.wait()

    async def _one(self, request: web.Request, key: Key) -> web.Response:
        content = self.objects.get(key)
        if content is None:
            return refused(404, f'elastiservices "{key[1]}" not found')
        if request.method == "PATCH":
            body: object = orjson.loads(await request.read())
            try:
                changed = _patched(content, body, status=request.path.endswith("/status"))
            except _TestFailedError:
                return refused(422, "the server rejected our request due to an error in our request")
            content = changed if changed == content else self._put(key, changed, "MODIFIED")
        return web.json_response(content)

    async def secret(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path))
        if self.failures and (failure := self.failures.popleft()) is not None:
            return failure
        data = self.secrets.get((request.match_info["namespace"], request.match_info["name"]))
        return refused(404, "not found") if data is None else web.json_response({"data": data})

    async def namespace(self, request: web.Request) -> web.Response:
        metadata = self.namespaces.get(request.match_info["namespace"])
        return refused(404, "not found") if metadata is None else web.json_response({"metadata": metadata})


class _TestFailedError(Exception):
    """A condition of a patch did not hold."""


def refused(status: int, message: str = "", **headers: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": message}, status=status, headers=headers)


def _patched(content: Content, body: object, *, status: bool) -> Content:
    """Apply a JSON patch of tests and additions; what belongs to the other half of the object is left as it is."""
    changed = deepcopy(content)
    assert isinstance(body, list)
    for step in body:
        *way, last = step["path"].strip("/").split("/")
        place: object = changed
        for name in way:
            if not isinstance(place, dict) or name not in place:
                raise _TestFailedError
            place = place[name]
        assert isinstance(place, dict)
        if step["op"] == "test" and place.get(last) != step["value"]:
            raise _TestFailedError
        if step["op"] == "add":
            place[last] = step["value"]
    kept = {name: value for name, value in content.items() if (name == "status") is not status}
    return {**{name: value for name, value in changed.items() if name not in kept}, **kept}


def _object(content: object) -> Content:
    assert isinstance(content, dict)
    return content


async def _send(response: web.StreamResponse, event: Content) -> None:
    await response.write(orjson.dumps(event) + b"\n")


@asynccontextmanager
async def serving() -> AsyncIterator[FakeApi]:
    """Run it on a free port."""
    api = FakeApi()
    app = web.Application()
    app.router.add_get(ALL, api.answer)
    app.router.add_get(ONES, api.answer)
    for path in (f"{ONES}/{{name}}", f"{ONES}/{{name}}/status"):
        app.router.add_route("*", path, api.answer)
    app.router.add_get("/api/v1/namespaces/{namespace}/secrets/{name}", api.secret)
    app.router.add_get("/api/v1/namespaces/{namespace}", api.namespace)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
