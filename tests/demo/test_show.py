"""What the demo's screen says, at every size of a terminal."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console, ConsoleDimensions

from consumer.core.service import ServiceKey
from consumer.demo import picture
from consumer.demo.show import KEYS, Scene, bar, many, render, short, short_clock
from consumer.demo.simulated import SIMULATED
from consumer.insight.board import Row
from consumer.insight.journeys import Journey

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)

WOKEN = Journey(
    ServiceKey("shop", "cart"),
    "c1",
    triggered_at=T0,
    decided_at=T0 + 4 * MS,
    accepted_at=T0 + 20 * MS,
    ready_at=T0 + 620 * MS,
)

ROWS = (
    Row(ServiceKey("data", "export"), 0, 0, brief="nothing asks for it (zero by elasti)", since=T0 - 75 * SECOND),
    Row(ServiceKey("media", "encoder"), 1, 0, brief="woken (request)", journey=replace(WOKEN, ready_at=None)),
    Row(ServiceKey("ops", "legacy"), brief="paused by annotation (sleep)"),
    Row(ServiceKey("shop", "cart"), 2, 2, brief="request-count#0 is 3, not below 1", journey=WOKEN),
    Row(ServiceKey("shop", "web"), 1, 1, brief="quiet", error="the API server refused: no such Deployment"),
)

SCENE = Scene(
    rows=ROWS,
    elapsed=65 * SECOND,
    length=None,
    kafka="127.0.0.1:34567",
    worker=4711,
    blind=False,
    frozen=False,
    wakes=2,
    sleeps=1,
    saved=143 * SECOND,
    news=("09:30:00 shop/cart          up    a request came at 09:30:00 [request]",),
    label=SIMULATED,
)


def drawn(scene: Scene, *, width: int = 120, height: int = 40) -> Sequence[str]:
    """The lines of the screen as text."""
    console = Console(record=True, width=width, file=io.StringIO(), color_system=None)
    console.print(render(scene, T0, ConsoleDimensions(width, height)))
    return [line.rstrip() for line in console.export_text().splitlines()]


def line_of(lines: Sequence[str], words: str) -> str:
    (line,) = (line for line in lines if words in line and "│" not in line)
    return line


@pytest.mark.parametrize("width", [80, 120, 200])
def test_every_service_is_a_sentence(width: int) -> None:
    lines = drawn(SCENE, width=width)
    assert line_of(lines, "data/export").startswith(" ○ data/export    asleep 1:15   nothing asks for it")
    assert line_of(lines, "media/encoder").startswith(" ◐ media/encoder  waking        woken (request)")
    assert line_of(lines, "ops/legacy").startswith(" ? ops/legacy     unknown       paused by annotation")
    assert line_of(lines, "shop/cart").startswith(" ● shop/cart      awake         request-count#0 is 3")


def test_a_wide_screen_writes_everything_out() -> None:
    lines = drawn(SCENE)
    assert lines[0] == ("elasti demo  SIMULATED cluster and metrics  real Kafka 127.0.0.1:34567  worker 4711  1:05")
    assert lines[1] == "5 services: 1 unknown · 1 asleep · 1 waking · 2 awake   2 wakes  1 sleep  143 pod-seconds saved"
    assert "request → decided → accepted → ready" in lines[2]
    assert line_of(lines, "shop/cart").endswith("████████████████  620 ms (elasti 20 ms)")
    assert line_of(lines, "media/encoder").endswith("waiting for the first ready replica")
    assert "the API server refused" in line_of(lines, "shop/web")
    assert [meaning in lines[-1] for _, meaning, _ in KEYS] == [True] * len(KEYS)


def test_a_narrow_screen_has_a_word_for_everything() -> None:
    lines = drawn(SCENE, width=80, height=24)
    assert "SIMULATED cluster  Kafka 127.0.0.1:34567  worker 4711" in lines[0]
    assert line_of(lines, "shop/cart").endswith("████████  620 ms")
    assert [word in lines[-1] for _, _, word in KEYS] == [True] * len(KEYS)


@pytest.mark.parametrize("width", [60, 80, 109, 110, 120, 200])
@pytest.mark.parametrize("height", [12, 24, 40])
def test_no_line_is_wrapped_and_the_keys_are_in_sight(width: int, height: int) -> None:
    news = tuple(f"09:30:0{second} shop/cart {'very ' * 50} long" for second in range(6))
    lines = drawn(replace(SCENE, news=news, blind=True, frozen=True), width=width, height=height)
    assert max(map(len, lines)) <= width
    # Two lines of figures, two alarms, the head of the table, the services, and the keys.
    assert len(lines) <= max(height, 2 + 2 + 1 + len(ROWS) + 1)
    assert lines[-1].endswith("quit")


def test_the_last_decisions_are_shown_when_there_is_no_room_for_all() -> None:
    news = tuple(f"decision {number}" for number in range(6))
    text = "\n".join(drawn(replace(SCENE, news=news), height=len(ROWS) + 8 + 2))
    assert "decision 5" in text
    assert "decision 4" in text
    assert "decision 3" not in text


def test_what_was_broken_on_purpose_is_said_with_the_key_that_ends_it() -> None:
    lines = drawn(replace(SCENE, worker=None, blind=True, frozen=True))
    text = "\n".join(lines)
    assert "worker is dead" in lines[0]
    assert "Prometheus is blind: nothing may go to sleep on its word" in text
    assert "frozen: no sleeps, wakes go on" in text
    assert " b  let Prometheus see" in lines[-1]
    assert " f  allow the sleeps" in lines[-1]


def test_before_the_worker_is_there_that_is_said() -> None:
    lines = drawn(replace(SCENE, rows=(), wakes=0, sleeps=0, length=90 * SECOND))
    assert lines[0].endswith("1:05 of 1:30")
    assert lines[1].startswith("the worker takes its partitions over")


@pytest.mark.parametrize(
    ("stages", "cells"),
    [
        # 16 cells: 4 of 620 ms and 16 of 620 ms are less than a cell and get one all the same.
        ((4, 16, 600), (1, 1, 14)),
        ((500, 500, 1000), (4, 4, 8)),
        ((1000, 0, 0), (14, 1, 1)),
        ((0, 0, 0), (14, 1, 1)),
    ],
)
def test_a_bar_is_in_proportion_and_always_as_long(stages: tuple[int, int, int], cells: tuple[int, int, int]) -> None:
    decided = T0 + stages[0] * MS
    accepted = decided + stages[1] * MS
    journey = replace(WOKEN, decided_at=decided, accepted_at=accepted, ready_at=accepted + stages[2] * MS)
    drawn_bar = bar(journey)
    lengths = tuple(span.end - span.start for span in drawn_bar.spans[:3])
    assert lengths == cells
    assert drawn_bar.plain.startswith("█" * 16 + " ")


def test_who_never_woke_has_no_bar() -> None:
    assert bar(None).plain == ""


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (0 * MS, "0 ms"),
        (999 * MS, "999 ms"),
        (1000 * MS, "1.00 s"),
        (59_990 * MS, "59.99 s"),
        (59_999 * MS, "0m59s"),
        (60_000 * MS, "1m00s"),
        (125_000 * MS, "2m05s"),
    ],
)
def test_latencies_fit_a_narrow_column(length: timedelta, written: str) -> None:
    assert short(length) == written


@pytest.mark.parametrize(("length", "written"), [(0, "0:00"), (59, "0:59"), (60, "1:00"), (3605, "60:05")])
def test_running_times_are_minutes_and_seconds(length: int, written: str) -> None:
    assert short_clock(length * SECOND) == written


@pytest.mark.parametrize(("count", "written"), [(0, "0 wakes"), (1, "1 wake"), (2, "2 wakes")])
def test_one_is_not_many(count: int, written: str) -> None:
    assert many(count, "wake") == written


def test_a_picture_is_what_the_suffix_says(tmp_path: Path) -> None:
    screen = render(SCENE, T0, ConsoleDimensions(picture.WIDTH, picture.HEIGHT))
    text, svg = tmp_path / "screen.txt", tmp_path / "screen.svg"
    picture.save(text, screen)
    picture.save(svg, screen)
    assert text.read_text(encoding="utf-8").splitlines() == list(drawn(SCENE))
    assert svg.read_text(encoding="utf-8").startswith("<svg")
    assert "SIMULATED" in svg.read_text(encoding="utf-8")
