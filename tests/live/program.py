"""`elasti` as a process of its own: what it says, line by line or on a terminal, and what it leaves behind."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

LIMIT = 90.0
"""Seconds for anything to happen: a slow machine starts a Kafka and two processes meanwhile."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def surroundings(folder: Path | None = None) -> Mapping[str, str]:
    """The environment without settings of ours; a folder becomes the place of everything temporary."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("ELASTI_")}
    return known | ({"TMPDIR": str(folder)} if folder else {})


async def program(*words: object, folder: Path | None = None) -> asyncio.subprocess.Process:
    """Start `elasti WORDS...`, in a process group of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consumer",
        *(str(word) for word in words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(folder),
        start_new_session=True,
    )


@asynccontextmanager
async def running(*words: object, folder: Path | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it for as long as the block takes; what is still there then is killed."""
    process = await program(*words, folder=folder)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def elasti(*words: object) -> tuple[int | None, str, str]:
    """Run a command to its end: exit code, output, errors."""
    async with running(*words) as process, asyncio.timeout(LIMIT):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def line_with(stream: asyncio.StreamReader | None, *words: str) -> str:
    """Read until a line has all these words."""
    assert stream is not None
    seen: list[str] = []
    async with asyncio.timeout(LIMIT):
        while line := (await stream.readline()).decode():
            seen.append(line)
            if all(word in line for word in words):
                return line
    raise AssertionError(f"it ended without a word of {words}; it said:\n{''.join(seen)}")


def those_of(folder: Path) -> Sequence[int]:
    """Every process that was started with this folder as its temporary one: the program and all its descendants."""
    mark = f"TMPDIR={folder}\0".encode()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _environ(entry)]


def _environ(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except (OSError, ProcessLookupError):
        return b""


async def ended(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        async with asyncio.timeout(LIMIT):
            await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


class Terminal:
    """A terminal in which a program runs: what is on it as text, and keys that are pressed."""

    def __init__(self, *, width: int = 120, height: int = 40) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._text = ""
        self._more = asyncio.Event()
        self._read_to = 0

    @asynccontextmanager
    async def running(self, *words: object, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the program in this terminal, as a shell would."""
        process = await asyncio.create_subprocess_exec(
            # `setsid -c` makes the terminal the one whose Ctrl-C the program gets.
            *("setsid", "-c", "-w", sys.executable, "-m", "consumer"),
            *(str(word) for word in words),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**surroundings(folder), "TERM": "xterm-256color"},
        )
        loop = asyncio.get_running_loop()
        loop.add_reader(self._master, self._read)
        try:
            yield process
        finally:
            loop.remove_reader(self._master)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            os.close(self._master)
            os.close(self._slave)

    def press(self, keys: str) -> None:
        """Press keys one after the other."""
        os.write(self._master, keys.encode())

    def modes(self) -> Sequence[object]:
        """How the terminal is set: whether it echoes, waits for return, and so on."""
        return termios.tcgetattr(self._slave)

    async def shows(self, pattern: str) -> re.Match[str]:
        """Wait for a text that was not waited for before."""
        async with asyncio.timeout(LIMIT):
            while (found := re.compile(pattern).search(self._text, self._read_to)) is None:
                self._more.clear()
                await self._more.wait()
        self._read_to = found.end()
        return found

    def _read(self) -> None:
        self._text += _ESCAPES.sub("", os.read(self._master, 65_536).decode(errors="replace"))
        self._more.set()
