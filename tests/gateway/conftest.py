"""The log that a gateway of these tests writes to."""

import pytest

from consumer.adapters.clock import BrokerClock
from consumer.adapters.memory import MemoryLog
from tests.gateway.bed import PARTITIONS, TOPIC


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog(BrokerClock())
    made.create(TOPIC, PARTITIONS)
    return made
