"""Policies, their status and their Secrets on a real API server, in one namespace and in many, on good and bad days."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.adapters.kubernetes.resources import KubernetesResources
from consumer.adapters.kubernetes.secrets import KubernetesSecrets
from consumer.adapters.kubernetes.watching import Pace
from consumer.core.service import ServiceKey
from consumer.ports import PolicyEntry, PolicyGone, ResourceRef, ResourceStatus, TargetForbiddenError, TargetGoneError
from tests.live.elastiservices import DEFINITIONS, admin_of, following, install, namespace, one_who_may, path, resource
from tests.live.elastiservices import until as eventually
from tests.live.valve import before

LOOK = {"apiGroups": ["elasti.truefoundry.com"], "resources": ["elastiservices"], "verbs": ["list", "watch"]}
Change = PolicyEntry | PolicyGone


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


@pytest.fixture
async def here(api: Api) -> AsyncIterator[str]:
    async with namespace(api) as name:
        yield name


async def until(changes: AsyncIterator[Change], wanted: Callable[[Change], bool]) -> Change:
    async for change in changes:
        if wanted(change):
            return change
    pytest.fail("the changes ended")


def is_entry(change: Change) -> bool:
    return isinstance(change, PolicyEntry)


def entry_with(seconds: int) -> Callable[[Change], bool]:
    def seen(change: Change) -> bool:
        length = timedelta(seconds=seconds)
        return isinstance(change, PolicyEntry) and change.policy is not None and change.policy.cooldown == length

    return seen


def gone(change: Change) -> bool:
    return isinstance(change, PolicyGone)


async def test_a_resource_is_seen_edited_broken_mended_and_deleted(admin: Access, api: Api, here: str) -> None:
    async with following(admin, here) as policies:
        changes = policies.changes()
        await api.post(path(here), resource(cooldownPeriod=60))
        first = await until(changes, entry_with(60))
        wrong = {"spec": {"triggers": [{"type": "prometheus", "metadata": {"query": "sum(", "threshold": "1"}}]}}
        await api.patch(path(here, "web"), wrong, PatchKind.MERGE)
        broken = await until(changes, is_entry)
        assert isinstance(broken, PolicyEntry)
        assert broken.policy == first.policy
        assert [problem.field for problem in broken.problems] == ["spec.triggers[0].metadata.query"]
        right = {"spec": {"cooldownPeriod": 30, **_triggers("sum(up)")}}
        await api.patch(path(here, "web"), right, PatchKind.MERGE)
        mended = await until(changes, entry_with(30))
        assert isinstance(mended, PolicyEntry)
        assert (mended.problems, mended.generation) == ((), 3)
        await api.delete(path(here, "web"))
        ended = await until(changes, gone)
        assert (ended.policy, policies.entries()) == (mended.policy, {})


def _triggers(query: str) -> dict[str, object]:
    return {"triggers": [{"type": "prometheus", "metadata": {"query": query, "threshold": "1"}}]}


async def test_a_status_is_no_change_of_a_policy_and_is_known_all_the_same(admin: Access, api: Api, here: str) -> None:
    async with following(admin, here) as policies:
        changes = policies.changes()
        await api.post(path(here), resource())
        entry = await until(changes, is_entry)
        assert entry.resource is not None
        resources = KubernetesResources(api, policies, BrokerClock())
        assert await resources.write_status(entry.resource, ResourceStatus(replicas=3)) is True
        await api.patch(path(here, "web"), {"spec": {"cooldownPeriod": 45}}, PatchKind.MERGE)
        # What comes next is the edit: the status between was none of the followers' business.
        assert entry_with(45)(await anext(changes))
        shown = policies.shown(entry.resource)
        assert shown is not None
        assert shown.status["replicas"] == 3


async def test_a_deleted_resource_waits_until_it_is_let_go(admin: Access, api: Api, here: str) -> None:
    async with following(admin, here) as policies:
        changes = policies.changes()
        await api.post(path(here), resource())
        entry = await until(changes, is_entry)
        assert entry.resource is not None
        resources = KubernetesResources(api, policies, BrokerClock())
        await resources.hold(entry.resource)
        held = await until(changes, is_entry)
        assert isinstance(held, PolicyEntry)
        assert held.held
        await api.delete(path(here, "web"))
        leaving = await until(changes, gone)
        assert leaving == PolicyGone(entry.key, held.policy, entry.resource, held=True)
        # Whoever starts now learns of it, too.
        async with following(admin, here) as others:
            assert await anext(others.changes()) == leaving
        await resources.let_go(entry.resource)
        assert await until(changes, gone) == replace(leaving, held=False)


async def test_a_resource_that_is_made_again_under_its_name_is_another_one(admin: Access, api: Api, here: str) -> None:
    async with following(admin, here) as policies:
        changes = policies.changes()
        await api.post(path(here), resource(cooldownPeriod=60))
        first = await until(changes, entry_with(60))
        await api.delete(path(here, "web"))
        await api.post(path(here), resource(cooldownPeriod=50))
        second = await until(changes, entry_with(50))
        assert isinstance(first.resource, ResourceRef)
        assert isinstance(second.resource, ResourceRef)
        assert first.resource.uid != second.resource.uid
        assert second.policy is not None
        assert second.policy.uid == second.resource.uid


async def test_a_thousand_resources_come_in_pages(admin: Access, api: Api, here: str) -> None:
    for begin in range(0, 1_000, 50):
        made = (api.post(path(here), resource(f"web-{number}")) for number in range(begin, begin + 50))
        await asyncio.gather(*made)
    async with following(admin, here, pace=Pace(page=100)) as policies:
        assert len(policies.entries()) == 1_000
        assert policies.whole()
        assert policies.problems() == ()


async def test_a_watch_that_silently_dies_is_noticed_and_misses_nothing(admin: Access, api: Api, here: str) -> None:
    server = urlsplit(admin.server)
    async with before(server.hostname or "", server.port or 443) as valve:
        behind = replace(admin, server=f"https://127.0.0.1:{valve.at}")
        async with following(behind, here, pace=Pace(quiet=timedelta(seconds=2))) as policies:
            changes = policies.changes()
            await api.post(path(here), resource(cooldownPeriod=60))
            await until(changes, entry_with(60))
            valve.fall_silent()
            await api.patch(path(here, "web"), {"spec": {"cooldownPeriod": 50}}, PatchKind.MERGE)
            await until(changes, entry_with(50))
            assert policies.whole()


async def test_a_namespace_that_may_not_be_listed_stops_none_of_the_others(admin: Access, api: Api, here: str) -> None:
    async with namespace(api) as there:
        await api.post(path(here), resource())
        await api.post(path(there), resource())
        who = await one_who_may(admin, api, here, LOOK)
        async with following(who, here, there) as policies:
            assert set(policies.entries()) == {ServiceKey(here, "web")}
            assert not policies.whole()
            (problem,) = policies.problems()
            assert problem.where == f"namespace {there}"
            assert "forbidden" in problem.message
            # It is enough to be given the right.
            await _allow(api, here, there, who)
            await until(policies.changes(), lambda change: change.key == ServiceKey(there, "web"))


async def _allow(api: Api, home: str, namespace: str, who: Access) -> None:
    theirs = Api(who)
    review = await theirs.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", _REVIEW)
    await theirs.close()
    match review:
        case {"status": {"userInfo": {"username": str(name)}}}:
            account = name.rpartition(":")[2]
        case other:
            pytest.fail(str(other))
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    named = {"metadata": {"name": "looks", "namespace": namespace}}
    await api.post(f"{rights}/roles", {**named, "rules": [LOOK]})
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looks"}
    await api.post(f"{rights}/rolebindings", {**named, "subjects": [subject], "roleRef": role})


_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def test_a_secret_is_read_by_name_with_the_right_to_it_alone(admin: Access, api: Api, here: str) -> None:
    for name in ("prometheus", "other"):
        secret = {"metadata": {"name": name}, "stringData": {"token": "t"}}
        await api.post(f"/api/v1/namespaces/{here}/secrets", secret)
    one = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["prometheus"], "verbs": ["get"]}
    client = Api(await one_who_may(admin, api, here, one))
    secrets = KubernetesSecrets(client)
    assert await secrets.read(here, "prometheus", "token") == "t"
    with pytest.raises(TargetGoneError, match="there are: token"):
        await secrets.read(here, "prometheus", "password")
    with pytest.raises(TargetForbiddenError, match=r"resourceNames: \[other\]"):
        await secrets.read(here, "other", "token")
    await client.close()


async def test_an_api_server_that_is_killed_and_started_again_is_followed_on(own_cluster: ControlPlane) -> None:
    admin = admin_of(own_cluster)
    api = Api(admin)
    await install(api)
    async with namespace(api) as here, following(admin, here, pace=Pace(quiet=timedelta(seconds=2))) as policies:
        changes = policies.changes()
        await api.post(path(here), resource(cooldownPeriod=60))
        await until(changes, entry_with(60))
        await own_cluster.kill()
        await own_cluster.restart()
        await api.patch(path(here, "web"), {"spec": {"cooldownPeriod": 50}}, PatchKind.MERGE)
        await until(changes, entry_with(50))
        assert policies.whole()
    await api.close()


async def test_a_definition_that_is_removed_is_named_and_known_again_when_it_is_back(own_cluster: ControlPlane) -> None:
    admin = admin_of(own_cluster)
    api = Api(admin)
    await install(api)
    async with namespace(api) as here, following(admin, here) as policies:
        changes = policies.changes()
        await api.post(path(here), resource())
        first = await until(changes, is_entry)
        await api.delete(f"{DEFINITIONS}/elastiservices.elasti.truefoundry.com")
        assert (await until(changes, gone)).resource == first.resource

        async def told() -> bool:
            return any("install k8s/crd" in problem.message for problem in policies.problems())

        await eventually(told)
        assert not policies.whole()
        await install(api)
        await api.post(path(here), resource())
        second = await until(changes, is_entry)
        assert second.resource != first.resource
        assert policies.whole()
    await api.close()
