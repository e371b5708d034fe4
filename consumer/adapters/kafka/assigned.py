"""A consumer outside of any group, on partitions that it is given; whoever reads decides where it begins."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from consumer.adapters.kafka.connection import KafkaConnection
from consumer.adapters.kafka.leaving import end_client
from consumer.adapters.kafka.strays import strays_as_failures
from consumer.ports import Guarded, Operation, Permit


@asynccontextmanager
async def assigned(
    connection: KafkaConnection,
    places: Sequence[TopicPartition],
    *,
    level: Literal["read_committed", "read_uncommitted"],
    per_partition: int,
) -> AsyncIterator[AIOKafkaConsumer]:
    """Open one, and end it with the block, whose errors become LogError; `per_partition` bounds a fetch, in bytes."""
    consumer = AIOKafkaConsumer(
        **connection.options(),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level=level,
        max_partition_fetch_bytes=per_partition,
    )
    consumer.assign(places)
    try:
        with strays_as_failures():
            await consumer.start()
            yield consumer
    except (KafkaError, OSError, IllegalStateError) as error:
        topics = sorted({place.topic for place in places})
        needed = [Permit(Guarded.TOPIC, topic, Operation.READ) for topic in topics]
        raise connection.failed(f"reading {', '.join(topics)}", error, *needed) from error
    finally:
        await end_client(consumer)
