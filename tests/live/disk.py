"""A disk of its own for a test, which can be made full, roomy again or read-only while it is in use."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOMY = 600_000_000
"""Bytes of a new disk: more than a broker needs to start. They are taken from the machine only when they are used."""

_LIMIT = 30.0
# In a namespace of its own, so that it goes with this shell, which goes with us: there is nothing to unmount.
_SCRIPT = """
exec 2>&1
mount -t tmpfs -o "size=$2" none "$1" && echo ok
while IFS= read -r how; do mount -o "remount,$how" "$1" && echo ok; done
"""
# Root needs no more; who is not root is root in a namespace of users, where the system grants that.
_WAYS = (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount"))


class Disk:
    """A disk at `path`, which only leads to it while the disk is held."""

    def __init__(self, holder: asyncio.subprocess.Process, mounted: Path) -> None:
        self._holder = holder
        self.path = Path(f"/proc/{holder.pid}/root{mounted}")

    async def fill(self, *, leaving: int = 0) -> None:
        """Make it so small that no more than this fits on it beside what is there."""
        async with asyncio.timeout(_LIMIT):
            # What is there may grow between the look and the change, which is then refused.
            while not await self._changed(f"size={shutil.disk_usage(self.path).used + leaving}"):
                pass

    async def make_room(self) -> None:
        """Make it as large as it was."""
        assert await self._changed(f"size={ROOMY}")

    async def make_read_only(self) -> None:
        """Let nobody write to it, root neither."""
        assert await self._changed("ro")

    async def _changed(self, how: str) -> bool:
        assert self._holder.stdin is not None
        self._holder.stdin.write(f"{how}\n".encode())
        return await _answer(self._holder) == "ok"


@asynccontextmanager
async def own_disk(folder: Path) -> AsyncIterator[Disk]:
    """Mount a new disk for as long as the block takes."""
    mounted = (folder / "disk").absolute()
    mounted.mkdir()
    answers: list[str] = []
    for way in _WAYS:
        holder = await _held(way, mounted)
        try:
            answers.append(await _answer(holder))
            if answers[-1] == "ok":
                yield Disk(holder, mounted)
                return
        finally:
            # The end of its input ends the shell.
            if holder.stdin is not None:
                holder.stdin.close()
            await holder.wait()
    pytest.fail(
        "this test needs a disk of its own: Linux, with the right to mount one in a namespace (as root, or as a user "
        f"who may make namespaces); it was told: {'; '.join(answers)}"
    )


async def _held(way: Sequence[str], mounted: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*way, "sh", "-c", _SCRIPT, "disk", str(mounted), str(ROOMY)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _answer(holder: asyncio.subprocess.Process) -> str:
    assert holder.stdout is not None
    async with asyncio.timeout(_LIMIT):
        return (await holder.stdout.readline()).decode().strip()
