"""Stopping a process where it stands, so that it has really stopped when we go on."""

import os
import signal
from contextlib import suppress
from pathlib import Path

_LOOKS = 10_000
"""Of a tenth of a millisecond each; a process that still runs then is not going to stop."""
_STOPPED = frozenset({"T", "t", "Z", "X"})


def halt(pid: int) -> None:
    """Send SIGSTOP, and return when every thread of the process has stopped.

    The signal is sent at once and heeded a moment later: a server with many threads answers another request meanwhile.
    Where the kernel does not tell (no /proc), it is only sent.
    """
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    for _ in range(_LOOKS):
        if _states(threads) <= _STOPPED:
            return


def _states(threads: Path) -> set[str]:
    states: set[str] = set()
    with suppress(OSError):
        for thread in threads.iterdir():
            with suppress(OSError):
                # The name in brackets may hold anything, brackets too.
                states.add((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return states
