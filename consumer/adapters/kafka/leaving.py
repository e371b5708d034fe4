"""Lets aiokafka end what it began, also when whoever waits for that is cut off meanwhile."""

import asyncio
from collections.abc import Coroutine

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.adapters.kafka.strays import GaveUpError, strays_as_failures

_under_way: set[asyncio.Task[None]] = set()
"""Held, because the loop itself holds its tasks only weakly."""


async def to_its_end(work: Coroutine[None, None, None]) -> None:
    """Wait for work that goes on when the waiting is cut off; raises what it raises.

    aiokafka does much of its own in tasks. Of a failure that nobody waits for any more it would be said that it was
    never retrieved.
    """
    task = asyncio.get_running_loop().create_task(work, name="a Kafka client's work")
    _under_way.add(task)
    task.add_done_callback(_over)
    await asyncio.shield(task)


async def end_client(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop it and wait for that; raises what `stop` raises.

    aiokafka marks a client as closed when `stop` begins, and does nothing at a second call. Cut off in the middle, it
    would leave the client's tasks and connections behind for as long as the process lives.
    """
    await to_its_end(_ended(client))


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
