"""`python -m consumer.adapters.control_plane build`: builds the programs once, says where they are."""

import argparse
import asyncio
import sys
from pathlib import Path

from consumer.adapters.control_plane.build import build
from consumer.adapters.control_plane.trouble import ControlPlaneError
from consumer.children import cache_root

_INTERRUPTED = 130


def _say(text: str) -> None:
    sys.stderr.write(f"control plane: {text}\n")


def main(arguments: list[str]) -> int:
    """Carry out one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m consumer.adapters.control_plane", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--cache", type=Path, default=cache_root(), help="where they are kept (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        programs = build(given.cache, _say)
    except ControlPlaneError as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    sys.stdout.write(f"{programs.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
