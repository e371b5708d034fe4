"""Ends a client of aiokafka to its end, also when whoever waits for that is cut off meanwhile."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.adapters.kafka.strays import GaveUpError, strays_as_failures

_under_way: set[asyncio.Task[None]] = set()
"""Held, because the loop itself holds its tasks only weakly."""


async def end_client(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop it and wait for that; raises what `stop` raises.

    aiokafka marks a client as closed when `stop` begins, and does nothing at a second call. Cut off in the middle, it
    would leave the client's tasks and connections behind for as long as the process lives.
    """
    task = asyncio.get_running_loop().create_task(_ended(client), name="ending a Kafka client")
    _under_way.add(task)
    task.add_done_callback(_over)
    await asyncio.shield(task)


async def _ended(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    try:
        with strays_as_failures():
            await client.stop()
    except GaveUpError:
        # It waited for a task that it had cancelled before that could begin. What is left are its connections.
        inner = client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001
        with strays_as_failures():
            await inner.close()


def _over(task: asyncio.Task[None]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        # Whoever still waits is told; where nobody does, there is nobody to tell.
        task.exception()
