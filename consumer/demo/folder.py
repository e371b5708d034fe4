"""A folder that goes with us, however we end."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consumer.children import Guard


@asynccontextmanager
async def guarded_folder(prefix: str) -> AsyncIterator[Path]:
    """Make a temporary folder; it is removed at the end, and also when this process is killed with -9."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    guard = await Guard.over(folder)
    try:
        yield folder
    finally:
        await guard.finish()
