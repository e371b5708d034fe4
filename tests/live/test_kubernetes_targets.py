"""Targets on a real API server pass the contract of every `Targets`, whatever their kind."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.access import from_kubeconfig
from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.adapters.kubernetes.discovery import Discovery, Kind
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.service import TargetRef
from consumer.ports import Change, TargetGoneError, TargetInvalidError, TargetKey, TargetMovedError, TargetView
from tests.bed.manifests import Manifest, deployment, rollout, statefulset, widget
from tests.contracts.targets import TargetsContract, until, until_at

DEPLOYMENT = TargetRef("apps/v1", "Deployment", "web")
STATEFUL_SET = TargetRef("apps/v1", "StatefulSet", "web")
ROLLOUT = TargetRef("argoproj.io/v1alpha1", "Rollout", "web")
WIDGET = TargetRef("bed.example/v1", "Widget", "web")
_MAKERS: Mapping[str, Callable[[str, int], Manifest]] = {
    "Deployment": deployment,
    "StatefulSet": statefulset,
    "Rollout": rollout,
    "Widget": widget,
}


def workload(ref: TargetRef, replicas: int) -> Manifest:
    """An object of that kind whose pods nobody starts, so that nothing but the test changes it."""
    made = _MAKERS[ref.kind](ref.name, replicas)
    if "template" in made["spec"]:
        made["spec"]["template"]["spec"]["nodeName"] = "nowhere"
    if ref.kind == "StatefulSet":
        # Else the second pod waits for the first to be ready.
        made["spec"]["podManagementPolicy"] = "Parallel"
    return made


@dataclass(frozen=True, slots=True)
class RealWorld:
    """A namespace of a real API server, and hands that play controllers and people in it."""

    api: Api
    targets: KubernetesTargets
    namespace: str

    async def create(self, key: TargetKey, replicas: int) -> None:
        kind = await self._kind(key)
        await self.api.post(kind.collection(key.namespace), workload(key.ref, replicas))
        await self._settled(key, "replicas", replicas)

    async def delete(self, key: TargetKey) -> None:
        # Its pods stay: on a node that is not there nobody would end them, and the next of the name takes them over.
        await self.api.delete(f"{await self._path(key)}?propagationPolicy=Orphan")
        with suppress(TargetGoneError):
            while True:
                await self.api.get(await self._path(key))

    async def scale_by_hand(self, key: TargetKey, replicas: int, manager: str) -> None:
        body = {"spec": {"replicas": replicas}}
        await self.api.patch(f"{await self._path(key)}/scale?fieldManager={manager}", body, PatchKind.MERGE)

    async def make_ready(self, key: TargetKey, ready: int) -> None:
        status = {"status": {"replicas": ready, "readyReplicas": ready, "size": ready}}
        if key.ref.api_version != "apps/v1":
            await self.api.patch(f"{await self._path(key)}/status?fieldManager=controller", status, PatchKind.MERGE)
            return
        pods = f"/api/v1/namespaces/{key.namespace}/pods"
        while len(items := await self._pods(pods, key)) < ready:
            continue
        for index, name in enumerate(items):
            condition = {"type": "Ready", "status": str(index < ready)}
            body = {"status": {"phase": "Running", "conditions": [condition]}}
            await self.api.patch(f"{pods}/{name}/status", body, PatchKind.MERGE)
        await self._settled(key, "readyReplicas", ready)

    async def _pods(self, path: str, key: TargetKey) -> list[str]:
        match await self.api.get(path, {"labelSelector": f"app={key.ref.name}"}):
            case {"items": list(items)}:
                return [item["metadata"]["name"] for item in items]
            case _:
                return []

    async def _settled(self, key: TargetKey, field: str, wanted: int) -> None:
        """Wait until the controller, where there is one, has done its part."""
        while key.ref.api_version == "apps/v1":
            match await self.api.get(await self._path(key)):
                case {"metadata": {"generation": int(asked)}, "status": {"observedGeneration": int(done)} as status}:
                    if asked == done and status.get(field, 0) == wanted:
                        return
                case _:
                    continue

    async def _path(self, key: TargetKey) -> str:
        return f"{(await self._kind(key)).collection(key.namespace)}/{key.ref.name}"

    async def _kind(self, key: TargetKey) -> Kind:
        return await Discovery(self.api).kind(key.ref)


@pytest.fixture
async def world(cluster: ControlPlane) -> AsyncIterator[RealWorld]:
    clock = BrokerClock()
    api = Api(await from_kubeconfig(clock, file=cluster.kubeconfig()))
    namespace = f"targets-{uuid.uuid4().hex[:8]}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock)
    targets.include([DEPLOYMENT, STATEFUL_SET, ROLLOUT, WIDGET])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(targets.run())
        yield RealWorld(api, targets, namespace)
        running.cancel()
    await api.delete(f"/api/v1/namespaces/{namespace}")
    await api.close()


class OnARealApiServer(TargetsContract):
    """The world is real; which kind is tested, the subclass says."""

    @pytest.fixture
    def world(self, world: RealWorld) -> RealWorld:
        return world


class TestDeployments(OnARealApiServer):
    """Deployments, whose controller is running."""


class TestStatefulSets(OnARealApiServer):
    """StatefulSets, whose controller is running."""

    @pytest.fixture
    def key(self, world: RealWorld) -> TargetKey:
        return TargetKey(world.namespace, STATEFUL_SET)


class TestRollouts(OnARealApiServer):
    """Argo's Rollouts, as far as the API goes."""

    @pytest.fixture
    def key(self, world: RealWorld) -> TargetKey:
        return TargetKey(world.namespace, ROLLOUT)


class TestWidgets(OnARealApiServer):
    """A kind that nobody knows, whose replicas are in a place of their own."""

    @pytest.fixture
    def key(self, world: RealWorld) -> TargetKey:
        return TargetKey(world.namespace, WIDGET)


async def test_a_kind_that_can_not_be_scaled_is_refused_with_what_to_do(world: RealWorld) -> None:
    for ref in (TargetRef("v1", "ConfigMap", "web"), TargetRef("nobody.example/v1", "Thing", "web")):
        with pytest.raises(TargetInvalidError, match="correct scaleTargetRef"):
            await world.targets.look(TargetKey(world.namespace, ref))


async def test_an_object_of_another_uid_is_not_put_to_sleep(world: RealWorld) -> None:
    key = TargetKey(world.namespace, WIDGET)
    await world.create(key, 1)
    before = await world.targets.look(key)
    await world.delete(key)
    await world.create(key, 1)
    with pytest.raises(TargetMovedError):
        await world.targets.scale(key, Change(expected=1, wanted=0, resource_version=before.resource_version))
    assert (await world.targets.look(key)).replicas == 1


async def test_a_woken_deployment_shows_its_ready_pod(world: RealWorld) -> None:
    key = TargetKey(world.namespace, DEPLOYMENT)
    await world.api.post(f"/apis/apps/v1/namespaces/{world.namespace}/deployments", deployment("web", 0))
    seen = world.targets.watch()
    await until_at(seen, key, 0)
    woken = await world.targets.scale(key, Change(expected=0, wanted=1))
    view = await until(seen, key)
    while not (isinstance(view, TargetView) and view.ready == 1):
        view = await until(seen, key)
    assert (view.uid, view.generation) == (woken.uid, woken.generation)
