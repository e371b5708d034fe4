"""What the demo shows: a sentence a service, a bar for its last wake, and the keys that break something."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from consumer.demo.ground import Label
from consumer.insight.board import Row, Standing
from consumer.insight.journeys import Journey, Stage

WIDE = 110
"""From this many columns on, everything is written out."""

KEYS = (
    ("k", "kill -9 the worker", "kill -9"),
    ("b", "blind Prometheus", "blind"),
    ("w", "wake a sleeping service", "wake one"),
    ("f", "freeze the sleeps", "freeze"),
    ("q", "quit", "quit"),
)
"""Each key, what it does, and that in a word or two."""

_UNDO = {"b": ("let Prometheus see", "see"), "f": ("allow the sleeps", "thaw")}

NEWS = 6
"""The most decisions that are shown."""

_MARKS = {
    Standing.AWAKE: ("●", "green"),
    Standing.WAKING: ("◐", "yellow"),
    Standing.ASLEEP: ("○", "bright_black"),
    Standing.UNKNOWN: ("?", "red"),
}
_STAGES = ((Stage.DECIDED, "cyan"), (Stage.ACCEPTED, "magenta"), (Stage.READY, "green"))
_WIDE_CELLS, _NARROW_CELLS = 16, 8
# Figures, alarm, frost, table head, panel border and keys: what stands around the services.
_LINES_AROUND = 8


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on the screen at one moment; `length` None: until it is quit; `worker` None: it is dead."""

    rows: Sequence[Row]
    elapsed: timedelta
    length: timedelta | None
    kafka: str
    worker: int | None
    blind: bool
    frozen: bool
    wakes: int
    sleeps: int
    saved: timedelta
    news: Sequence[str]
    label: Label


def short(length: timedelta) -> str:
    """Write a latency for a narrow column: `9 ms`, `1.25 s`, `2m05s`."""
    seconds = length.total_seconds()
    if round(seconds * 1000) < 1000:  # noqa: PLR2004 - a second
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 2) < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def short_clock(length: timedelta) -> str:
    """Write a running time as `1:05`."""
    return f"{int(length.total_seconds()) // 60}:{int(length.total_seconds()) % 60:02d}"


def many(count: int, what: str) -> str:
    """Write a count: `1 wake`, `2 wakes`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def bar(journey: Journey | None, *, wide: bool = True) -> Text:
    """Draw a wake as a bar of its stages, in proportion, each at least one cell, always as long; then its total."""
    if journey is None:
        return Text("")
    stages = journey.stages()
    total = stages.get(Stage.TOTAL)
    if total is None:
        return Text("waiting for the first ready replica" if wide else "not ready yet", style="yellow")
    drawn = Text()
    for (_, colour), cells in zip(_STAGES, _cells(journey, _WIDE_CELLS if wide else _NARROW_CELLS), strict=True):
        drawn.append("█" * cells, style=colour)
    drawn.append(f" {short(total):>7}", style="bold")
    if not wide:
        return drawn
    ours = stages[Stage.DECIDED] + stages[Stage.ACCEPTED]
    return drawn.append(f" (elasti {short(ours)})", style="bright_black")


def _cells(journey: Journey, length: int) -> Sequence[int]:
    """How many cells each stage gets; the longest stage gives what the shortest need to be seen at all."""
    stages = journey.stages()
    total = stages[Stage.TOTAL]
    cells = [max(1, round(stages[stage] / total * length)) if total else 1 for stage, _ in _STAGES]
    cells[cells.index(max(cells))] += length - sum(cells)
    return cells


def render(scene: Scene, now: datetime, size: ConsoleDimensions) -> RenderableType:
    """Draw the whole screen for a terminal of this size."""
    wide = size.width >= WIDE
    room = min(NEWS, size.height - len(scene.rows) - _LINES_AROUND - bool(scene.label.command))
    parts = [_head(scene, wide=wide), _services(scene, now, wide=wide)]
    if room > 0:
        parts.append(_news(scene.news[-room:], room))
    return Group(*parts, _keys(scene, wide=wide))


def _head(scene: Scene, *, wide: bool) -> RenderableType:
    clock = short_clock(scene.elapsed) + (f" of {short_clock(scene.length)}" if scene.length else "")
    worker = (f"worker {scene.worker}", "green") if scene.worker else ("worker is dead", "bold red")
    line = Text.assemble(
        ("elasti demo ", "bold"),
        (f" {scene.label.full if wide else scene.label.short} ", "black on yellow"),
        f" {'real ' if wide else ''}Kafka {scene.kafka}  ",
        worker,
        f"  {clock}",
    )
    figures = Text(
        f"{_states(scene.rows, wide=wide)}   {many(scene.wakes, 'wake')}  {many(scene.sleeps, 'sleep')}  "
        f"{scene.saved.total_seconds():.0f} pod-seconds saved"
    )
    alarms = Text(" Prometheus is blind: nothing may go to sleep on its word ", "white on red") if scene.blind else None
    frost = Text(" frozen: no sleeps, wakes go on ", "white on blue") if scene.frozen else None
    command = Text(scene.label.command, style="bright_black") if scene.label.command else None
    return Group(*(_one_line(part) for part in (line, command, figures, alarms, frost) if part is not None))


def _states(rows: Sequence[Row], *, wide: bool) -> str:
    if not rows:
        return "the worker takes its partitions over"
    counts = {standing: sum(row.standing is standing for row in rows) for standing in Standing}
    states = " · ".join(f"{count} {standing}" for standing, count in counts.items() if count)
    return f"{len(rows)} services: {states}" if wide else states


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _services(scene: Scene, now: datetime, *, wide: bool) -> RenderableType:
    table = Table(box=None, padding=(0, 1), expand=True, show_header=True, header_style="bright_black")
    table.add_column("service", no_wrap=True)
    # As wide as it ever gets: a column that follows its content makes the whole screen jump.
    table.add_column("is", no_wrap=True, min_width=12)
    table.add_column("because", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(_legend() if wide else "last wake", no_wrap=True, min_width=41 if wide else 16)
    for row in scene.rows:
        mark, colour = _MARKS[row.standing]
        since = f" {short_clock(now - row.since)}" if row.since and now > row.since else ""
        why = Text(row.error, style="red") if row.error else Text(row.brief)
        drawn = bar(row.journey, wide=wide)
        table.add_row(Text(f"{mark} {row.key}", style=colour), Text(f"{row.standing}{since}"), why, drawn)
    return table


def _legend() -> Text:
    """The head of the bars, in their colours."""
    legend = Text("request", style="not dim")
    for stage, colour in _STAGES:
        legend.append(" → ").append(stage.value, style=colour)
    return legend


_COLOURS = ((r" up ", "green"), (r" zero ", "cyan"), (r" \[[a-z-]+\]$", "bright_black"))


def _news(news: Sequence[str], room: int) -> RenderableType:
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, line in enumerate(news):
        told = Text(line)
        for pattern, colour in _COLOURS:
            told.highlight_regex(pattern, colour)
        text.append("\n" if number else "").append_text(told)
    return Panel(text, title="what happened (UTC)", title_align="left", height=room + 2)


def _keys(scene: Scene, *, wide: bool) -> RenderableType:
    line = Text(no_wrap=True, overflow="ellipsis")
    undone = {key for key, broken in (("b", scene.blind), ("f", scene.frozen)) if broken}
    for key, *words in KEYS:
        meaning, word = _UNDO[key] if key in undone else words
        line.append(f" {key} ", style="reverse").append(f" {meaning if wide else word}  ")
    return line
