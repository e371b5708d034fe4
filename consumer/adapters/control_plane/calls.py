"""What a control plane asks its own API server over plain HTTP while it starts, and for its tests."""

import ssl
from pathlib import Path

import aiohttp
import orjson

from consumer.adapters.control_plane.people import User
from consumer.adapters.control_plane.trouble import ControlPlaneError

_LIMIT = aiohttp.ClientTimeout(total=10)
_OK = 200
_REFUSED = 400


def trusting(ca: Path) -> ssl.SSLContext:
    """TLS that believes this plane and nobody else: an answer proves that our own child serves the port."""
    return ssl.create_default_context(cafile=str(ca))


async def answers(session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | bool = True) -> bool:  # noqa: FBT001, FBT002
    """Whether a GET is answered with 200; a server that is not there yet says no."""
    try:
        async with session.get(url, ssl=tls, timeout=_LIMIT) as response:
            return response.status == _OK
    except (aiohttp.ClientError, TimeoutError):
        return False


class Calls:
    """Calls of one user to one API server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, ca: Path, user: User) -> None:
        self._session = session
        self._url = url
        self._tls = trusting(ca)
        self._headers = {"Authorization": f"Bearer {user.token}"}

    async def get(self, path: str) -> bytes:
        """Return the body of the answer; raises ControlPlaneError when it is refused."""
        return await self._call("GET", path, None, "application/json")

    async def apply(self, path: str, manifest: bytes) -> None:
        """Apply a manifest (YAML) on the server's side; raises ControlPlaneError when it is refused."""
        await self._call("PATCH", f"{path}?fieldManager=bed&force=true", manifest, "application/apply-patch+yaml")

    async def post(self, path: str, content: object) -> bytes:
        """Create what is given; return the answer; raises ControlPlaneError when it is refused."""
        return await self._call("POST", path, orjson.dumps(content), "application/json")

    async def _call(self, method: str, path: str, data: bytes | None, kind: str) -> bytes:
        headers = self._headers | {"Content-Type": kind, "Accept": "application/json"}
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=headers, ssl=self._tls, timeout=_LIMIT
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as trouble:
            raise ControlPlaneError(f"control plane: {method} {path} got no answer: {trouble!r}") from trouble
        if response.status >= _REFUSED:
            raise ControlPlaneError(f"control plane: {method} {path} was refused: {body.decode(errors='replace')}")
        return body
