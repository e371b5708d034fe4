"""The embedded default of `--dev` and the demo: a real Kafka as a child process, and a simulated cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from consumer.adapters.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from consumer.app import log
from consumer.ports import LogError
from consumer.settings import ClusterAccess, Settings


@asynccontextmanager
async def embedded(settings: Settings, *, say: Callable[[str], None]) -> AsyncIterator[Settings]:
    """Start a Kafka where none is named, create the topics, and simulate the cluster where none is named.

    Raises:
        LogError: the Kafka could not be started; the message says why and what to do.
    """
    simulated = {"cluster_access": settings.cluster_access or ClusterAccess.SIMULATED}
    if settings.kafka_bootstrap:
        with_topics = settings.model_copy(update=simulated)
        await log.create(with_topics)
        yield with_topics
        return
    kafka = EmbeddedKafka(say=say)
    try:
        await kafka.start()
    except EmbeddedKafkaError as error:
        raise LogError(str(error)) from error
    try:
        ready = settings.model_copy(
            update={**simulated, "kafka_bootstrap": (kafka.bootstrap,), "replication_factor": 1}
        )
        await log.create(ready)
        yield ready
    finally:
        await kafka.stop()
