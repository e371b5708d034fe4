"""The twin in memory keeps what a cluster promises."""

import pytest

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory_targets import MemoryTargets
from consumer.ports import TargetKey
from tests.contracts.targets import TargetsContract


class MemoryWorld:
    """Plays everybody else by hand."""

    namespace = "shop"

    def __init__(self) -> None:
        self.targets = MemoryTargets(ManualClock())

    async def create(self, key: TargetKey, replicas: int) -> None:
        self.targets.create(key, replicas=replicas)

    async def delete(self, key: TargetKey) -> None:
        self.targets.delete(key)

    async def scale_by_hand(self, key: TargetKey, replicas: int, manager: str) -> None:
        self.targets.scale_by_hand(key, replicas, manager)

    async def make_ready(self, key: TargetKey, ready: int) -> None:
        self.targets.make_ready(key, ready)


class TestMemoryTargets(TargetsContract):
    """The contract, on values."""

    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()
