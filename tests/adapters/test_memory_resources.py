"""The resources in memory keep the promises of the port, and fail when they are told to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory_resources import MemoryResources
from consumer.elastiservice import FINALIZER, merged
from consumer.ports import ResourceRef, ResourceStatus, TargetBusyError, TargetGoneError
from tests.contracts.resources import ResourcesContract, World

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)


class MemoryWorld:
    """One set of resources behind two doors."""

    def __init__(self) -> None:
        self._clock = ManualClock(T0)
        self.resources = MemoryResources(self._clock)
        self.beside = MemoryResources(self._clock, beside_kubeelasti=True)
        self.beside._kept = self.resources._kept  # noqa: SLF001 - two doors, one room
        self._made = 0

    async def create(self, name: str, *finalizers: str) -> ResourceRef:
        self._made += 1
        return self.resources.create(ResourceRef("shop", name, f"uid-{self._made}"), *finalizers)

    async def delete(self, resource: ResourceRef) -> None:
        self.resources.delete(resource)

    async def status(self, resource: ResourceRef) -> Mapping[str, object]:
        return self.resources.status(resource)

    async def write_foreign(self, resource: ResourceRef, status: Mapping[str, object]) -> None:
        kept = self.resources._kept[resource]  # noqa: SLF001 - somebody else's hand
        kept.status = merged(kept.status, status)

    async def end_namespace(self, namespace: str) -> None:
        self.resources.end_namespace(namespace)

    async def finalizers(self, resource: ResourceRef) -> tuple[str, ...]:
        return self.resources.finalizers(resource)

    async def exists(self, resource: ResourceRef) -> bool:
        return self.resources.exists(resource)

    async def writes(self) -> int:
        count = len(self.resources.writes)
        self.resources.writes.clear()
        return count

    def later(self, by: timedelta) -> None:
        self._clock.advance(by)


class TestMemoryResources(ResourcesContract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()


async def test_calls_fail_as_told_one_each() -> None:
    resources = MemoryResources(ManualClock(T0))
    resource = resources.create(ResourceRef("shop", "web", "uid-1"))
    resources.fail(TargetBusyError("slow"), None, TargetBusyError("slow"))
    with pytest.raises(TargetBusyError):
        await resources.write_status(resource, ResourceStatus(replicas=1))
    assert await resources.write_status(resource, ResourceStatus(replicas=1)) is True
    with pytest.raises(TargetBusyError):
        await resources.hold(resource)
    assert resources.finalizers(resource) == ()


async def test_what_is_leaving_can_not_be_held_any_more() -> None:
    resources = MemoryResources(ManualClock(T0))
    resource = resources.create(ResourceRef("shop", "web", "uid-1"), "example.com/backup")
    resources.delete(resource)
    with pytest.raises(TargetGoneError, match="deleted"):
        await resources.hold(resource)
    assert FINALIZER not in resources.finalizers(resource)
