"""Ends a client of aiokafka to its end, also when whoever waits for that is cut off meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine

_under_way: set[asyncio.Task[None]] = set()
"""Held, because the loop itself holds its tasks only weakly."""


async def end_client(stop: Callable[[], Coroutine[None, None, None]]) -> None:
    """Call `stop` and wait for it; raises what it raises.

    aiokafka marks a client as closed when `stop` begins, and does nothing at a second call. Cut off in the middle, it
    would leave the client's tasks and connections behind for as long as the process lives.
    """
    task = asyncio.get_running_loop().create_task(stop(), name="ending a Kafka client")
    _under_way.add(task)
    task.add_done_callback(_over)
    await asyncio.shield(task)


def _over(task: asyncio.Task[None]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        # Whoever still waits is told; where nobody does, there is nobody to tell.
        task.exception()
