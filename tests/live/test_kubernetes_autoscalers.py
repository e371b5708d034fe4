"""ScaledObjects on a real API server pass the contract of every `Autoscalers`, and their annotations are KEDA's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.autoscalers import KubernetesAutoscalers
from consumer.adapters.memory_autoscalers import AutoscalerState
from consumer.ports import AutoscalerKey, TargetForbiddenError, TargetGoneError, TargetMovedError
from tests.bed.kube import Kube, Ref, ref
from tests.bed.manifests import scaled_object
from tests.contracts.autoscalers import RUNNING, AutoscalersContract, World
from tests.live.elastiservices import admin_of, one_who_may

PAUSED = "autoscaling.keda.sh/paused"
HELD_AT = "autoscaling.keda.sh/paused-replicas"
MARK = "elasti.truefoundry.com/paused-by"
MANIFEST = scaled_object("web", target="web")


@dataclass(frozen=True, slots=True)
class RealWorld:
    """A ScaledObject of a namespace of its own, and the hands of others on it."""

    kube: Kube
    autoscalers: KubernetesAutoscalers
    key: AutoscalerKey

    @property
    def ref(self) -> Ref:
        return ref(MANIFEST, self.key.namespace)

    async def create(self) -> None:
        await self.kube.apply(MANIFEST, self.key.namespace)

    async def delete(self) -> None:
        await self.kube.delete(self.ref)

    async def pause_by_hand(self, held_at: int | None = None) -> None:
        held = {} if held_at is None else {HELD_AT: str(held_at)}
        await self.annotate({PAUSED: "true"} | held)

    async def annotate(self, notes: Mapping[str, str | None]) -> None:
        await self.kube.merge(self.ref, {"metadata": {"annotations": dict(notes)}})

    async def notes(self) -> dict[str, Any]:
        content = await self.kube.get(self.ref)
        return dict(content["metadata"].get("annotations", {}))

    async def state(self) -> AutoscalerState:
        notes = await self.notes()
        held = notes.get(HELD_AT)
        return AutoscalerState(
            paused=PAUSED in notes or held is not None,
            held_at=None if held is None else int(held),
            by=notes.get(MARK),
        )


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    yield made
    await made.close()


@pytest.fixture
def real(api: Api, kube: Kube, namespace: str) -> RealWorld:
    return RealWorld(kube, KubernetesAutoscalers(api), AutoscalerKey(namespace, "web"))


class TestKubernetesAutoscalers(AutoscalersContract):
    @pytest.fixture
    def world(self, real: RealWorld) -> World:
        return real


async def test_the_annotations_are_those_that_keda_reads_and_others_stay(real: RealWorld) -> None:
    await real.create()
    await real.annotate({"team": "shop"})
    await real.autoscalers.pause(real.key, "one")
    assert await real.notes() == {"team": "shop", PAUSED: "true", MARK: "one"}
    await real.autoscalers.pin(real.key, "one")
    assert await real.notes() == {"team": "shop", PAUSED: "true", HELD_AT: "0", MARK: "one"}
    await real.autoscalers.resume(real.key)
    assert await real.notes() == {"team": "shop"}


async def test_a_pause_that_was_ended_by_hand_leaves_no_mark_for_the_next_one(real: RealWorld) -> None:
    await real.create()
    await real.autoscalers.pause(real.key, "one")
    await real.annotate({PAUSED: None})
    await real.autoscalers.resume(real.key)
    assert await real.notes() == {}
    await real.pause_by_hand()
    with pytest.raises(TargetMovedError):
        await real.autoscalers.resume(real.key)


async def test_a_pause_that_kubeelasti_ended_by_false_is_none(real: RealWorld) -> None:
    await real.create()
    await real.annotate({PAUSED: "false"})
    await real.autoscalers.resume(real.key)
    assert await real.notes() == {PAUSED: "false"}
    await real.autoscalers.pause(real.key, "one")
    assert await real.notes() == {PAUSED: "true", MARK: "one"}


async def test_pauses_of_many_handlers_at_once_leave_the_one_of_the_last(real: RealWorld) -> None:
    await real.create()
    names = [f"command-{index}" for index in range(4)]
    await asyncio.gather(*(real.autoscalers.pause(real.key, name) for name in names))
    state = await real.state()
    assert state.paused
    assert state.by in names
    for name in set(names) - {state.by}:
        with pytest.raises(TargetMovedError):
            await real.autoscalers.pin(real.key, name)
    await real.autoscalers.pin(real.key, str(state.by))
    assert (await real.state()).held_at == 0


async def test_a_repeated_pause_writes_nothing(cluster: ControlPlane, real: RealWorld) -> None:
    await real.create()
    await real.autoscalers.pause(real.key, "one")
    mark = cluster.audit_mark()
    await real.autoscalers.pause(real.key, "one")
    verbs = [entry.verb for entry in await cluster.audit(mark) if entry.namespace == real.key.namespace]
    assert verbs == ["get"]


async def test_a_missing_right_is_named(admin: Access, api: Api, real: RealWorld) -> None:
    await real.create()
    reading = {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get"]}
    who = Api(await one_who_may(admin, api, real.key.namespace, reading))
    with pytest.raises(TargetForbiddenError, match=r"grant the handler get and patch .* cannot patch"):
        await KubernetesAutoscalers(who).pause(real.key, "one")
    await who.close()
    assert await real.state() == RUNNING


async def test_a_cluster_that_lost_keda_has_no_autoscaler_to_pause(own_cluster: ControlPlane) -> None:
    api = Api(admin_of(own_cluster))
    autoscalers, key = KubernetesAutoscalers(api), AutoscalerKey("default", "web")
    async with Kube(own_cluster) as kube:
        await kube.apply(MANIFEST, "default")
        await autoscalers.pause(key, "one")
        definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh"
        await api.delete(definition)
        async with asyncio.timeout(60):
            while await exists(api, definition):
                continue
    for call in (autoscalers.pin, autoscalers.resume, autoscalers.pause):
        with pytest.raises(TargetGoneError):
            await call(key, "one")
    await api.close()


async def exists(api: Api, path: str) -> bool:
    try:
        await api.get(path)
    except TargetGoneError:
        return False
    return True
