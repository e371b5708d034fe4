"""The demo as its user meets it: it plays, it ends however it is ended, and nothing of it stays."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.live.program import LIMIT, Terminal, ended, line_with, running, those_of

PLAYING = "playing on a real Kafka"


def nothing_is_left(folder: Path) -> bool:
    return not those_of(folder) and not list(folder.iterdir())


async def test_it_ends_by_itself_with_a_summary(tmp_path: Path) -> None:
    async with running("demo", "--for", "22s", "--plain", folder=tmp_path) as demo:
        async with asyncio.timeout(LIMIT):
            out, err = await demo.communicate()
        text = out.decode()
        assert (demo.returncode, err) == (0, b"")
    said = text.splitlines()
    assert any(" zero " in line and line.endswith("[idle]") for line in said)
    assert any(" up " in line and line.endswith("[request]") for line in said)
    assert "pod-seconds saved: " in text
    assert "  request in the log → ready " in text
    assert nothing_is_left(tmp_path)


async def test_its_json_stands_alone_and_its_pictures_are_saved(tmp_path: Path) -> None:
    temporary, screen = tmp_path / "temporary", tmp_path / "screen.txt"
    temporary.mkdir()
    words = ("demo", "--for", "4s", "--json", "--picture", screen, "--picture", tmp_path / "screen.svg")
    async with running(*words, folder=temporary) as demo:
        async with asyncio.timeout(LIMIT):
            out, err = await demo.communicate()
        assert demo.returncode == 0
    figures = json.loads(out)
    assert figures["seconds"] >= 4
    assert figures["workerDeaths"] == 0
    assert PLAYING in err.decode()
    assert "SIMULATED cluster" in screen.read_text(encoding="utf-8")
    assert (tmp_path / "screen.svg").read_text(encoding="utf-8").startswith("<svg")
    assert nothing_is_left(temporary)


@pytest.mark.parametrize(
    ("number", "at", "code"),
    [
        (signal.SIGINT, "starting Apache Kafka", 130),
        (signal.SIGTERM, "starting the handler", 130),
        (signal.SIGINT, PLAYING, 0),
        (signal.SIGTERM, "[busy]", 0),
    ],
    ids=str,
)
async def test_a_signal_ends_it_and_everything_it_started(
    tmp_path: Path, number: signal.Signals, at: str, code: int
) -> None:
    async with running("demo", "--plain", folder=tmp_path) as demo:
        await line_with(demo.stdout, at)
        # As a terminal does it: to all of the group, not to the first process alone.
        os.killpg(demo.pid, number)
        async with asyncio.timeout(LIMIT):
            out, err = await demo.communicate()
        assert demo.returncode == code
        assert "Traceback" not in err.decode()
        assert ("pod-seconds saved" in out.decode()) == (code == 0)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("at", ["starting Apache Kafka", "[busy]"])
async def test_a_kill_leaves_nothing_either(tmp_path: Path, at: str) -> None:
    async with running("demo", "--plain", folder=tmp_path) as demo:
        await line_with(demo.stdout, at)
        family = those_of(tmp_path)
        # Itself, the guards' shells and Java, or the worker too: all have to go.
        assert len(family) >= 3
        demo.kill()
        await demo.wait()
        for pid in family:
            await ended(pid)
    assert nothing_is_left(tmp_path)


async def test_the_screen_shows_the_services_and_its_keys_break_and_mend(tmp_path: Path) -> None:
    terminal = Terminal()
    before = terminal.modes()
    async with terminal.running("demo", folder=tmp_path) as demo:
        first = int((await terminal.shows(r"SIMULATED cluster and metrics .* worker (\d+)"))[1])
        await terminal.shows(r"● shop/web +awake")
        # Two at once: none may be lost.
        terminal.press("bf")
        await terminal.shows("Prometheus is blind: nothing may go to sleep on its word")
        await terminal.shows("frozen: no sleeps, wakes go on")
        terminal.press("bf")
        await terminal.shows("Prometheus sees again")
        await terminal.shows("sleeps are allowed again")
        terminal.press("k")
        await terminal.shows(f"killed the worker, pid {first}, with -9")
        await ended(first)
        await terminal.shows(rf"metrics .* worker (?!{first})\d+")
        await terminal.shows(r"○ data/export +asleep")
        terminal.press("w")
        woken = (await terminal.shows(r"one request to ([a-z/]+)"))[1]
        await terminal.shows(rf"● {woken} +awake")
        terminal.press("q")
        await terminal.shows("ran 0:")
        async with asyncio.timeout(LIMIT):
            assert await demo.wait() == 0
        assert terminal.modes() == before
    assert nothing_is_left(tmp_path)


async def test_ctrl_c_on_the_screen_ends_with_the_summary_on_a_terminal_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(width=80, height=24)
    before = terminal.modes()
    async with terminal.running("demo", folder=tmp_path) as demo:
        await terminal.shows(r"● shop/web +awake")
        terminal.press("\x03")
        await terminal.shows("ran 0:")
        async with asyncio.timeout(LIMIT):
            assert await demo.wait() == 0
        assert terminal.modes() == before
    assert nothing_is_left(tmp_path)
