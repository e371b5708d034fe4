"""Policies from an API that lists in pages, forgets its history, falls silent, refuses and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from consumer.adapters.clock import ManualClock
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.watching import Pace, Watching
from consumer.core.policy import Trigger
from consumer.core.service import ServiceKey
from consumer.elastiservice import FINALIZER
from consumer.ports import PolicyEntry, PolicyGone
from tests.adapters.kubernetes_api import ALL, FakeApi, refused, serving

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
WEB = ServiceKey("shop", "web")
Change = PolicyEntry | PolicyGone


def check(trigger: Trigger) -> Sequence[tuple[str, str]]:
    return () if trigger.type == "prometheus" else [("type", "is unknown; write prometheus")]


def spec(service: str = "web", *, trigger: str = "prometheus", cooldown: int = 60) -> dict[str, object]:
    return {
        "service": service,
        "cooldownPeriod": cooldown,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
        "triggers": [{"type": trigger, "metadata": {"query": "up", "threshold": "1"}}],
    }


class Hasty(ManualClock):
    """A clock whose sleeps are over at once: what is tried again after a while is tried again now."""

    async def sleep(self, length: timedelta) -> None:
        self.slept.append(length)
        await asyncio.sleep(0)

    def __init__(self) -> None:
        super().__init__(T0)
        self.slept: list[timedelta] = []


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving() as running:
        yield running


@asynccontextmanager
async def running(
    api: FakeApi, *namespaces: str, quiet: timedelta = timedelta(seconds=10), clock: ManualClock | None = None
) -> AsyncIterator[KubernetesPolicies]:
    """Follow the API while the block runs."""
    client = Api(Access(api.url))
    watching = Watching(client, clock or Hasty(), lambda: 1.0, Pace(turn=timedelta(seconds=5), quiet=quiet))
    policies = KubernetesPolicies(watching, check, namespaces=namespaces)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(policies.run())
        yield policies
        task.cancel()
    await client.close()


async def until(changes: AsyncIterator[Change], wanted: Callable[[Change], bool]) -> Change:
    async for change in changes:
        if wanted(change):
            return change
    pytest.fail("the changes ended")


async def eventually(holds: Callable[[], bool], clock: ManualClock | None = None) -> None:
    """Wait for what shows in no change, while time passes."""
    async with asyncio.timeout(10):
        while not holds():
            if clock is not None:
                clock.advance(timedelta(minutes=1))
            await asyncio.sleep(0.01)


def cooled(seconds: int, key: ServiceKey = WEB) -> Callable[[Change], bool]:
    def seen(change: Change) -> bool:
        policy = change.policy
        length = timedelta(seconds=seconds)
        return (
            isinstance(change, PolicyEntry) and change.key == key and policy is not None and policy.cooldown == length
        )

    return seen


def gone(change: Change) -> bool:
    return isinstance(change, PolicyGone)


async def test_nothing_is_whole_before_the_first_list(api: FakeApi) -> None:
    policies = KubernetesPolicies(Watching(Api(Access(api.url)), Hasty(), lambda: 1.0), check)
    assert not policies.whole()
    assert policies.entries() == {}


async def test_all_pages_make_the_list(api: FakeApi) -> None:
    api.page = 3
    for number in range(10):
        api.create(f"web-{number}", spec(f"web-{number}"))
    async with running(api) as policies:
        await policies.listed()
        assert len(policies.entries()) == 10
        assert policies.whole()
    assert [path for method, path in api.requests if method == "GET"][:4] == [ALL] * 4


async def test_a_new_an_edited_and_a_deleted_resource_are_seen(api: FakeApi) -> None:
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        api.create("web", spec())
        await until(changes, cooled(60))
        api.edit("web", spec(cooldown=50))
        await until(changes, cooled(50))
        api.delete("web")
        await until(changes, gone)
        assert policies.entries() == {}


async def test_one_bad_resource_blocks_no_other_and_says_what_to_write(api: FakeApi) -> None:
    api.create("api", spec("api", trigger="prometeus"))
    api.create("web", spec())
    async with running(api) as policies:
        await policies.listed()
        entries = policies.entries()
        assert entries[WEB].policy is not None
        assert entries[ServiceKey("shop", "api")].policy is None
        assert [problem.message for problem in policies.problems()] == ["is unknown; write prometheus"]
        assert policies.whole()


async def test_an_invalid_edit_leaves_the_last_valid_one_in_force_until_it_is_mended(api: FakeApi) -> None:
    api.create("web", spec())
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        api.edit("web", spec(trigger="prometeus", cooldown=10))
        entry = await until(changes, lambda change: isinstance(change, PolicyEntry) and bool(change.problems))
        assert cooled(60)(entry)
        api.edit("web", spec(cooldown=20))
        await until(changes, cooled(20))


async def test_a_history_that_was_forgotten_is_listed_anew(api: FakeApi) -> None:
    api.create("web", spec())
    api.create("api", spec("api"))
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        api.silent = True
        api.delete("api")
        api.edit("web", spec(cooldown=50))
        api.compact()
        api.silent = False
        await api.break_watches()
        await until(changes, gone)
        assert cooled(50)(policies.entries()[WEB])
        assert policies.whole()


async def test_a_watch_that_breaks_goes_on_where_it_was(api: FakeApi) -> None:
    api.create("web", spec())
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        api.edit("web", spec(cooldown=50))
        await until(changes, cooled(50))
        lists = api.requests.count(("GET", ALL))
        await api.break_watches()
        api.edit("web", spec(cooldown=40))
        await until(changes, cooled(40))
        # One request more, which is the new watch.
        assert api.requests.count(("GET", ALL)) == lists + 1


async def test_a_watch_that_falls_silent_is_left_for_a_new_one(api: FakeApi) -> None:
    api.create("web", spec())
    async with running(api, quiet=timedelta(seconds=0.2)) as policies:
        await policies.listed()
        changes = policies.changes()
        api.silent = True
        api.edit("web", spec(cooldown=50))
        # Whatever watch is there by now, this one says nothing any more.
        api.silent = False
        await until(changes, cooled(50))


async def test_a_server_that_is_overloaded_is_asked_again_later_and_later(api: FakeApi) -> None:
    clock = Hasty()
    api.create("web", spec())
    api.fail(*(refused(503) for _ in range(3)))
    async with running(api, clock=clock) as policies:
        await policies.listed()
        assert policies.whole()
    assert clock.slept[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]


async def test_a_proxy_that_ends_every_watch_at_once_is_not_asked_in_a_frenzy(api: FakeApi) -> None:
    api.create("web", spec())
    clock = Hasty()
    # The list, four watches without a word, and all of it again.
    api.fail(None, *(web.Response() for _ in range(4)))
    async with running(api, clock=clock) as policies:
        await policies.listed()
        changes = policies.changes()
        await eventually(lambda: not api.failures)
        api.edit("web", spec(cooldown=50))
        await until(changes, cooled(50))
    assert clock.slept[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]


async def test_a_server_that_does_not_know_its_own_versions_any_more_is_listed_anew(api: FakeApi) -> None:
    api.create("web", spec())
    api.fail(None, *(refused(504, "Too large resource version") for _ in range(4)))
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        await eventually(lambda: not api.failures)
        api.edit("web", spec(cooldown=50))
        await until(changes, cooled(50))
        assert policies.whole()
        # A list, four watches in vain, a list, a watch.
        assert api.requests == [("GET", ALL)] * 7


async def test_a_page_that_is_lost_makes_no_list(api: FakeApi) -> None:
    api.page = 1
    api.create("api", spec("api"))
    api.create("web", spec())
    api.fail(None, refused(500, "etcd is away"))
    async with running(api) as policies:
        await policies.listed()
        assert len(policies.entries()) == 2


async def test_what_is_not_whole_any_more_says_so_and_keeps_what_it_knows(api: FakeApi) -> None:
    api.create("web", spec())
    clock = ManualClock(T0)
    async with running(api, clock=clock) as policies:
        await policies.listed()
        changes = policies.changes()
        api.compact()
        api.forbidden.add("")
        await api.break_watches()
        await eventually(lambda: not policies.whole(), clock)
        assert WEB in policies.entries()
        (problem,) = policies.problems()
        assert problem.where == "cluster"
        assert "forbidden" in problem.message
        api.forbidden.clear()
        api.edit("web", spec(cooldown=50))
        await eventually(policies.whole, clock)
        await until(changes, cooled(50))
        assert policies.problems() == ()


async def test_a_namespace_that_can_not_be_listed_stops_none_of_the_others(api: FakeApi) -> None:
    api.create("web", spec())
    api.create("till", spec("till"), "till")
    api.create("other", spec("other"), "other")
    api.forbidden.add("till")
    async with running(api, "shop", "till") as policies:
        await policies.listed()
        assert set(policies.entries()) == {WEB}
        assert not policies.whole()
        assert [problem.where for problem in policies.problems()] == ["namespace till"]
        api.forbidden.clear()
        changes = policies.changes()
        await until(changes, lambda change: change.key == ServiceKey("till", "till"))
        await eventually(policies.whole)


async def test_while_no_namespace_can_be_listed_nothing_is(api: FakeApi) -> None:
    api.forbidden.add("shop")
    async with running(api, "shop") as policies:
        listed = asyncio.ensure_future(policies.listed())
        await eventually(lambda: bool(policies.problems()))
        assert not listed.done()
        api.forbidden.clear()
        await listed


async def test_what_was_deleted_before_we_came_is_told_to_whoever_follows(api: FakeApi) -> None:
    api.create("web", spec(), "shop", FINALIZER)
    api.delete("web")
    async with running(api) as policies:
        await policies.listed()
        change = await anext(policies.changes())
        assert isinstance(change, PolicyGone)
        assert (change.key, change.held) == (WEB, True)
        assert policies.entries() == {}


async def test_a_resource_that_is_made_again_is_another_one(api: FakeApi) -> None:
    first = api.create("web", spec())
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        api.silent = True
        api.delete("web")
        api.create("web", spec(cooldown=30))
        api.compact()
        api.silent = False
        await api.break_watches()
        change = await until(changes, cooled(30))
        assert change.resource is not None
        assert change.resource.uid not in str(first)


async def test_what_is_not_installed_is_named_with_its_cure(api: FakeApi) -> None:
    api.fail(*(refused(404, "the server could not find the requested resource") for _ in range(2)))
    async with running(api, clock=ManualClock(T0)) as policies:
        await eventually(lambda: bool(policies.problems()))
        assert "install k8s/crd" in policies.problems()[0].message


async def test_the_resources_in_force_can_be_shown_without_their_secrets(api: FakeApi) -> None:
    content = spec()
    content["triggers"] = [
        {"type": "prometheus", "metadata": {"query": "up", "threshold": "1", "headers": {"Authorization": "hidden"}}}
    ]
    api.create("web", content)
    async with running(api) as policies:
        await policies.listed()
        assert b"hidden" not in policies.resources()[WEB].spec
        assert policies.notices() == ()


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ERROR","object":{"code":500,"message":"etcd is away"}}\n',
        b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n',
        b'{"type":"SURPRISE","object":{}}\n',
        b"<html>\n",
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}\n',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n',
    ],
)
async def test_whatever_a_watch_says_the_next_one_goes_on(api: FakeApi, line: bytes) -> None:
    api.create("web", spec())
    api.fail(None, web.Response(body=line))
    async with running(api) as policies:
        await policies.listed()
        changes = policies.changes()
        await eventually(lambda: not api.failures)
        api.edit("web", spec(cooldown=50))
        await until(changes, cooled(50))
        assert set(policies.entries()) == {WEB}


@pytest.mark.parametrize("body", [b'{"kind":"Status"}', b'{"metadata":{},"items":[{}]}', b"[]"])
async def test_what_is_no_list_of_objects_is_told_and_asked_for_again(api: FakeApi, body: bytes) -> None:
    api.create("web", spec())
    api.fail(web.Response(body=body))
    async with running(api) as policies:
        await policies.listed()
        assert set(policies.entries()) == {WEB}
        assert policies.whole()
