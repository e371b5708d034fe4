"""A worker on a real Kafka, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.adapters.kafka import KafkaPublisher
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker


@asynccontextmanager
async def working(ports: WorkerPorts, settings: WorkerSettings) -> AsyncIterator[Worker]:
    """Run one until the block ends, then stop it politely."""
    worker = Worker(ports, settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        try:
            yield worker
        finally:
            await worker.stop()
    assert isinstance(ports.publisher, KafkaPublisher)
    await ports.publisher.close()
