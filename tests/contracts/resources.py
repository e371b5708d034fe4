"""What every implementation of `Resources` promises: the twin in memory and a real API server pass the very same."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from consumer.core.service import Mode
from consumer.elastiservice import FINALIZER, KUBEELASTI_FINALIZER
from consumer.ports import (
    Condition,
    LastDecision,
    ResourceRef,
    Resources,
    ResourceStatus,
    TargetGoneError,
    Truth,
)

AT = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
READY = Condition("Ready", Truth.TRUE, "Valid", "the policy is in force")
ACTIVE = Condition("Active", Truth.FALSE, "Asleep", "asleep since 12:00")
FULL = ResourceStatus(
    conditions=(READY, ACTIVE),
    mode=Mode.FULL,
    replicas=0,
    previous_replicas=3,
    decision=LastDecision("zero", "idle", "idle for 15m0s", AT),
    last_scaled_up=AT - timedelta(hours=1),
    observed_generation=1,
)


class World(Protocol):
    """The cluster and everybody else in it."""

    @property
    def resources(self) -> Resources:
        """The door under test."""

    @property
    def beside(self) -> Resources:
        """The door of an installation beside KubeElasti."""

    async def create(self, name: str, *finalizers: str) -> ResourceRef:
        """Apply an ElastiService of that name."""

    async def delete(self, resource: ResourceRef) -> None:
        """Ask for its deletion."""

    async def status(self, resource: ResourceRef) -> Mapping[str, object]:
        """Its status, as JSON."""

    async def write_foreign(self, resource: ResourceRef, status: Mapping[str, object]) -> None:
        """Merge these fields into its status in somebody else's name, and let the door see it."""

    async def end_namespace(self, namespace: str) -> None:
        """Ask for the deletion of a namespace, and return when its resources are being deleted."""

    async def finalizers(self, resource: ResourceRef) -> tuple[str, ...]:
        """What holds it."""

    async def exists(self, resource: ResourceRef) -> bool:
        """Whether that very resource is there."""

    async def writes(self) -> int:
        """How many writes the API got from us since the last call."""

    def later(self, by: timedelta) -> None:
        """Let time pass."""


class ResourcesContract:
    """Subclass it, and give it a `world`."""

    @pytest.fixture
    @abstractmethod
    def world(self) -> World:
        """The implementation, and the hands that play everybody else."""

    async def test_a_status_is_written_as_people_and_kubeelasti_read_it(self, world: World) -> None:
        resource = await world.create("web")
        assert await world.resources.write_status(resource, FULL) is True
        status = await world.status(resource)
        assert {name: status[name] for name in status if name != "conditions"} == {
            "effectiveMode": "full",
            "replicas": 0,
            "previousReplicas": 3,
            "lastDecision": {
                "action": "zero",
                "code": "idle",
                "message": "idle for 15m0s",
                "at": "2026-01-05T12:00:00.250Z",
            },
            "lastScaledUpTime": "2026-01-05T11:00:00.250Z",
            "observedGeneration": 1,
        }
        assert [_without_time(one) for one in _conditions(status)] == [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Valid",
                "message": "the policy is in force",
                "observedGeneration": 1,
            },
            {
                "type": "Active",
                "status": "False",
                "reason": "Asleep",
                "message": "asleep since 12:00",
                "observedGeneration": 1,
            },
        ]

    async def test_what_is_there_already_is_not_written_again(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.write_status(resource, FULL)
        await world.writes()
        world.later(timedelta(minutes=5))
        assert await world.resources.write_status(resource, FULL) is False
        assert await world.writes() == 0

    async def test_a_field_that_is_not_given_stays_as_it_is(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.write_status(resource, FULL)
        before = await world.status(resource)
        assert await world.resources.write_status(resource, ResourceStatus(replicas=2)) is True
        assert await world.status(resource) == {**before, "replicas": 2}

    async def test_a_condition_that_holds_on_keeps_the_time_since_when(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.write_status(resource, FULL)
        since = _since(await world.status(resource), "Active")
        world.later(timedelta(minutes=5))
        told = replace(ACTIVE, message="asleep since noon")
        assert await world.resources.write_status(resource, ResourceStatus(conditions=(told,))) is True
        assert _since(await world.status(resource), "Active") == since

    async def test_a_condition_that_turns_has_a_new_time(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.write_status(resource, FULL)
        before = await world.status(resource)
        world.later(timedelta(minutes=5))
        awake = Condition("Active", Truth.TRUE, "Awake", "woken by a request")
        await world.resources.write_status(resource, ResourceStatus(conditions=(awake,)))
        after = await world.status(resource)
        assert _since(after, "Active") != _since(before, "Active")
        assert _since(after, "Ready") == _since(before, "Ready")

    async def test_what_kubeelasti_writes_is_left_alone(self, world: World) -> None:
        resource = await world.create("web")
        theirs: Mapping[str, object] = {
            "mode": "proxy",
            "lastReconciledTime": "2026-01-05T12:00:00Z",
            "conditions": [
                {
                    "type": "Theirs",
                    "status": "True",
                    "reason": "So",
                    "message": "",
                    "lastTransitionTime": "2026-01-05T12:00:00Z",
                }
            ],
        }
        await world.write_foreign(resource, theirs)
        await world.resources.write_status(resource, FULL)
        status = await world.status(resource)
        assert (status["mode"], status["lastReconciledTime"]) == ("proxy", "2026-01-05T12:00:00Z")
        assert [one["type"] for one in _conditions(status)] == ["Theirs", "Ready", "Active"]

    async def test_the_last_wake_never_goes_back(self, world: World) -> None:
        resource = await world.create("web")
        await world.write_foreign(resource, {"lastScaledUpTime": "2026-01-05T14:00:00.123456789+01:00"})
        earlier = ResourceStatus(last_scaled_up=AT)
        assert await world.resources.write_status(resource, earlier) is False
        later = ResourceStatus(last_scaled_up=AT + timedelta(hours=2))
        assert await world.resources.write_status(resource, later) is True
        assert (await world.status(resource))["lastScaledUpTime"] == "2026-01-05T14:00:00.250Z"

    async def test_a_status_of_a_resource_that_is_gone_is_refused(self, world: World) -> None:
        resource = await world.create("web")
        await world.delete(resource)
        with pytest.raises(TargetGoneError, match="web"):
            await world.resources.write_status(resource, FULL)

    async def test_a_status_is_not_written_to_the_next_one_of_its_name(self, world: World) -> None:
        first = await world.create("web")
        await world.delete(first)
        second = await world.create("web")
        with pytest.raises(TargetGoneError, match="web"):
            await world.resources.write_status(first, FULL)
        assert "replicas" not in await world.status(second)

    async def test_what_is_held_is_not_gone_before_it_was_let_go(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.hold(resource)
        assert await world.finalizers(resource) == (FINALIZER,)
        await world.delete(resource)
        assert await world.exists(resource)
        await world.resources.let_go(resource)
        assert not await world.exists(resource)

    async def test_a_status_can_be_written_while_it_is_held(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.hold(resource)
        await world.delete(resource)
        assert await world.resources.write_status(resource, FULL) is True
        assert (await world.status(resource))["replicas"] == 0

    async def test_holding_and_letting_go_twice_changes_nothing(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.hold(resource)
        await world.resources.hold(resource)
        assert await world.finalizers(resource) == (FINALIZER,)
        await world.resources.let_go(resource)
        await world.resources.let_go(resource)
        assert await world.finalizers(resource) == ()

    async def test_what_is_gone_can_be_let_go_and_not_held(self, world: World) -> None:
        resource = await world.create("web")
        await world.delete(resource)
        await world.resources.let_go(resource)
        with pytest.raises(TargetGoneError, match="web"):
            await world.resources.hold(resource)

    async def test_the_next_one_of_its_name_is_neither_held_nor_let_go(self, world: World) -> None:
        first = await world.create("web")
        await world.delete(first)
        second = await world.create("web")
        await world.resources.hold(second)
        await world.resources.let_go(first)
        with pytest.raises(TargetGoneError, match="web"):
            await world.resources.hold(first)
        assert await world.finalizers(second) == (FINALIZER,)

    async def test_other_finalizers_stay_where_they_are(self, world: World) -> None:
        resource = await world.create("web", "example.com/backup")
        await world.resources.hold(resource)
        assert await world.finalizers(resource) == ("example.com/backup", FINALIZER)
        await world.resources.let_go(resource)
        assert await world.finalizers(resource) == ("example.com/backup",)

    async def test_kubeelasti_s_own_finalizer_goes_with_ours(self, world: World) -> None:
        resource = await world.create("web", KUBEELASTI_FINALIZER, "example.com/backup")
        await world.resources.hold(resource)
        await world.resources.let_go(resource)
        assert await world.finalizers(resource) == ("example.com/backup",)

    async def test_kubeelasti_s_finalizer_stays_while_it_runs_beside_us(self, world: World) -> None:
        resource = await world.create("web", KUBEELASTI_FINALIZER)
        await world.beside.hold(resource)
        await world.beside.let_go(resource)
        assert await world.finalizers(resource) == (KUBEELASTI_FINALIZER,)

    async def test_a_namespace_that_is_being_deleted_is_told_from_one_that_stays(self, world: World) -> None:
        resource = await world.create("web")
        await world.resources.hold(resource)
        before = await world.resources.namespace_ends(resource.namespace)
        await world.end_namespace(resource.namespace)
        assert (before, await world.resources.namespace_ends(resource.namespace)) == (False, True)
        # What holds it is ours to take off, there too.
        await world.resources.let_go(resource)
        assert not await world.exists(resource)


def _conditions(status: Mapping[str, object]) -> list[dict[str, object]]:
    listed = status["conditions"]
    assert isinstance(listed, list)
    return [dict(one) for one in listed]


def _since(status: Mapping[str, object], kind: str) -> object:
    return next(one["lastTransitionTime"] for one in _conditions(status) if one["type"] == kind)


def _without_time(condition: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in condition.items() if name != "lastTransitionTime"}
