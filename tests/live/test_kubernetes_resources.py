"""A real API server keeps every promise that is made of status and finalizers, and shows them to people."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.clock import BrokerClock, ManualClock
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.resources import KubernetesResources, shown_of
from consumer.ports import ResourceRef, ResourceStatus, TargetForbiddenError, TargetGoneError
from tests.contracts.resources import FULL, ResourcesContract, World
from tests.live.elastiservices import following, install, namespace, one_who_may, path, resource, until

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)


class CountedApi(Api):
    """Counts what is changed through it."""

    patched = 0

    async def patch(self, path: str, body: object, kind: PatchKind) -> object:
        self.patched += 1
        return await super().patch(path, body, kind)


class RealWorld:
    """One namespace; the doors see it through the watch that the policies come from."""

    def __init__(self, api: Api, ours: CountedApi, policies: KubernetesPolicies, here: str) -> None:
        self._api = api
        self._ours = ours
        self._policies = policies
        self._here = here
        self._clock = ManualClock(T0)
        self.resources = KubernetesResources(ours, policies, self._clock)
        self.beside = KubernetesResources(ours, policies, self._clock, beside_kubeelasti=True)

    async def create(self, name: str, *finalizers: str) -> ResourceRef:
        content = resource(name)
        content["metadata"] = {"name": name, "finalizers": list(finalizers)}
        uid, _ = shown_of(await self._api.post(path(self._here), content))
        made = ResourceRef(self._here, name, uid)
        await self._seen(made)
        return made

    async def delete(self, resource: ResourceRef) -> None:
        await self._api.delete(path(self._here, resource.name))
        await self._seen(resource)

    async def status(self, resource: ResourceRef) -> Mapping[str, object]:
        return shown_of(await self._api.get(path(self._here, resource.name)))[1].status

    async def write_foreign(self, resource: ResourceRef, status: Mapping[str, object]) -> None:
        await self._api.patch(f"{path(self._here, resource.name)}/status", {"status": status}, PatchKind.MERGE)
        await self._seen(resource)

    async def end_namespace(self, namespace: str) -> None:
        await self._api.delete(f"/api/v1/namespaces/{namespace}")
        await until(lambda: self._all_leave(namespace))

    async def _all_leave(self, namespace: str) -> bool:
        match await self._api.get(path(namespace)):
            case {"items": list(items)}:
                return all(shown_of(item)[1].leaving for item in items)
            case other:
                raise AssertionError(other)

    async def finalizers(self, resource: ResourceRef) -> tuple[str, ...]:
        return shown_of(await self._api.get(path(self._here, resource.name)))[1].finalizers

    async def exists(self, resource: ResourceRef) -> bool:
        try:
            return shown_of(await self._api.get(path(self._here, resource.name)))[0] == resource.uid
        except TargetGoneError:
            return False

    async def writes(self) -> int:
        count, self._ours.patched = self._ours.patched, 0
        return count

    def later(self, by: timedelta) -> None:
        self._clock.advance(by)

    async def _seen(self, resource: ResourceRef) -> None:
        """Wait until the watch shows what is there."""
        try:
            _, there = shown_of(await self._api.get(path(self._here, resource.name)))
        except TargetGoneError:
            there = None

        async def shows() -> bool:
            shown = self._policies.shown(resource)
            return shown == there if there is None or shown is None else shown.version == there.version

        await until(shows)


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


class TestKubernetesResourcesForReal(ResourcesContract):
    @pytest.fixture
    async def world(self, admin: Access, api: Api) -> AsyncIterator[World]:
        ours = CountedApi(admin)
        async with namespace(api) as here, following(admin, here) as policies:
            yield RealWorld(api, ours, policies, here)
        await ours.close()


async def test_people_see_mode_replicas_reason_and_last_wake_at_a_glance(
    cluster: ControlPlane, admin: Access, api: Api
) -> None:
    async with namespace(api) as here, following(admin, here) as policies:
        uid, _ = shown_of(await api.post(path(here), resource()))
        await KubernetesResources(api, policies, BrokerClock()).write_status(ResourceRef(here, "web", uid), FULL)
        shown = await _kubectl(cluster, "get", "elastiservice", "-n", here)
        head, row = (line.split() for line in shown.splitlines())
        assert head == ["NAME", "READY", "MODE", "REPLICAS", "REASON", "LAST", "WAKE", "AGE"]
        assert row[:5] == ["web", "True", "full", "0", "idle"]
        wide = await _kubectl(cluster, "get", "elastiservice", "-n", here, "-o", "wide")
        assert "idle for 15m0s" in wide
        described = await _kubectl(cluster, "describe", "elastiservice", "web", "-n", here)
        assert "the policy is in force" in described


async def test_status_and_finalizers_need_these_rights_and_no_others(admin: Access, api: Api) -> None:
    group = {"apiGroups": ["elasti.truefoundry.com"]}
    async with namespace(api) as here, following(admin, here) as policies:
        may = (
            {**group, "resources": ["elastiservices"], "verbs": ["get", "patch"]},
            {**group, "resources": ["elastiservices/status"], "verbs": ["patch"]},
        )
        client = Api(await one_who_may(admin, api, here, *may))
        resources = KubernetesResources(client, policies, BrokerClock())
        uid, _ = shown_of(await api.post(path(here), resource()))
        made = ResourceRef(here, "web", uid)
        assert await resources.write_status(made, FULL) is True
        await resources.hold(made)
        await resources.let_go(made)
        looks = Api(await one_who_may(admin, api, here, {**group, "resources": ["elastiservices"], "verbs": ["get"]}))
        with pytest.raises(TargetForbiddenError, match="elastiservices/status"):
            await KubernetesResources(looks, policies, BrokerClock()).write_status(made, ResourceStatus(replicas=7))
        for one in (client, looks):
            await one.close()


async def _kubectl(plane: ControlPlane, *arguments: str) -> str:
    command = (str(plane.program("kubectl")), "--kubeconfig", str(plane.kubeconfig()), *arguments)
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await child.communicate()
    assert child.returncode == 0
    return told.decode()
