"""What becomes of commands and of the watch when a real API server has a bad day: nothing is lost or scaled wrongly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from consumer.adapters.control_plane import AuditEntry, ControlPlane
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.core.outcome import Command
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Change, TargetBusyError, TargetInvalidError, TargetKey, TargetView
from schemas.scale_result import Phase, ScaleResult
from tests.bed import proxy
from tests.bed.kube import Deed, Kube, Ref, ref
from tests.bed.manifests import Manifest, deployment, rollout, widget
from tests.bed.proxy import Cut, Hold, Proxy, Refusal, Trouble
from tests.handler.samples import up, zero
from tests.live import valve
from tests.live.elastiservices import admin_of
from tests.live.handling import Bench, handling

DONE = (Phase.ACCEPTED, Phase.UNCHANGED)
BUSY = Refusal(429, {"Retry-After": "1"})


def target(key: ServiceKey) -> TargetKey:
    return TargetKey(key.namespace, TargetRef("apps/v1", "Deployment", key.name))


def at(replicas: int) -> Callable[[TargetView | None], bool]:
    return lambda view: view is not None and view.replicas == replicas


@dataclass(frozen=True, slots=True)
class Place:
    """A Deployment that sleeps, the bad road to its API server, and the good one of the test itself."""

    key: ServiceKey
    plane: ControlPlane
    kube: Kube
    proxy: Proxy
    road: Access

    @property
    def ref(self) -> Ref:
        return Ref("apps/v1", "Deployment", self.key.namespace, self.key.name)

    @property
    def target(self) -> TargetKey:
        return target(self.key)

    async def replicas(self) -> int:
        return int((await self.kube.get(self.ref))["spec"]["replicas"])

    async def changes(self, mark: int) -> Sequence[AuditEntry]:
        """What the API server did to the scale since then."""
        entries = await self.plane.audit(mark)
        return [
            one
            for one in entries
            if one.namespace == self.key.namespace and one.subresource == "scale" and one.writes and one.code == 200
        ]


@pytest.fixture
async def place(cluster: ControlPlane, kube: Kube, admin: Access, namespace: str) -> AsyncIterator[Place]:
    await kube.apply(deployment("web"), namespace)
    async with proxy.before(cluster) as between:
        road = replace(admin, server=between.url, secure=True)
        yield Place(ServiceKey(namespace, "web"), cluster, kube, between, road)


async def told(bench: Bench, command: Command) -> ScaleResult:
    bench.command(command)
    return await bench.answer(command)


@pytest.mark.parametrize(
    "troubles",
    [
        [BUSY],
        [Refusal(500)],
        [Refusal(503), Refusal(504)],
        [Cut.BEFORE],
        [Cut.AFTER],
        [Cut.BEFORE, BUSY, Cut.AFTER],
    ],
)
async def test_a_wake_outlives_refusals_and_resets_in_mid_call(place: Place, troubles: list[Trouble]) -> None:
    async with handling(place.road, place.key) as bench:
        mark = place.plane.audit_mark()
        place.proxy.plan("PATCH", *troubles)
        result = await told(bench, up(1, key=place.key))
        assert result.phase in DONE
        assert bench.told.calls.count("busy") == len(troubles)
    assert await place.replicas() == 1
    # A change whose answer was lost was not made a second time.
    assert len(await place.changes(mark)) == 1


@pytest.mark.parametrize("trouble", [BUSY, Refusal(500), Cut.BEFORE, Cut.AFTER])
async def test_a_sleep_whose_call_broke_off_is_made_once_or_not_at_all(place: Place, trouble: Trouble) -> None:
    await place.kube.scale(place.ref, 2)
    await place.kube.ready(place.ref, 2)
    async with handling(place.road, place.key) as bench:
        await bench.seen(place.target, lambda view: view is not None and view.ready == 2)
        mark = place.plane.audit_mark()
        place.proxy.plan("PATCH", trouble)
        view = await bench.targets.look(place.target)
        result = await told(bench, zero(1, view, key=place.key))
        assert result.phase in (*DONE, Phase.SUPERSEDED)
        assert result.replicas == await place.replicas() == 0
    assert len(await place.changes(mark)) == 1


async def test_a_sleep_that_is_delivered_again_after_a_crash_does_not_undo_a_wake(place: Place) -> None:
    await place.kube.scale(place.ref, 1)
    async with handling(place.road, place.key) as bench:
        await place.kube.ready(place.ref, 1)
        command = zero(1, await bench.targets.look(place.target), key=place.key)
        assert (await told(bench, command)).phase is Phase.ACCEPTED
    await place.kube.scale(place.ref, 1)
    async with handling(place.road, place.key) as bench:
        assert (await told(bench, command)).phase is Phase.SUPERSEDED
    assert await place.replicas() == 1


async def test_a_sleep_that_was_stalled_on_its_way_does_not_undo_what_its_successor_did(place: Place) -> None:
    await place.kube.scale(place.ref, 1)
    await place.kube.ready(place.ref, 1)
    async with handling(place.road, place.key) as bench:
        await bench.seen(place.target, lambda view: view is not None and view.ready == 1)
        stalled = Hold()
        place.proxy.plan("PATCH", stalled)
        command = zero(1, await bench.targets.look(place.target), key=place.key)
        bench.command(command)
        await stalled.came.wait()
        # The replicas are those that it expects again; only the version of the object tells.
        for replicas in (0, 1):
            await place.kube.scale(place.ref, replicas, manager="elasti")
        stalled.go.set()
        assert (await bench.answer(command)).phase is Phase.SUPERSEDED
    assert await place.replicas() == 1


async def test_a_wake_whose_call_meets_another_hand_does_not_overwrite_it(place: Place) -> None:
    async with handling(place.road, place.key) as bench:
        stalled = Hold()
        place.proxy.plan("PATCH", stalled)
        command = up(1, key=place.key)
        bench.command(command)
        await stalled.came.wait()
        await place.kube.scale(place.ref, 5, manager="maria")
        stalled.go.set()
        assert (await bench.answer(command)).phase is Phase.UNCHANGED
    assert await place.replicas() == 5


async def test_a_target_that_is_gone_is_told_and_one_of_its_name_is_another(place: Place) -> None:
    await place.kube.scale(place.ref, 1)
    await place.kube.ready(place.ref, 1)
    async with handling(place.road, place.key) as bench:
        old = zero(2, await bench.targets.look(place.target), key=place.key)
        await place.kube.delete(place.ref)
        await bench.seen(place.target, lambda view: view is None)
        gone = await told(bench, up(1, key=place.key))
        assert gone.phase is Phase.FAILED
        assert gone.error is not None
        assert gone.error.code == "gone"
        assert "create it, or correct" in gone.error.message
        await place.kube.apply(deployment("web", 1), place.key.namespace)
        assert (await told(bench, old)).phase is Phase.SUPERSEDED
    assert await place.replicas() == 1


def rights(namespace: str, user: str) -> list[Manifest]:
    group, here = "rbac.authorization.k8s.io", {"name": "handler", "namespace": namespace}
    watching = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]}
    scaling = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": here, "rules": [watching, scaling]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": here,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "handler"},
            "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        },
    ]


async def test_rights_that_are_taken_away_are_named_and_given_back_they_serve(place: Place) -> None:
    user = place.plane.user(f"handler-{place.key.namespace}")
    role, binding = rights(place.key.namespace, user.name)
    deed = Deed("patch", "deployments", "apps", place.key.namespace, "scale")
    await place.kube.apply(role)
    await place.kube.apply(binding)
    await place.kube.until_may(user, deed)
    async with handling(replace(place.road, token=always(user.token)), place.key) as bench:
        await place.kube.delete(ref(binding))
        await place.kube.until_may(user, deed, allowed=False)
        refused = await told(bench, up(1, key=place.key))
        assert refused.phase is Phase.FAILED
        assert refused.error is not None
        assert refused.error.code == "forbidden"
        assert 'cannot patch resource "deployments/scale"' in refused.error.message
        assert await place.replicas() == 0
        await place.kube.apply(binding)
        await place.kube.until_may(user, deed)
        assert (await told(bench, up(2, key=place.key))).phase is Phase.ACCEPTED


def always(token: str) -> Callable[[], Awaitable[str]]:
    async def tell() -> str:
        return token

    return tell


async def test_a_watch_that_is_too_old_or_broken_is_listed_anew_and_misses_no_deletion(place: Place) -> None:
    await place.kube.apply(deployment("old"), place.key.namespace)
    old = ServiceKey(place.key.namespace, "old")
    async with handling(place.road, place.key, old) as bench:
        place.proxy.plan("GET", Refusal(410), Refusal(503), Cut.BEFORE)
        place.proxy.break_off()
        await place.kube.delete(replace(place.ref, name="old"))
        await place.kube.scale(place.ref, 3)
        await bench.seen(target(old), lambda view: view is None)
        await bench.seen(place.target, at(3))


async def test_a_watch_that_silently_dies_is_noticed_within_half_a_minute(
    cluster: ControlPlane, kube: Kube, admin: Access, place: Place
) -> None:
    door = urlsplit(cluster.url)
    async with (
        valve.before(str(door.hostname), int(door.port or 0)) as between,
        handling(replace(admin, server=f"https://127.0.0.1:{between.at}"), place.key) as bench,
    ):
        between.fall_silent()
        await kube.scale(place.ref, 4)
        async with asyncio.timeout(30):
            await bench.seen(place.target, at(4))


async def test_an_api_server_that_dies_under_load_and_comes_back_loses_no_wake(own_cluster: ControlPlane) -> None:
    keys = [ServiceKey("default", f"web-{index}") for index in range(20)]
    async with Kube(own_cluster) as kube:
        for key in keys:
            await kube.apply(deployment(key.name), key.namespace)
        async with handling(admin_of(own_cluster), *keys) as bench:
            await own_cluster.kill()
            commands = [up(index, key=key) for index, key in enumerate(keys, 1)]
            bench.command(*commands)
            while bench.told.calls.count("busy") < len(commands):
                await bench.told.next_call()
            await own_cluster.restart()
            answers = [await bench.answer(command) for command in commands]
            assert all(answer.phase in DONE for answer in answers)
            for key in keys:
                await bench.seen(target(key), at(1))
                assert (await kube.get(Ref("apps/v1", "Deployment", key.namespace, key.name)))["spec"]["replicas"] == 1


async def test_a_kind_that_is_removed_takes_its_targets_along(own_cluster: ControlPlane) -> None:
    key = ServiceKey("default", "web")
    there = TargetKey("default", TargetRef("argoproj.io/v1alpha1", "Rollout", "web"))
    async with Kube(own_cluster) as kube:
        await kube.apply(rollout("web"), "default")
        await kube.apply(deployment("web"), "default")
        async with handling(admin_of(own_cluster), key) as bench:
            bench.targets.include([there.ref])
            await bench.seen(there, at(0))
            definition = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "rollouts.argoproj.io")
            await kube.delete(definition)
            await kube.until(definition, lambda now: now is None)
            await bench.seen(there, lambda view: view is None)
            gone = await told(bench, up(1, key=key, target=there.ref))
            assert gone.phase is Phase.FAILED
            assert gone.error is not None
            assert gone.error.code in ("gone", "invalid")
            # The others are served on.
            assert (await told(bench, up(2, key=key))).phase is Phase.ACCEPTED


async def test_a_kind_is_found_and_its_scale_read_as_soon_as_the_server_answers(place: Place) -> None:
    there = TargetKey(place.key.namespace, TargetRef("bed.example/v1", "Widget", "web"))
    what = ref(await place.kube.apply(widget("web", 2), place.key.namespace))
    async with handling(place.road, place.key) as bench:
        # Its discovery, then the scale of the one that is listed.
        place.proxy.plan("GET", Refusal(503), Cut.BEFORE, None, None, Refusal(500))
        bench.targets.include([there.ref])
        await bench.seen(there, at(2))
        await place.kube.scale(what, 0)
        await bench.seen(there, at(0))


@pytest.mark.parametrize("trouble", [Refusal(500), Refusal(404), Refusal(200), Hold(), Cut.BEFORE])
async def test_one_object_whose_scale_can_not_be_read_holds_no_other_of_its_kind_up(
    place: Place, trouble: Trouble
) -> None:
    names = ("bad", "good", "later")
    there = {name: TargetKey(place.key.namespace, TargetRef("bed.example/v1", "Widget", name)) for name in names}
    objects = {name: ref(await place.kube.apply(widget(name, 2), place.key.namespace)) for name in names[:2]}
    place.proxy.spoil("/widgets/bad/scale", trouble)
    async with handling(place.road, place.key) as bench:
        bench.targets.include([there["good"].ref])
        await bench.seen(there["good"], at(2))
        # What happens after the first list is shown too: another that comes, changes, deletions, and our own wakes.
        objects["later"] = ref(await place.kube.apply(widget("later", 0), place.key.namespace))
        await bench.seen(there["later"], at(0))
        await bench.targets.scale(there["later"], Change(expected=0, wanted=4))
        await bench.seen(there["later"], at(4))
        await place.kube.scale(objects["good"], 5)
        await bench.seen(there["good"], at(5))
        await place.kube.delete(objects["good"])
        await bench.seen(there["good"], lambda view: view is None)
        assert there["bad"] not in bench.views
        place.proxy.spoil("/widgets/bad/scale", None)
        if isinstance(trouble, Hold):
            trouble.go.set()
        await bench.seen(there["bad"], at(2))


async def test_how_long_the_server_wants_to_be_left_alone_is_heard(place: Place) -> None:
    api = Api(place.road)
    place.proxy.plan("GET", Refusal(429, {"Retry-After": "7"}))
    with pytest.raises(TargetBusyError) as busy:
        await api.get("/version")
    assert busy.value.retry_after == timedelta(seconds=7)
    await api.close()


async def test_a_number_that_the_kind_does_not_allow_is_no_condition_that_failed(admin: Access, kube: Kube) -> None:
    # Asking again would not help.
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad-days"}}
    await kube.apply(manifest, "default")
    api = Api(admin)
    label = [{"op": "add", "path": "/metadata/labels", "value": {"a": "no label!"}}]
    with pytest.raises(TargetInvalidError, match="label"):
        await api.patch("/api/v1/namespaces/default/configmaps/bad-days", label, PatchKind.JSON)
    await api.close()
