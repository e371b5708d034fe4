"""The processes under test, `elasti run` with one role each: killed, stopped, started anew, and how each ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

import aiohttp

from consumer.children import HOST, Guard, end_with_parent, halt
from tests.live.program import surroundings

_NEVER = datetime.min.replace(tzinfo=UTC)
_AGAIN = 0.5
_LOOK_AGAIN = 0.1
_POLITE = 40.0
READY_WITHIN = 60.0


class End(StrEnum):
    """How a life ended."""

    KILLED = "killed"
    STOPPED = "stopped"
    """Asked to end, and it did."""
    HUNG = "hung"
    """Asked to end, and it did not."""
    ITSELF = "by itself"


@dataclass(frozen=True, slots=True)
class Life:
    """One process from its start to its end."""

    slot: str
    number: int
    began: datetime
    ended: datetime
    end: End
    code: int
    log: Path


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something was so."""

    began: datetime
    ended: datetime

    def meets(self, other: "Span") -> bool:
        """Whether they have a moment in common."""
        return self.began <= other.ended and other.began <= self.ended


@dataclass(slots=True)
class Slot:
    """The place of one process: its port and settings stay, its processes come and go."""

    name: str
    port: int
    words: Sequence[str]
    logs: Path
    guard: Guard
    ahead: timedelta = timedelta()
    """By so much the clock of its machine is wrong."""
    lives: list[Life] = field(default_factory=list)
    absences: list[Span] = field(default_factory=list)
    """When no process of it could work: killed, or stopped where it stood."""
    _process: asyncio.subprocess.Process | None = None
    _began: datetime = _NEVER
    _number: int = 0
    _meant: End = End.ITSELF
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> None:
        """Start it, and start it again whenever it ends by itself; to be cancelled."""
        await self.start()
        while True:
            process = self._process
            if process is None:
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            await process.wait()
            async with self._busy:
                if self._process is process:
                    self._over(process)
                    await asyncio.sleep(_AGAIN)
                    await self._start()

    async def start(self) -> None:
        """Start a process where there is none."""
        async with self._busy:
            if self._process is None:
                await self._start()

    async def kill(self, down: timedelta) -> None:
        """End it with -9, and start another one after a while."""
        async with self._busy:
            began = _now()
            await self._end(End.KILLED)
            await asyncio.sleep(down.total_seconds())
            await self._start()
            self.absences.append(Span(began, _now()))

    async def freeze(self, length: timedelta) -> None:
        """Stop it where it stands for that long."""
        async with self._busy:
            process = self._process
            if process is None or process.returncode is not None:
                return
            began = _now()
            halt(process.pid)
            try:
                await asyncio.sleep(length.total_seconds())
            finally:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
            self.absences.append(Span(began, _now()))

    def tell(self) -> None:
        """Let it write to its log where its threads stand and its tasks wait."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGUSR1)

    async def leave_for_good(self, keeping: "asyncio.Task[None]") -> None:
        """End it politely, and `keeping`, the task that would start it again."""
        async with self._busy:
            keeping.cancel()
            await self._end(End.STOPPED)

    async def destroy(self) -> None:
        """End it at once, whoever is busy with it; nothing is told of that."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready; raises TimeoutError."""
        async with asyncio.timeout(READY_WITHIN):
            while not await self.is_ready(http):  # noqa: ASYNC110 - another process tells it by its page alone
                await asyncio.sleep(_LOOK_AGAIN)

    async def is_ready(self, http: aiohttp.ClientSession) -> bool:
        """Whether it says so now."""
        try:
            async with http.get(f"http://{HOST}:{self.port}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _start(self) -> None:
        self._number += 1
        self._meant, self._began = End.ITSELF, _now()
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.chaos.clocks", f"{self.ahead.total_seconds():g}"),
                *("run", f"--http-port={self.port}", *self.words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=surroundings(),
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        self.guard.watch(self._process.pid)

    async def _end(self, how: End) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            self._meant = how
            process.send_signal(signal.SIGKILL if how is End.KILLED else signal.SIGTERM)
        try:
            async with asyncio.timeout(_POLITE):
                await process.wait()
        except TimeoutError:
            self._meant = End.HUNG
            process.kill()
            await process.wait()
        self._over(process)

    def _over(self, process: asyncio.subprocess.Process) -> None:
        self.guard.forget(process.pid)
        self._process = None
        code = process.returncode or 0
        self.lives.append(Life(self.name, self._number, self._began, _now(), self._meant, code, self._log))

    @property
    def _log(self) -> Path:
        return self.logs / f"{self.name}-{self._number:02}.log"


def _now() -> datetime:
    return datetime.now(UTC)
