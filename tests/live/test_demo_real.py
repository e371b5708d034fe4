"""The demo on a real control plane: ElastiServices sleep and wake there by way of its API, and nothing of it stays."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from consumer.adapters.control_plane.programs import built
from consumer.children import cache_root
from consumer.demo.scenario import ACTORS
from tests.live.program import LIMIT, Terminal, ended, line_with, running, those_of

LOOK = re.compile(r"in another terminal: \S*kubectl --kubeconfig (\S+) get elastiservices -A -w")


def nothing_is_left(folder: Path) -> bool:
    return not those_of(folder) and not list(folder.iterdir())


async def kubectl(kubeconfig: str, cache: Path, *words: str) -> str:
    """What kubectl says, as a person in another terminal would read it."""
    process = await asyncio.create_subprocess_exec(
        str(built(cache_root())["kubectl"]),
        *(f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *words),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


@pytest.mark.timeout(240)
async def test_services_sleep_and_wake_on_the_real_api_and_the_figures_say_so(tmp_path: Path) -> None:
    temporary, cache = tmp_path / "temporary", tmp_path / "cache"
    temporary.mkdir()
    words = ("demo", "--cluster", "real", "--for", "35s", "--json", "--picture", tmp_path / "screen.txt")
    async with running(*words, folder=temporary) as demo:
        said = LOOK.search(await line_with(demo.stderr, "in another terminal: "))
        assert said is not None
        watch = await asyncio.create_subprocess_exec(
            str(built(cache_root())["kubectl"]),
            *(f"--kubeconfig={said[1]}", f"--cache-dir={cache}"),
            *("get", "deployment", "cart", "-n", "shop", "-w", "-o", "jsonpath={.spec.replicas}{'\\n'}"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert watch.stdout is not None
        policies = json.loads(await kubectl(said[1], cache, "get", "elastiservices", "-A", "-o", "json"))
        assert len(policies["items"]) == len(ACTORS)
        async with asyncio.timeout(LIMIT):
            out, err = await demo.communicate()
            # The plane is gone, and its watchers with it; what they saw was written by the cluster, not by the demo.
            seen = [line for line in (await watch.communicate())[0].decode().split() if line in {"0", "1"}]
        assert demo.returncode == 0, err.decode()
    assert "".join(seen).strip("1").startswith("0")
    assert "01" in "".join(seen)
    figures = json.loads(out)
    assert figures["wakes"] >= 1
    assert figures["sleeps"] >= 2
    assert figures["failures"] == 0
    assert 0 < figures["podSeconds"]["used"] < figures["podSeconds"]["alwaysOn"]
    assert figures["wakeLatencyMs"]["total"]["count"] >= 1
    assert "REAL API server" in (tmp_path / "screen.txt").read_text(encoding="utf-8")
    assert nothing_is_left(temporary)


@pytest.mark.parametrize("at", ["starting a Kubernetes control plane", "starting the handler", "[busy]"])
async def test_a_kill_leaves_nothing_of_the_cluster_either(tmp_path: Path, at: str) -> None:
    async with running("demo", "--cluster", "real", "--plain", folder=tmp_path) as demo:
        await line_with(demo.stdout, at)
        family = those_of(tmp_path)
        assert len(family) >= 3
        demo.kill()
        await demo.wait()
        for pid in family:
            await ended(pid)
    assert nothing_is_left(tmp_path)


async def test_the_keys_work_there_as_well(tmp_path: Path) -> None:
    terminal = Terminal()
    async with terminal.running("demo", "--cluster", "real", folder=tmp_path) as demo:
        first = int((await terminal.shows(r"REAL API server.* worker (\d+)"))[1])
        await terminal.shows("kubectl --kubeconfig ")
        await terminal.shows(r"● shop/web +awake")
        terminal.press("f")
        await terminal.shows("frozen: no sleeps, wakes go on")
        terminal.press("f")
        await terminal.shows("sleeps are allowed again")
        terminal.press("k")
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
    assert nothing_is_left(tmp_path)
