"""`python -m consumer.adapters.control_plane build|run`: builds the programs once; runs a plane to try things on."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from consumer.adapters.control_plane.build import build
from consumer.adapters.control_plane.plane import ControlPlane
from consumer.adapters.control_plane.trouble import ControlPlaneError
from consumer.children import cache_root

_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Carry out one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m consumer.adapters.control_plane", description=__doc__)
    parser.add_argument("command", choices=["build", "run"])
    parser.add_argument("--cache", type=Path, default=cache_root(), help="where they are kept (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        if given.command == "build":
            sys.stdout.write(f"{build(given.cache, _say).folder}\n")
        else:
            asyncio.run(_run(given.cache))
    except ControlPlaneError as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    return 0


async def _run(cache: Path) -> None:
    """Run a plane until Ctrl-C or a polite end; its first line on stdout is for the shell of whoever tries it."""
    told = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, told.set)
    async with ControlPlane(cache=cache, say=_say) as plane:
        sys.stdout.write(f"export KUBECONFIG={plane.kubeconfig()} PATH={plane.program('kubectl').parent}:$PATH\n")
        sys.stdout.flush()
        _say("ready; paste the line above into another terminal, Ctrl-C ends it and removes all of it")
        _say("no scheduler runs: a pod that names the node itself (spec.nodeName: bed) runs, others stay Pending")
        await told.wait()


def _say(text: str) -> None:
    sys.stderr.write(f"control plane: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
