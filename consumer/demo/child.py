"""The worker of the demo: a process of its own, so that it can really be killed; started again as a cluster would."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from consumer.children import Guard

_GRACE = timedelta(seconds=10)


class WorkerProcess:
    """One worker after the other: whenever one ends that was not asked to, the next one is started."""

    def __init__(self, arguments: Sequence[str], *, log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        """The process id of the living worker; None while there is none."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else None

    def kill(self) -> None:
        """End the worker with -9, as a crash would."""
        if self._process is not None and self.pid is not None:
            self._process.kill()

    async def run(self) -> None:
        """Keep a worker running until cancelled, which ends it politely; it does not outlive us either way."""
        guard = await Guard.over(None)
        try:
            while True:
                await self._live_once(guard)
                self.deaths += 1
        finally:
            try:
                await self._end()
            finally:
                await guard.finish()

    async def _live_once(self, guard: Guard) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "consumer",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The terminal's Ctrl-C is for us; the worker is asked by us.
                start_new_session=True,
            )
        guard.watch(self._process.pid)
        await self._process.wait()
        guard.forget(self._process.pid)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE.total_seconds()):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
