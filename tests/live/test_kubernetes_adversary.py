"""Somebody scales at random beside us: every change of ours that the API took found what it was made for."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.service import TargetRef
from consumer.ports import Change, TargetKey, TargetMovedError
from tests.bed.kube import LIMIT, Kube, Ref
from tests.bed.manifests import deployment

_MOST = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it is played."""

    admin: Access
    kube: Kube
    namespace: str


@pytest.fixture
def stage(admin: Access, kube: Kube, namespace: str) -> Stage:
    return Stage(admin, kube, namespace)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A change that the API took: under which condition, and which version it made."""

    replicas: int
    version: str | None
    made: str


@dataclass(frozen=True, slots=True)
class Stand:
    """The target at one version of it."""

    version: str
    replicas: int


class RecordingApi(Api):
    """Notes the conditions of every patch that was taken."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.accepted: list[Accepted] = []

    async def patch(self, path: str, body: object, kind: PatchKind) -> object:
        """Change an object, and note it."""
        answer = await super().patch(path, body, kind)
        assert isinstance(body, list)
        tests = {step["path"]: step["value"] for step in body if step["op"] == "test"}
        match answer:
            case {"metadata": {"resourceVersion": str(made)}}:
                self.accepted.append(
                    Accepted(tests["/spec/replicas"] or 0, tests.get("/metadata/resourceVersion"), made)
                )
            case _:
                pytest.fail("no object")
        return answer


@dataclass(slots=True)
class History:
    """Every version of one object, in order."""

    stands: list[Stand] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, kube: Kube, what: Ref) -> None:
        """Write it down, until the object is deleted."""
        async with aclosing(kube.states(what)) as states:
            async for state in states:
                if state is None:
                    return
                self.stands.append(Stand(state["metadata"]["resourceVersion"], state["spec"]["replicas"]))
                self.begun.set()

    def before(self, version: str) -> Stand:
        """What a change found."""
        return self.stands[[stand.version for stand in self.stands].index(version) - 1]


@dataclass(frozen=True, slots=True)
class Move:
    """A change of ours: how it is to differ from what we saw, and whether the version has to be that very one.

    `late`: somebody else scales between our look and our call, whatever the timing of the rest.
    """

    step: int
    exact: bool
    late: bool


MOVES = st.lists(st.builds(Move, st.integers(1, _MOST), st.booleans(), st.booleans()), min_size=4, max_size=12)
NUMBERS = st.lists(st.integers(0, _MOST), min_size=4, max_size=12)


@dataclass(frozen=True, slots=True)
class Play:
    """Our moves in one example, and how the calls of all examples ended."""

    moves: Sequence[Move]
    came: Counter[str]


async def scaled_by_us(stage: Stage, targets: KubernetesTargets, key: TargetKey, play: Play) -> None:
    what, came = Ref(key.ref.api_version, key.ref.kind, key.namespace, key.ref.name), play.came
    for move in play.moves:
        view = await targets.look(key)
        wanted = (view.replicas + move.step) % (_MOST + 1)
        if move.late:
            await stage.kube.scale(what, wanted, manager="adversary")
        change = Change(view.replicas, wanted, view.resource_version if move.exact else None)
        try:
            await targets.scale(key, change)
        except TargetMovedError:
            came["refused"] += 1
        else:
            came["accepted"] += 1


async def scaled_by_somebody(kube: Kube, what: Ref, numbers: Sequence[int]) -> None:
    for number in numbers:
        await kube.scale(what, number, manager="adversary")


@pytest.fixture
def came() -> Iterator[Counter[str]]:
    """How the calls of all examples ended; unless many were taken and many refused, nothing was shown."""
    counted: Counter[str] = Counter()
    yield counted
    assert counted["accepted"] > 20, counted
    assert counted["refused"] > 20, counted


@settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=MOVES, theirs=NUMBERS)
async def test_every_change_that_was_taken_found_what_it_was_made_for(
    stage: Stage, came: Counter[str], ours: Sequence[Move], theirs: Sequence[int]
) -> None:
    what = Ref("apps/v1", "Deployment", stage.namespace, f"web-{uuid.uuid4().hex[:8]}")
    key = TargetKey(stage.namespace, TargetRef(what.api, what.kind, what.name))
    api, clock, history = RecordingApi(stage.admin), BrokerClock(), History()
    targets = KubernetesTargets(api, Watching(api, clock, chance), clock)
    await stage.kube.apply(deployment(what.name, 1), stage.namespace)
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(history.keep(stage.kube, what))
        await history.begun.wait()
        async with asyncio.TaskGroup() as players:
            players.create_task(scaled_by_us(stage, targets, key, Play(ours, came)))
            players.create_task(scaled_by_somebody(stage.kube, what, theirs))
        await stage.kube.delete(what)
        await keeping
    await api.close()
    for accepted in api.accepted:
        found = history.before(accepted.made)
        assert found.replicas == accepted.replicas
        assert accepted.version in (None, found.version)
