"""What we say on a resource goes to that very one, once, and past whoever else writes on it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.clock import ManualClock
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.resources import KubernetesResources, Shown, shown_of
from consumer.elastiservice import FINALIZER
from consumer.ports import (
    Condition,
    ResourceRef,
    ResourceStatus,
    TargetBusyError,
    TargetForbiddenError,
    TargetInvalidError,
    Truth,
)
from tests.adapters.kubernetes_api import FakeApi, refused, serving
from tests.contracts.resources import FULL, ResourcesContract, World

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPEC = {"service": "web"}


class Sight:
    """A watch that shows what it is told to."""

    def __init__(self) -> None:
        self.seen: dict[ResourceRef, Shown] = {}

    def shown(self, resource: ResourceRef) -> Shown | None:
        return self.seen.get(resource)


class FakeWorld:
    """The server, and the doors to it; their watch lags until it is told to look."""

    def __init__(self, api: FakeApi, client: Api) -> None:
        self.api = api
        self.sight = Sight()
        self._clock = ManualClock(T0)
        self.resources = KubernetesResources(client, self.sight, self._clock)
        self.beside = KubernetesResources(client, self.sight, self._clock, beside_kubeelasti=True)

    async def create(self, name: str, *finalizers: str) -> ResourceRef:
        self.api.create(name, SPEC, "shop", *finalizers)
        return self.look(name)

    def look(self, name: str) -> ResourceRef:
        content = self.api.objects["shop", name]
        uid, shown = shown_of(content)
        self.sight.seen[ResourceRef("shop", name, uid)] = shown
        return ResourceRef("shop", name, uid)

    async def delete(self, resource: ResourceRef) -> None:
        self.api.delete(resource.name)
        if await self.exists(resource):
            self.look(resource.name)
        else:
            self.sight.seen.pop(resource)

    async def end_namespace(self, namespace: str) -> None:
        self.api.namespaces[namespace]["deletionTimestamp"] = "2026-01-05T13:00:00Z"
        for place, name in list(self.api.objects):
            if place == namespace:
                self.api.delete(name, namespace)
                self.look(name)

    async def status(self, resource: ResourceRef) -> Mapping[str, object]:
        return shown_of(self.api.objects["shop", resource.name])[1].status

    async def write_foreign(self, resource: ResourceRef, status: Mapping[str, object]) -> None:
        self.api.write_status(resource.name, status)
        self.look(resource.name)

    async def finalizers(self, resource: ResourceRef) -> tuple[str, ...]:
        return shown_of(self.api.objects["shop", resource.name])[1].finalizers

    async def exists(self, resource: ResourceRef) -> bool:
        content = self.api.objects.get(("shop", resource.name))
        return content is not None and shown_of(content)[0] == resource.uid

    async def writes(self) -> int:
        count = sum(method == "PATCH" for method, _ in self.api.requests)
        self.api.requests.clear()
        return count

    def later(self, by: timedelta) -> None:
        self._clock.advance(by)


@pytest.fixture
async def world() -> AsyncIterator[FakeWorld]:
    async with serving() as api:
        client = Api(Access(api.url))
        yield FakeWorld(api, client)
        await client.close()


class TestKubernetesResources(ResourcesContract):
    @pytest.fixture
    def world(self, world: FakeWorld) -> World:
        return world


async def test_a_watch_that_shows_it_all_saves_every_call(world: FakeWorld) -> None:
    resource = await world.create("web")
    await world.resources.write_status(resource, FULL)
    world.look("web")
    world.api.requests.clear()
    assert await world.resources.write_status(resource, FULL) is False
    assert world.api.requests == []


async def test_a_watch_that_lags_makes_nothing_be_written_twice(world: FakeWorld) -> None:
    resource = await world.create("web")
    for _ in range(3):
        await world.resources.write_status(resource, FULL)
    assert await world.writes() == 1


async def test_a_foreign_condition_that_the_watch_has_not_shown_yet_is_not_lost(world: FakeWorld) -> None:
    resource = await world.create("web")
    await world.resources.write_status(resource, FULL)
    theirs = {"type": "Theirs", "status": "True", "reason": "So", "message": "", "lastTransitionTime": "x"}
    listed = (await world.status(resource))["conditions"]
    assert isinstance(listed, list)
    world.api.write_status("web", {"conditions": [*listed, theirs]})
    told = Condition("Ready", Truth.FALSE, "InvalidPolicy", "write it like this")
    assert await world.resources.write_status(resource, ResourceStatus(conditions=(told,))) is True
    conditions = (await world.status(resource))["conditions"]
    assert isinstance(conditions, list)
    assert [(one["type"], one["status"]) for one in conditions] == [
        ("Ready", "False"),
        ("Active", "False"),
        ("Theirs", "True"),
    ]


async def test_an_empty_status_is_as_good_as_none(world: FakeWorld) -> None:
    resource = await world.create("web")
    world.api.write_status("web", {})
    assert await world.resources.write_status(resource, FULL) is True
    assert (await world.status(resource))["replicas"] == 0


async def test_a_resource_that_the_watch_does_not_know_yet_is_looked_at(world: FakeWorld) -> None:
    resource = await world.create("web")
    world.sight.seen.clear()
    assert await world.resources.write_status(resource, FULL) is True
    await world.resources.hold(resource)
    assert await world.finalizers(resource) == (FINALIZER,)


async def test_finalizers_that_somebody_else_changed_meanwhile_are_kept(world: FakeWorld) -> None:
    resource = await world.create("web")
    world.api.objects["shop", "web"]["metadata"] |= {"finalizers": ["example.com/backup"]}  # type: ignore[operator]
    await world.resources.hold(resource)
    assert await world.finalizers(resource) == ("example.com/backup", FINALIZER)


async def test_somebody_who_is_always_quicker_is_left_alone_for_a_while(world: FakeWorld) -> None:
    resource = await world.create("web")
    for _ in range(5):
        world.api.fail(refused(422), None)
    with pytest.raises(TargetBusyError, match="finalizers"):
        await world.resources.hold(resource)
    for _ in range(5):
        world.api.fail(refused(409), None)
    with pytest.raises(TargetBusyError, match="status"):
        await world.resources.write_status(resource, FULL)


async def test_a_right_that_is_missing_is_told(world: FakeWorld) -> None:
    resource = await world.create("web")
    world.api.fail(refused(403, 'cannot patch resource "elastiservices/status"'))
    with pytest.raises(TargetForbiddenError, match="cannot patch"):
        await world.resources.write_status(resource, FULL)


async def test_an_overloaded_server_says_when_to_come_back(world: FakeWorld) -> None:
    resource = await world.create("web")
    world.api.fail(refused(429, "slow down", **{"Retry-After": "7"}))
    with pytest.raises(TargetBusyError) as caught:
        await world.resources.write_status(resource, FULL)
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_writes_of_many_resources_do_not_mix(world: FakeWorld) -> None:
    resources = [await world.create(f"web-{number}") for number in range(5)]
    statuses = [ResourceStatus(replicas=number) for number in range(5)]
    await asyncio.gather(*(map(world.resources.write_status, resources, statuses)))
    assert [(await world.status(one))["replicas"] for one in resources] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("content", [None, [], {}, {"metadata": {"uid": "u"}}])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(TargetInvalidError, match="no object"):
        shown_of(content)


def test_the_later_of_two_looks_counts() -> None:
    old, new, odd = Shown("9", (), {}), Shown("10", (), {}), Shown("x", (), {})
    assert old.newer(new) is new
    assert new.newer(old) is new
    assert old.newer(None) is old
    assert odd.newer(new) is odd


async def test_a_namespace_that_is_gone_was_deleted(world: FakeWorld) -> None:
    assert await world.resources.namespace_ends("bank")
