"""A short chaos run on real servers: by a plan that is the same every time, and that leaves nothing behind."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.live.program import ended, surroundings, those_of

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def chaos(folder: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it in a folder of its own; it is killed when the block ends before it does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", f"--keep={folder / 'kept'}", *words),
        cwd=_ROOT,
        env=surroundings(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.timeout(480)
async def test_the_promises_hold_through_a_minute_of_chaos(tmp_path: Path) -> None:
    async with chaos(tmp_path, "--seed=1", "--minutes=1", "--services=30") as run:
        said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()


async def test_a_run_that_is_broken_off_leaves_no_process_behind(tmp_path: Path) -> None:
    async with chaos(tmp_path, "--seed=2", "--minutes=1", "--services=10") as run:
        assert run.stdout is not None
        while b"are ready" not in (line := await run.stdout.readline()):
            assert line, "it ended before its processes were ready"
        started = [pid for pid in those_of(tmp_path) if pid != run.pid]
        run.send_signal(signal.SIGINT)
        await run.communicate()
        for pid in started:
            await ended(pid)
    assert started
    assert not those_of(tmp_path)
