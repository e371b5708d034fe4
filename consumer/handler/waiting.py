"""Waits for whichever of several things comes first."""

import asyncio
from collections.abc import Coroutine


async def first_of(*waits: Coroutine[None, None, object]) -> None:
    """Return when one of them is over; the others are cancelled, and over too."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(wait) for wait in waits]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
