"""The last will of our children: a tiny shell that kills them and removes their folder when we are gone.

A process that is killed with -9 can not tidy up after itself. The guard holds the reading end of a pipe whose
only writing end is ours; the kernel closes it however we end, and the guard does what is left to do. A polite
end takes the same path, so that it is the one that is exercised every day.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Self

# Each line names all processes to kill, an empty one nobody. Removing is repeated: a process that was just
# killed may still finish a write. The loop is bounded, since a folder may have become someone else's.
_SCRIPT = """
victims=
while IFS= read -r line; do victims=$line; done
[ -n "$victims" ] && kill -9 $victims 2>/dev/null
tries=0
while [ -n "$1" ] && [ -e "$1" ] && [ "$tries" -lt 50 ]; do
  rm -rf -- "$1" 2>/dev/null && continue
  tries=$((tries + 1))
  sleep 0.1
done
"""


class Guard:
    """Waits in its own session for our end; knows our children and at most one folder."""

    def __init__(self, shell: asyncio.subprocess.Process, pipe: asyncio.StreamWriter) -> None:
        self._shell = shell
        self._pipe = pipe
        self._children: set[int] = set()

    @classmethod
    async def over(cls, folder: Path | None) -> Self:
        """Start the guard; `folder` is removed at the end, None leaves every file in place.

        A start that fails or is cancelled removes the folder too, since nobody else would.
        """
        try:
            shell = await _shell_over(folder)
        except BaseException:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if shell.stdin is None:
            raise RuntimeError("the guard of our children has no pipe")
        return cls(shell, shell.stdin)

    def watch(self, pid: int) -> None:
        """From now on, `pid` does not outlive us."""
        self._children.add(pid)
        self._tell()

    def forget(self, pid: int) -> None:
        """The process has ended and its number may be given to another one: spare it."""
        self._children.discard(pid)
        self._tell()

    async def finish(self) -> None:
        """Let the guard do its work and wait for it."""
        self._pipe.close()
        await self._shell.wait()

    def _tell(self) -> None:
        self._pipe.write(" ".join(map(str, sorted(self._children))).encode() + b"\n")


async def _shell_over(folder: Path | None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        _SCRIPT,
        "elasti-guard",
        str(folder) if folder else "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
