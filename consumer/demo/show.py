"""What the demo shows: a sentence a service, a bar for its last wake, and the keys that break something."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from consumer.insight.board import Row, Standing
from consumer.insight.journeys import Journey, Stage

BAR_CELLS = 14
KEYS = (
    ("k", "kill -9 the worker"),
    ("b", "blind Prometheus"),
    ("w", "wake a sleeping service"),
    ("f", "freeze the sleeps"),
    ("q", "quit"),
)

_MARKS = {
    Standing.AWAKE: ("●", "green"),
    Standing.WAKING: ("◐", "yellow"),
    Standing.ASLEEP: ("○", "bright_black"),
    Standing.UNKNOWN: ("?", "red"),
}
_STAGES = ((Stage.DECIDED, "cyan"), (Stage.ACCEPTED, "magenta"), (Stage.READY, "green"))


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on the screen at one moment; `length` None: until it is quit."""

    rows: Sequence[Row]
    elapsed: timedelta
    length: timedelta | None
    kafka: str
    worker: str
    blind: bool
    frozen: bool
    wakes: int
    sleeps: int
    saved: timedelta
    news: Sequence[str]


def short(length: timedelta) -> str:
    """Write a latency for a narrow column: `9 ms`, `1.25 s`, `2m05s`."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def bar(journey: Journey | None) -> Text:
    """Draw a wake as a bar of its stages, in proportion, each at least one cell; then its total."""
    if journey is None:
        return Text("")
    stages = journey.stages()
    total = stages.get(Stage.TOTAL)
    if total is None:
        return Text("waiting for the first ready replica", style="yellow")
    drawn = Text()
    for stage, colour in _STAGES:
        share = stages[stage] / total if total else 0.0
        drawn.append("█" * max(1, round(share * BAR_CELLS)), style=colour)
    drawn.append(f" {short(total)}", style="bold")
    spare = stages[Stage.DECIDED] + stages[Stage.ACCEPTED]
    return drawn.append(f"  (ours {short(spare)})", style="bright_black")


def render(scene: Scene, now: datetime) -> RenderableType:
    """Draw the whole screen."""
    return Group(_head(scene), _services(scene, now), _news(scene), _keys(scene))


def _head(scene: Scene) -> RenderableType:
    clock = short_clock(scene.elapsed) + (f" of {short_clock(scene.length)}" if scene.length else "")
    line = Text.assemble(
        ("elasti demo ", "bold"),
        ("SIMULATED cluster and metrics", "black on yellow"),
        f"  real Kafka {scene.kafka}  ",
        (f"worker {scene.worker}", "green" if scene.worker.startswith("pid") else "bold red"),
        f"  {clock}",
    )
    counts = {standing: sum(row.standing is standing for row in scene.rows) for standing in Standing}
    states = " · ".join(f"{count} {standing}" for standing, count in counts.items() if count)
    figures = Text(
        f"{len(scene.rows)} services: {states}    wakes {scene.wakes}  sleeps {scene.sleeps}  "
        f"pod-seconds saved {scene.saved.total_seconds():.0f}"
    )
    alarms = Text(" Prometheus is blind: nothing may go to sleep on its word ", "white on red") if scene.blind else None
    frost = Text(" frozen: no sleeps, wakes go on ", "white on blue") if scene.frozen else None
    return Group(*(part for part in (line, figures, alarms, frost) if part is not None))


def short_clock(length: timedelta) -> str:
    """Write a running time as `1:05`."""
    return f"{int(length.total_seconds()) // 60}:{int(length.total_seconds()) % 60:02d}"


def _services(scene: Scene, now: datetime) -> RenderableType:
    table = Table(box=None, padding=(0, 1), expand=True, show_header=True, header_style="bright_black")
    table.add_column("service", no_wrap=True)
    table.add_column("is", no_wrap=True)
    table.add_column("because", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("request → decided → accepted → ready", no_wrap=True)
    for row in scene.rows:
        mark, colour = _MARKS[row.standing]
        since = f" {short_clock(now - row.since)}" if row.since and now > row.since else ""
        why = Text(row.error, style="red") if row.error else Text(row.why)
        table.add_row(Text(f"{mark} {row.key}", style=colour), Text(f"{row.standing}{since}"), why, bar(row.journey))
    return table


def _news(scene: Scene) -> RenderableType:
    return Panel(Text("\n".join(scene.news), overflow="ellipsis", no_wrap=True), title="decisions", title_align="left")


def _keys(scene: Scene) -> RenderableType:
    line = Text()
    for key, meaning in KEYS:
        undo = (key == "b" and scene.blind) or (key == "f" and scene.frozen)
        line.append(f" {key} ", style="reverse").append(f" {'end: ' if undo else ''}{meaning}   ")
    return line
