"""The screen of a moment as a file, for a README or a report."""

import io
from pathlib import Path

from rich.console import Console, RenderableType

WIDTH, HEIGHT = 120, 40


def save(path: Path, screen: RenderableType) -> None:
    """Write the screen as the suffix says: an SVG, or plain text."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen)
    if path.suffix == ".svg":
        console.save_svg(str(path), title="elasti demo")
    else:
        path.write_text("".join(f"{line.rstrip()}\n" for line in console.export_text().splitlines()), encoding="utf-8")
