"""What a program does at this moment, told at SIGUSR1: of one that does nothing any more, nothing else tells it."""

import asyncio
import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNAL, _STDERR = signal.SIGUSR1, 2


@contextmanager
def stacks_on_signal() -> Iterator[None]:
    """Write where each thread stands to stderr, and then, unless the loop is held up, where each task waits.

    Elsewhere SIGUSR1 ends a program; here it may be sent at any time.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(_SIGNAL, _tell_tasks)
    # Called by the kernel's signal itself, whatever the loop does; the loop's own handler comes after it.
    faulthandler.register(_SIGNAL, file=_STDERR, all_threads=True, chain=True)
    try:
        yield
    finally:
        faulthandler.unregister(_SIGNAL)
        loop.remove_signal_handler(_SIGNAL)


def _tell_tasks() -> None:
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)
    sys.stderr.write("every task was told\n")
    sys.stderr.flush()
