"""The embedded default of `--dev` and the demo: a real Kafka as a child process, and a simulated cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from consumer.adapters.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from consumer.app import log
from consumer.errors import first_error
from consumer.ports import LogError
from consumer.settings import ClusterAccess, Settings


@asynccontextmanager
async def embedded(settings: Settings, *, say: Callable[[str], None]) -> AsyncIterator[Settings]:
    """Start a Kafka where none is named, create the topics, and simulate the cluster where none is named.

    Raises:
        LogError: the Kafka could not be started, or ended by itself; the message says why and what to do.
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
        async with _while_it_lasts(kafka, say):
            yield ready
    finally:
        await kafka.stop()


@asynccontextmanager
async def _while_it_lasts(kafka: EmbeddedKafka, say: Callable[[str], None]) -> AsyncIterator[None]:
    """End what is done meanwhile when the Kafka ends by itself: nobody else would start this one again."""

    async def watch() -> None:
        loss = str(await kafka.lost())
        # Told now: to end takes a while, since what is under way is still asked of it in vain.
        say(loss.partition("\n")[0])
        raise LogError(loss)

    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            yield
            watching.cancel()
    except BaseExceptionGroup as group:
        raise first_error(group) from group
