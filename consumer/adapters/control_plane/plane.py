"""Runs a Kubernetes control plane as child processes and sees to it that nothing of it is left behind."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import orjson

from consumer.adapters.control_plane.audit import AuditEntry, read_audit
from consumer.adapters.control_plane.calls import Calls, answers, trusting
from consumer.adapters.control_plane.child import Child
from consumer.adapters.control_plane.commands import Ports, controllers, etcd, kwok, server
from consumer.adapters.control_plane.people import People, User, write_kubeconfig, write_signing_key
from consumer.adapters.control_plane.programs import Programs, built
from consumer.adapters.control_plane.trouble import ControlPlaneError, PortTakenError
from consumer.children import Guard, cache_root, free_ports, temporary_folder

_START_LIMIT = 90.0
_SYNC_LIMIT = 30.0
_PORT_ATTEMPTS = 3


class ControlPlane:
    """A Kubernetes of our own on loopback: `async with ControlPlane() as plane: plane.kubeconfig()`.

    RBAC is on, every request is in the audit log, one node `bed` is there, and pods on it get ready without being
    run. There is no scheduler: pods name the node. Its data live in a temporary folder that goes with it, and it
    ends with us, however we end.
    """

    def __init__(self, *, cache: Path | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        self._cache = cache or cache_root()
        self._say = say
        self._people = People()
        self._home = Path()
        self._ports = Ports(0, 0, 0)
        self._programs = Programs(Path())
        self._guard: Guard | None = None
        self._session: aiohttp.ClientSession | None = None
        self._children: dict[str, Child] = {}

    async def __aenter__(self) -> Self:
        """Start, or raise ControlPlaneError and leave nothing behind."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and leave nothing behind."""
        await self.stop()

    @property
    def url(self) -> str:
        """The API server's address; it stays the same when the server is killed and started again."""
        return self._ports.url

    @property
    def ca(self) -> Path:
        """The certificate that clients must trust, and need no other."""
        return self._home / "certs" / "apiserver.crt"

    @property
    def admin(self) -> User:
        """The user who may do everything."""
        return self._people.admin

    @property
    def admin_token(self) -> str:
        """The token of the user who may do everything."""
        return self._people.admin.token

    @property
    def home(self) -> Path:
        """The folder of its data, logs and kubeconfigs."""
        return self._home

    @property
    def pids(self) -> dict[str, int]:
        """Its processes by name."""
        return {name: child.pid for name, child in self._children.items()}

    def program(self, name: str) -> Path:
        """A program that was built with it: `kubectl` and `helm`."""
        return self._programs[name]

    def user(self, label: str) -> User:
        """A user without any rights; the same label gives the same user. Bind RBAC to its `name` or its group."""
        return self._people.stranger(label)

    async def service_account(self, namespace: str, name: str) -> User:
        """This service account (it must exist) as a user, with a token as its pods would have, good for a day."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        wanted = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 86_400},
        }
        answer = orjson.loads(await self._calls().post(path, wanted))
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(f"system:serviceaccount:{namespace}:{name}", groups, str(answer["status"]["token"]))

    def kubeconfig(self, user: User | None = None, *, namespace: str = "default") -> Path:
        """A kubeconfig of this user, or of the administrator."""
        who = user or self._people.admin
        path = self._home / f"{who.name.replace(':', '-')}.{namespace}.kubeconfig"
        return write_kubeconfig(path, server=self.url, ca=self.ca, user=who, namespace=namespace)

    async def start(self) -> None:
        """Start everything, and return when pods would get ready.

        Raises:
            ControlPlaneError: it could not be started; the message says why and what to do.
        """
        try:
            await self._prepare()
            await self._start_on_free_ports()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all of it and remove its folder; its data are worth nothing, so nobody is asked politely."""
        children, self._children = self._children, {}
        guard, self._guard = self._guard, None
        session, self._session = self._session, None
        try:
            if session is not None:
                await session.close()
            for child in reversed(children.values()):
                await child.kill()
        finally:
            if guard is not None:
                await guard.finish()

    def pause(self) -> None:
        """Freeze the API server, as a machine that hangs would: connections stay open, mute."""
        self._child("kube-apiserver").pause()

    def resume(self) -> None:
        """Let a paused API server go on."""
        self._child("kube-apiserver").resume()

    async def kill(self) -> None:
        """End the API server with -9; what is stored stays for `restart`."""
        await self._child("kube-apiserver").kill()

    async def restart(self) -> None:
        """Start the API server again on the same port and data; one that still runs is killed first.

        Controllers and pods' simulator start anew as well: left alone they back off for a minute after an outage
        of 50 s, and that would be measured as ours.
        """
        await self.kill()
        await self._child("kube-apiserver").start()
        await self._serves()
        for name in ("kube-controller-manager", "kwok"):
            await self._child(name).kill()
            await self._child(name).start()

    def audit_mark(self) -> int:
        """The present end of the audit log; give it to `audit` to read on from there."""
        log = self._home / "audit.log"
        return log.stat().st_size if log.exists() else 0

    async def audit(self, since: int = 0) -> list[AuditEntry]:
        """Every request that was answered since the mark, but for those of the plane's own parts.

        Only entries of requests whose answers are complete are sure to be there; of a watch, its beginning.
        """
        mark = f"/version?mark={uuid.uuid4().hex}"
        entries: list[AuditEntry] = []
        async with asyncio.timeout(_SYNC_LIMIT):
            # An answer can overtake its own line in the log, so one request's line proves those before it.
            while not any(entry.uri == mark for entry in entries):
                await self._calls().get(mark)
                more, since = read_audit(self._home / "audit.log", since)
                entries += more
        return [entry for entry in entries if not entry.uri.startswith("/version?mark=")]

    async def _prepare(self) -> None:
        self._programs = built(self._cache)
        self._home = temporary_folder("elasti-control-plane-")
        self._guard = await Guard.over(self._home)
        self._session = aiohttp.ClientSession()
        self._people.write(self._home / "tokens.csv")
        write_signing_key(self._home / "sa.key", self._home / "sa.pub")
        for name in ("audit-policy.yaml", "stages.yaml"):
            (self._home / name).write_bytes(_file(name))

    async def _start_on_free_ports(self) -> None:
        """A port that was free a moment ago can be taken by now; then try others."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._ports = Ports(*free_ports(3))
            try:
                await self._start_children()
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
                for child in self._children.values():
                    await child.kill()
            else:
                return

    async def _start_children(self) -> None:
        self._say(f"starting a Kubernetes control plane on {self.url}")
        # A name for each attempt, and a place: a store that began on other ports would come back as what it was.
        name = uuid.uuid4().hex
        store = await self._launch("etcd", etcd(self._home / f"etcd-{name}", name, self._ports))
        await store.serves(partial(self._is_our_etcd, name), within=_START_LIMIT)
        await self._launch("kube-apiserver", server(self._home, self._ports))
        await self._serves()
        await self._launch("kube-controller-manager", controllers(self.kubeconfig(self._people.controllers)))
        await self._launch("kwok", kwok(self.kubeconfig(self._people.pods), self._home / "stages.yaml"))
        calls = self._calls()
        await calls.apply("/api/v1/nodes/bed", _file("node.yaml"))
        await calls.apply("/api/v1/nodes/bed/status", _file("node.yaml"))
        await self._child("kwok").serves(self._node_is_ready, within=_START_LIMIT)

    async def _launch(self, name: str, arguments: Sequence[str]) -> Child:
        if self._guard is None:
            raise ControlPlaneError("control plane: it has no guard; start it by `start`")
        command = (str(self._programs[name]), *arguments)
        child = self._children[name] = Child(name, command, self._home / f"{name}.log", self._guard)
        await child.start()
        return child

    async def _serves(self) -> None:
        """Wait for the API server; its certificate is new, so that no other server can answer for it."""
        await self._child("kube-apiserver").serves(self._is_ready, within=_START_LIMIT)

    async def _is_our_etcd(self, name: str) -> bool:
        """Whether the member that answers at the port has the name that only we know."""
        try:
            async with self._opened().post(f"{self._ports.etcd_url}/v3/cluster/member/list", json={}) as response:
                return name in await response.text()
        except aiohttp.ClientError:
            return False

    async def _is_ready(self) -> bool:
        return self.ca.exists() and await answers(self._opened(), f"{self.url}/readyz", trusting(self.ca))

    async def _node_is_ready(self) -> bool:
        node = orjson.loads(await self._calls().get("/api/v1/nodes/bed"))
        conditions = node["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _calls(self) -> Calls:
        return Calls(self._opened(), self.url, self.ca, self._people.admin)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ControlPlaneError("control plane: it is not running; start it first")
        return self._session

    def _child(self, name: str) -> Child:
        if name not in self._children:
            raise ControlPlaneError(f"control plane: {name} is not running; start it first")
        return self._children[name]


def _file(name: str) -> bytes:
    return (files(__package__) / "files" / name).read_bytes()
