"""The rights of the manifests, one by one: each is used by an adapter, which is refused without it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.adapters.kubernetes.autoscalers import KubernetesAutoscalers
from consumer.adapters.kubernetes.notices import KubernetesNotices
from consumer.adapters.kubernetes.resources import KubernetesResources, Shown
from consumer.adapters.kubernetes.switches import KubernetesSwitches
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Appeared, Broken, Watching, Whole
from consumer.core.service import Mode, TargetRef
from consumer.elastiservice import API_VERSION
from consumer.ports import (
    AutoscalerKey,
    Change,
    Notice,
    ResourceRef,
    ResourceStatus,
    Right,
    TargetError,
    TargetForbiddenError,
    TargetKey,
)
from tests.bed.kube import Kube, ref
from tests.bed.manifests import Manifest, deployment, rollout, scaled_object, statefulset
from tests.contracts.switches import freeze
from tests.k8s.manifests import granted
from tests.live.elastiservices import Content, one_who_may, path, resource, until

_AT = datetime(2026, 1, 1, tzinfo=UTC)
# Read by nobody: who may read it has all the other rights of the same role, too.
_CANARY: Content = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["default"], "verbs": ["get"]}


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace with one object of every kind, the administrator, and somebody whose rights are under test."""

    namespace: str
    kube: Kube
    uid: str
    admin: Api
    api: Api

    def watching(self) -> Watching:
        return Watching(self.api, BrokerClock(), chance)

    def resource(self) -> ResourceRef:
        return ResourceRef(self.namespace, "web", self.uid)

    def resources(self) -> KubernetesResources:
        return KubernetesResources(self.api, Unwatched(), BrokerClock())

    def targets(self) -> KubernetesTargets:
        return KubernetesTargets(self.api, self.watching(), BrokerClock())


class Unwatched:
    """Sees nothing, as at the start: every look is a request."""

    def shown(self, resource: ResourceRef) -> Shown | None:  # noqa: ARG002 - of whatever it is asked
        return None


Act = Callable[[Place], Awaitable[object]]


def follows(collection: str, manifest: Manifest) -> Act:
    """Lists, and then sees a change by the watch."""

    async def act(place: Place) -> None:
        listed = False
        async for event in place.watching().follow(collection.format(ns=place.namespace)):
            match event:
                case Broken(error):
                    raise error
                case Whole():
                    listed = True
                    note = {"metadata": {"annotations": {"seen": uuid.uuid4().hex}}}
                    await place.kube.merge(ref(manifest, place.namespace), note)
                case Appeared() if listed:
                    return
                case _:
                    continue

    return act


def looks(target: TargetRef) -> Act:
    async def act(place: Place) -> None:
        await place.targets().look(TargetKey(place.namespace, target))

    return act


def wakes(target: TargetRef) -> Act:
    async def act(place: Place) -> None:
        key = TargetKey(place.namespace, target)
        targets = place.targets()
        async with asyncio.TaskGroup() as tasks:
            # Its own picture is where the answer of a change is completed from.
            watching = tasks.create_task(targets.run())
            try:
                await targets.scale(key, Change(expected=0, wanted=1))
            finally:
                watching.cancel()

    return act


async def holds(place: Place) -> None:
    await place.resources().hold(place.resource())


async def says(place: Place) -> None:
    await place.resources().write_status(place.resource(), ResourceStatus(mode=Mode.FULL, replicas=0))


async def tells_twice(place: Place) -> None:
    notices = KubernetesNotices(place.api)
    for _ in range(2):
        await notices.tell(Notice(place.resource(), "Woken", "by a request"), count=1, first=_AT, last=_AT)


async def pauses(place: Place) -> None:
    await KubernetesAutoscalers(place.api).pause(AutoscalerKey(place.namespace, "web"), "command")


async def follows_switches(place: Place) -> None:
    switches = KubernetesSwitches(place.api, place.watching(), place.namespace, "default")
    others = KubernetesSwitches(place.admin, place.watching(), place.namespace, "default")
    await others.apply([freeze()])
    seen = 0
    async for _ in switches.follow():
        seen += 1
        if seen > 1:
            return
        await others.apply([replace(freeze(), why="again")])


_WEB = resource()
_KINDS = {
    "deployments": (TargetRef("apps/v1", "Deployment", "web"), deployment("web")),
    "statefulsets": (TargetRef("apps/v1", "StatefulSet", "web"), statefulset("web")),
    "rollouts": (TargetRef("argoproj.io/v1alpha1", "Rollout", "web"), rollout("web")),
}


def act_of(right: Right) -> Act:
    """What is done with a right; one that nothing is done with has no place in a role."""
    if right.resource in _KINDS:
        target, manifest = _KINDS[right.resource]
        collection = f"/apis/{target.api_version}/namespaces/{{ns}}/{right.resource}"
        acts = {
            ("get", ""): looks(target),
            ("list", ""): follows(collection, manifest),
            ("watch", ""): follows(collection, manifest),
            ("patch", "scale"): wakes(target),
        }
        return acts[right.verb, right.subresource]
    elastiservices = follows(f"/apis/{API_VERSION}/namespaces/{{ns}}/elastiservices", _WEB)
    others: Mapping[tuple[str, str, str], Act] = {
        ("list", "elastiservices", ""): elastiservices,
        ("watch", "elastiservices", ""): elastiservices,
        ("get", "elastiservices", ""): holds,
        ("patch", "elastiservices", ""): holds,
        ("patch", "elastiservices", "status"): says,
        ("create", "events", ""): tells_twice,
        ("patch", "events", ""): tells_twice,
        ("get", "scaledobjects", ""): pauses,
        ("patch", "scaledobjects", ""): pauses,
        ("list", "configmaps", ""): follows_switches,
        ("watch", "configmaps", ""): follows_switches,
    }
    return others[right.verb, right.resource, right.subresource]


def rule(right: Right) -> Content:
    """The rule that grants it, and nothing else."""
    plural = "/".join(part for part in (right.resource, right.subresource) if part)
    named: Content = {"resourceNames": [right.name]} if right.name else {}
    return {"apiGroups": [right.group], "resources": [plural], "verbs": [right.verb], **named}


EVERY = [(role, right) for role in ("worker", "handler", "gateway") for right in sorted(granted(role), key=str)]


@pytest.fixture
async def furnished(kube: Kube, namespace: str) -> str:
    """A namespace with one object of every kind; the uid of its ElastiService."""
    workloads = (deployment("web"), statefulset("web"), rollout("web"))
    for manifest in (*workloads, scaled_object("web", target="web")):
        await kube.apply(manifest, namespace)
    made = await kube.apply(_WEB, namespace)
    uid: str = made["metadata"]["uid"]
    return uid


@pytest.fixture
async def anyone(
    admin: Access, kube: Kube, namespace: str, furnished: str
) -> AsyncIterator[Callable[[set[Right]], Awaitable[Place]]]:
    """Make somebody who has these rights in the namespace."""
    made = [Api(admin)]

    async def make(rights: set[Right]) -> Place:
        access = await one_who_may(admin, made[0], namespace, _CANARY, *(rule(right) for right in rights))
        api = Api(access)
        made.append(api)

        async def effective() -> bool:
            try:
                await api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            except TargetError as error:
                # Made by a controller, a moment after the namespace.
                return not isinstance(error, TargetForbiddenError)
            return True

        await until(effective)
        return Place(namespace, kube, furnished, made[0], api)

    yield make
    await made[0].patch(path(namespace, "web"), {"metadata": {"finalizers": None}}, PatchKind.MERGE)
    for api in made:
        await api.close()


@pytest.mark.parametrize(("role", "right"), EVERY, ids=str)
async def test_each_right_of_a_role_is_used_and_missed(
    anyone: Callable[[set[Right]], Awaitable[Place]], role: str, right: Right
) -> None:
    everything = set(granted(role))
    act = act_of(right)
    async with asyncio.timeout(30):
        with pytest.raises((TargetForbiddenError, ExceptionGroup)) as refused:
            await act(await anyone(everything - {right}))
        assert not isinstance(refused.value, ExceptionGroup) or refused.group_contains(TargetForbiddenError)
        await act(await anyone(everything))


def test_every_kind_that_the_handler_may_scale_is_in_the_table() -> None:
    scaled = {right.resource for right in granted("handler") if right.subresource == "scale"}
    assert scaled == set(_KINDS)
