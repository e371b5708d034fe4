"""Single key presses from a terminal, without waiting for return; the terminal is put back whatever happens."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


@contextmanager
def _unbuffered(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    try:
        # cbreak, not raw: Ctrl-C stays a signal.
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@asynccontextmanager
async def pressed() -> AsyncIterator[asyncio.Queue[str]]:
    """Give a queue of the keys that are pressed; it stays empty when standard input is not a terminal."""
    keys: asyncio.Queue[str] = asyncio.Queue()
    if not sys.stdin.isatty():
        yield keys
        return
    descriptor = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def read() -> None:
        # Not sys.stdin.read(1): it would take all that waits into its buffer and hand out the first key only.
        typed = os.read(descriptor, 64)
        for key in typed.decode(errors="ignore"):
            keys.put_nowait(key)
        if not typed:
            # The terminal is gone: an end that is read again and again would keep the loop busy.
            loop.remove_reader(descriptor)

    with _unbuffered(descriptor):
        loop.add_reader(descriptor, read)
        try:
            yield keys
        finally:
            loop.remove_reader(descriptor)
