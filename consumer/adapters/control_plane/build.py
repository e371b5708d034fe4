"""Builds the programs of a control plane from Go modules, once, and puts them in their place whole."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from consumer.adapters.control_plane.golang import find_go
from consumer.adapters.control_plane.programs import SOURCES, Programs, Source, linking, pins, place
from consumer.adapters.control_plane.trouble import diagnosis

_TELL_EVERY = 15.0
_KEPT_WORDS = 200


def build(cache: Path, say: Callable[[str], None]) -> Programs:
    """Return the programs, building them under a lock unless they are there or another process makes them.

    Raises:
        ControlPlaneError: they could not be built; the message says why and what to do.
    """
    there = place(cache)
    if there.is_dir():
        return Programs(there)
    go = find_go()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "control-plane.lock").open("w") as lock:
        _lock(lock.fileno(), say)
        if there.is_dir():
            return Programs(there)
        # We hold the lock, so whatever is still staged belongs to a build that was killed.
        for stale in cache.glob("building-*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as staging:
            asyncio.run(_build_all(go, Path(staging), say))
            (Path(staging) / "bin").rename(there)
    return Programs(there)


def _lock(lock: int, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another process builds the control plane at this moment; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


async def _build_all(go: Path, staging: Path, say: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    here = asyncio.current_task()
    if here is not None:
        # A polite end must reach the compiler and unwind the staging directory.
        loop.add_signal_handler(signal.SIGTERM, here.cancel)
    expected = sum(source.minutes for source in SOURCES)
    say(
        f"building {len(SOURCES)} programs with {go}: about {expected:.0f} minutes on 2 cores the first time, "
        "a minute when Go still has their parts"
    )
    (staging / "bin").mkdir()
    for number, source in enumerate(SOURCES, start=1):
        limit = _clock(source.minutes * 60)
        say(
            f"{number} of {len(SOURCES)}, {source.name}: begun after {_clock(loop.time() - began)}, takes up to {limit}"
        )
        await _build_one(go, staging, source, say)
    say(f"built in {_clock(loop.time() - began)}")


async def _build_one(go: Path, staging: Path, source: Source, say: Callable[[str], None]) -> None:
    module = staging / source.module
    module.mkdir(exist_ok=True)
    for name, content in pins(source.module).items():
        (module / name).write_bytes(content)
    words = staging / "words"
    with words.open("wb") as log:
        compiler = await asyncio.create_subprocess_exec(
            str(go),
            *("build", "-mod=mod", "-ldflags", linking(source.module)),
            *("-o", str(staging / "bin" / source.name), source.package),
            cwd=module,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # It starts dozens of its own, and they must end with it.
            start_new_session=True,
        )
    try:
        await _wait_aloud(compiler, source.name, say)
    finally:
        if compiler.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(compiler.pid, signal.SIGKILL)
            await compiler.wait()
    if compiler.returncode:
        raise diagnosis(
            f"{source.name} could not be built",
            words.read_text(errors="replace").splitlines()[-_KEPT_WORDS:],
        )


async def _wait_aloud(compiler: asyncio.subprocess.Process, name: str, say: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended = loop.create_task(compiler.wait())
    while not ended.done():
        await asyncio.wait({ended}, timeout=_TELL_EVERY)
        say(f"{name}: {'done after' if ended.done() else 'under way for'} {_clock(loop.time() - began)}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
