"""The log in memory, for tests and rehearsals: the same promises as Kafka's, proved by the same contract tests.

Partitions, append times, transactions that a newer writer fences, committed and uncommitted reads, groups with
range assignment and rebalances. What may not enter: behaviour that Kafka does not have, and anything durable.
"""

from consumer.adapters.memory.clients import MemoryPublisher, MemoryReader, MemoryWriter, MemoryWriters
from consumer.adapters.memory.group import MemoryMembership
from consumer.adapters.memory.log import MAX_BYTES, MemoryLog

__all__ = [
    "MAX_BYTES",
    "MemoryLog",
    "MemoryMembership",
    "MemoryPublisher",
    "MemoryReader",
    "MemoryWriter",
    "MemoryWriters",
]
