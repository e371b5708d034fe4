"""What the measurements on a real broker share: a broker, topics, figures."""

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, create_topics


def quick(description: str | None) -> bool:
    """Whether a few seconds are all there is: enough to see that everything still works, too few for figures."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a few seconds only: a smoke run, not a measurement")
    return bool(parser.parse_args().quick)


@asynccontextmanager
async def broker() -> AsyncIterator[str]:
    """Run a Kafka of our own; yields its address."""
    async with EmbeddedKafka() as kafka:
        yield kafka.bootstrap


async def topics(bootstrap: str, prefix: str, partitions: int) -> None:
    """Create all topics of one installation."""
    await create_topics(KafkaConnection(bootstrap), prefix, partitions=partitions, replication=1)


def rank(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile: of 100 values the 99th is the second largest."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]
