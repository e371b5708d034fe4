"""A folder that goes with us, however we end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consumer.children import Guard, temporary_folder


@asynccontextmanager
async def guarded_folder(prefix: str) -> AsyncIterator[Path]:
    """Make a temporary folder; it is removed at the end, and also when this process is killed with -9.

    Raises:
        NoPlaceError: there is no directory for it.
    """
    folder = temporary_folder(prefix)
    guard = await Guard.over(folder)
    try:
        yield folder
    finally:
        await guard.finish()
