"""A child that ends with us also when we are killed before the guard was told of it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Loaded before there is a child: between its fork and its program next to nothing may be done.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent (its pid) ends; to be run in the child, before its program.

    Linux alone can do that, and only for the thread that made the child; elsewhere the guard's word has to do.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        # It ended before the kernel was asked.
        os._exit(1)
