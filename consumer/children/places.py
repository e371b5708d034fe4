"""Where children live on this machine: the folder of their programs, and ports that nobody holds."""

import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"


def cache_root() -> Path:
    """Where programs that were fetched or built are kept between runs, for this user."""
    return Path.home() / ".cache" / "elasti"


class NoPlaceError(Exception):
    """There is no place for files of children; the message says what to do."""


def temporary_folder(prefix: str) -> Path:
    """Make a new folder for temporary files; raises NoPlaceError when no directory for such takes one."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise NoPlaceError(
            f"no temporary folder can be made ({error.strerror or error}): each directory for such is full or may not "
            "be written; free some, or let TMPDIR name a directory elsewhere"
        ) from error


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback, all different, that were free a moment ago; another program can still be faster."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)
