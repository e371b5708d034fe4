"""What the tests on a real API server share: our resource installed, namespaces of their own, rights of their own."""

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import yaml

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import ControlPlane, User
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.watching import USUAL, Pace, Watching
from consumer.elastiservice import API_VERSION, PLURAL
from consumer.ports import TargetError, TargetGoneError, TargetInvalidError, TargetMovedError
from consumer.scalers.contract import Defaults
from consumer.scalers.registry import Registry

CHECK = Registry(Defaults("http://prometheus:9090")).check
CRD = Path(__file__).parents[2] / "k8s" / "crd"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_COLLECTIONS = {
    "CustomResourceDefinition": DEFINITIONS,
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}
Content = dict[str, object]


def admin_of(plane: ControlPlane) -> Access:
    """Access in the name of who may do everything."""
    return access_of(plane, plane.admin)


def access_of(plane: ControlPlane, user: User) -> Access:
    """Access in somebody's name."""
    return Access(plane.url, ssl.create_default_context(cafile=plane.ca), _always(user.token))


def path(namespace: str, name: str = "") -> str:
    """Where resources of a namespace, or one of them, are in the API."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")


def resource(name: str = "web", **spec: object) -> Content:
    """A resource that is valid, but for what `spec` says otherwise."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name},
        "spec": {
            "service": name,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [{"type": "prometheus", "metadata": {"query": "up", "threshold": "1"}}],
            **spec,
        },
    }


async def install(api: Api) -> None:
    """Apply k8s/crd, and wait until it is in force."""
    for file in sorted(CRD.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            try:
                await api.post(_COLLECTIONS[document["kind"]], document)
            except TargetMovedError:
                continue
    await until(lambda: _refuses(api, resource(service="Web_")))
    await until(lambda: _refuses(api, resource(triggers=[{"type": "prometheus", "metadata": {"query": "up"}}])))


async def _refuses(api: Api, content: Content) -> bool:
    try:
        await api.post(path("default") + "?dryRun=All", content)
    except TargetInvalidError:
        return True
    except TargetError:
        return False
    return False


@asynccontextmanager
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace that is nobody else's; what is in it is let go and deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    for one in await listed(api, name):
        await api.delete(path(name, one))
    # A test may have deleted it.
    with suppress(TargetGoneError):
        await api.delete(f"/api/v1/namespaces/{name}")


@asynccontextmanager
async def following(access: Access, *namespaces: str, pace: Pace = USUAL) -> AsyncIterator[KubernetesPolicies]:
    """Follow the policies of these namespaces while the block runs; it begins when they are listed."""
    client = Api(access)
    policies = KubernetesPolicies(Watching(client, BrokerClock(), chance, pace), CHECK, namespaces=namespaces)
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(policies.run())
        await policies.listed()
        yield policies
        task.cancel()
    await client.close()


async def listed(api: Api, namespace: str) -> Sequence[str]:
    """The names of what is there."""
    match await api.get(path(namespace)):
        case {"items": list(items)}:
            return [item["metadata"]["name"] for item in items]
        case other:
            raise AssertionError(other)


async def one_who_may(admin: Access, api: Api, namespace: str, *rules: Mapping[str, object]) -> Access:
    """Return access to the API in the name of somebody who may do this there, and nothing else."""
    name = f"who-{uuid.uuid4().hex[:8]}"
    here = {"metadata": {"name": name, "namespace": namespace}}
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    await api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", here)
    await api.post(f"{rights}/roles", {**here, "rules": list(rules)})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    await api.post(f"{rights}/rolebindings", {**here, "subjects": [subject], "roleRef": role})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": None}}
    match await api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", asked):
        case {"status": {"token": str(text)}}:
            return replace(admin, token=_always(text))
        case other:
            raise AssertionError(other)


def _always(text: str) -> Callable[[], Awaitable[str]]:
    async def token() -> str:
        return text

    return token


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what lies in the server."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - what is waited for lies in the server
            await asyncio.sleep(0.05)
