"""One server of a control plane as a child process that writes its words to a file."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from consumer.adapters.control_plane.trouble import ControlPlaneError, diagnosis
from consumer.children import Guard, end_with_parent, halt

_ASK_AGAIN = 0.05
_READ_BACK = 8_192


class Child:
    """A server that can be started, killed, paused, and asked until it serves.

    Its words go to a file and not through a pipe: a test that blocks our loop must not block the server too.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, guard: Guard) -> None:
        self.name = name
        self._command = tuple(command)
        self._log = log
        self._guard = guard
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process; raises ControlPlaneError when there is none."""
        return self._running().pid

    async def start(self) -> None:
        """Start it; it does not serve yet."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
                # The terminal's Ctrl-C must not end it before those who still use it.
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        self._guard.watch(self._process.pid)

    async def serves(self, probe: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Ask until the answer is yes; an early end is noticed at once.

        Raises:
            ControlPlaneError: it ended, or did not serve in time; the message holds its last words.
        """
        process = self._running()
        ended = asyncio.get_running_loop().create_task(process.wait())
        try:
            async with asyncio.timeout(within):
                while not await probe():
                    await asyncio.wait({ended}, timeout=_ASK_AGAIN)
                    if ended.done():
                        raise diagnosis(f"{self.name} ended while starting", self.last_words())
        except TimeoutError:
            raise diagnosis(f"{self.name} did not serve within {within:.0f} s", self.last_words()) from None
        finally:
            ended.cancel()

    def pause(self) -> None:
        """Freeze it where it stands, as a machine that hangs would: connections stay open, mute."""
        halt(self._running().pid)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._running().send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it with -9, as a crash would; nothing happens when it has ended already."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._guard.forget(process.pid)

    def last_words(self) -> list[str]:
        """The end of what it wrote."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _READ_BACK))
                return log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise ControlPlaneError(f"control plane: {self.name} is not running; start it first")
        return self._process
