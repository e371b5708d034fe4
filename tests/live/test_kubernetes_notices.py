"""Events on a real API server pass the contract of every `Notices`, and `kubectl describe` shows them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.notices import KubernetesNotices
from consumer.adapters.memory_notices import ToldNotice
from consumer.core.service import TargetRef
from consumer.ports import Notice, ResourceRef, TargetForbiddenError, TargetKey
from tests.bed.kube import Kube
from tests.bed.manifests import deployment
from tests.contracts.notices import AT, NoticesContract, World
from tests.live.elastiservices import install, one_who_may, path, resource

TELLING = {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}


@dataclass(frozen=True, slots=True)
class RealWorld:
    """The Events of a namespace, written by two that may do no more than that."""

    admin: Api
    notices: KubernetesNotices
    another: KubernetesNotices
    namespace: str

    async def told(self) -> Sequence[ToldNotice]:
        match await self.admin.get(events(self.namespace)):
            case {"items": list(items)}:
                return [told(item) for item in items]
            case other:
                raise AssertionError(other)


def events(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/events"


def told(event: dict[str, Any]) -> ToldNotice:
    subject = event["involvedObject"]
    about: ResourceRef | TargetKey
    uid = None
    if subject["kind"] == "ElastiService":
        about = ResourceRef(subject["namespace"], subject["name"], subject["uid"])
    else:
        uid = subject.get("uid")
        about = TargetKey(subject["namespace"], TargetRef(subject["apiVersion"], subject["kind"], subject["name"]))
    notice = Notice(about, event["reason"], event["message"], event["type"] == "Warning", uid)
    first, last = (datetime.fromisoformat(event[name]) for name in ("firstTimestamp", "lastTimestamp"))
    return ToldNotice(notice, event["count"], first, last)


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    yield made
    await made.close()


@pytest.fixture
async def real(admin: Access, api: Api, namespace: str) -> AsyncIterator[RealWorld]:
    who = Api(await one_who_may(admin, api, namespace, TELLING))
    yield RealWorld(api, KubernetesNotices(who), KubernetesNotices(who), namespace)
    await who.close()


class TestKubernetesNotices(NoticesContract):
    @pytest.fixture
    def world(self, real: RealWorld) -> World:
        return real


async def test_people_read_them_with_kubectl_describe(cluster: ControlPlane, kube: Kube, real: RealWorld) -> None:
    await install(real.admin)
    service = uid(await real.admin.post(path(real.namespace), resource("web")))
    workload = uid(await kube.apply(deployment("web"), real.namespace))
    target = TargetKey(real.namespace, TargetRef("apps/v1", "Deployment", "web"))
    now = datetime.now(UTC)
    for notice in (
        Notice(ResourceRef(real.namespace, "web", service), "Slept", "quiet for 15 minutes: slept"),
        Notice(target, "Contested", "somebody sets replicas back", warning=True, target_uid=workload),
        Notice(ResourceRef(real.namespace, "web", "another-uid"), "Slept", "of the one before"),
    ):
        await real.notices.tell(notice, count=3, first=now - timedelta(minutes=5), last=now)
    shown = await described(cluster, real.namespace, "elastiservice")
    assert "quiet for 15 minutes: slept" in shown
    assert "(x3 over" in shown
    assert "elasti" in shown
    assert "of the one before" not in shown
    shown = await described(cluster, real.namespace, "deployment")
    assert "Warning" in shown
    assert "somebody sets replicas back" in shown


async def described(cluster: ControlPlane, namespace: str, kind: str) -> str:
    arguments = ("--kubeconfig", str(cluster.kubeconfig()), "-n", namespace, "describe", kind, "web")
    kubectl = await asyncio.create_subprocess_exec(
        cluster.program("kubectl"), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await kubectl.communicate()
    assert kubectl.returncode == 0
    return output.decode()


def uid(content: object) -> str:
    match content:
        case {"metadata": {"uid": str(text)}}:
            return text
        case _:
            raise AssertionError(content)


async def test_telling_again_is_one_request(cluster: ControlPlane, real: RealWorld) -> None:
    notice = Notice(ResourceRef(real.namespace, "web", "uid-1"), "Slept", "quiet")
    mark = cluster.audit_mark()
    for _ in range(3):
        await real.notices.tell(notice, count=1, first=AT, last=AT)
    verbs = [entry.verb for entry in await cluster.audit(mark) if entry.namespace == real.namespace]
    assert verbs == ["create", "patch", "patch"]


async def test_an_event_that_the_server_forgot_is_told_anew(real: RealWorld) -> None:
    notice = Notice(ResourceRef(real.namespace, "web", "uid-1"), "Slept", "quiet")
    await real.notices.tell(notice, count=4, first=AT, last=AT)
    await real.admin.delete(events(real.namespace))
    await real.notices.tell(notice, count=1, first=AT, last=AT)
    assert [one.count for one in await real.told()] == [1]


async def test_handlers_that_tell_at_once_lose_no_count(real: RealWorld) -> None:
    notice = Notice(ResourceRef(real.namespace, "web", "uid-1"), "Slept", "quiet")
    async with asyncio.TaskGroup() as tasks:
        for door in (real.notices, real.another):
            tasks.create_task(door.tell(notice, count=5, first=AT, last=AT))
    assert [one.count for one in await real.told()] == [10]


async def test_names_and_messages_of_any_length_are_told(real: RealWorld) -> None:
    about = TargetKey(real.namespace, TargetRef("apps/v1", "Deployment", "w" * 253))
    await real.notices.tell(Notice(about, "Slept", "ü" * 5000), count=1, first=AT, last=AT)
    (one,) = await real.told()
    assert one.notice.message == "ü" * 1024


async def test_a_missing_right_is_named(admin: Access, api: Api, real: RealWorld) -> None:
    who = Api(await one_who_may(admin, api, real.namespace))
    notice = Notice(ResourceRef(real.namespace, "web", "uid-1"), "Slept", "quiet")
    with pytest.raises(TargetForbiddenError, match=r'cannot create resource \\?"events'):
        await KubernetesNotices(who).tell(notice, count=1, first=AT, last=AT)
    await who.close()
