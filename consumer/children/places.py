"""Where children live on this machine: the folder of their programs, and ports that nobody holds."""

import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"


def cache_root() -> Path:
    """Where programs that were fetched or built are kept between runs, for this user."""
    return Path.home() / ".cache" / "elasti"


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback, all different, that were free a moment ago; another program can still be faster."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)
