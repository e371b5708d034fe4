"""The log on Apache Kafka, by aiokafka: membership, fencing transactions, publishing, reading, topics.

What may not enter: aiokafka's types or errors in a signature, a default partitioner (every send names its partition),
and offsets committed outside a transaction by the worker's group.
"""

from consumer.adapters.kafka.connection import KafkaConnection
from consumer.adapters.kafka.membership import KafkaMembership
from consumer.adapters.kafka.others import others
from consumer.adapters.kafka.permits import KafkaPermits
from consumer.adapters.kafka.publisher import KafkaPublisher
from consumer.adapters.kafka.reader import KafkaReader
from consumer.adapters.kafka.topics import create_topics, verify_topics
from consumer.adapters.kafka.unreadable import step_over_unreadable_records
from consumer.adapters.kafka.writer import KafkaWriters

step_over_unreadable_records()

__all__ = [
    "KafkaConnection",
    "KafkaMembership",
    "KafkaPermits",
    "KafkaPublisher",
    "KafkaReader",
    "KafkaWriters",
    "create_topics",
    "others",
    "verify_topics",
]
