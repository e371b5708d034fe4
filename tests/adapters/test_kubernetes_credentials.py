"""Credentials on bad days: files that are being written, plugins that hang or fail, tokens that are refused."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from consumer.adapters.clock import ManualClock
from consumer.adapters.kubernetes.access import from_kubeconfig
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.kubeconfig import read_kubeconfig
from consumer.ports import TargetBusyError, TargetForbiddenError

VERSION = "client.authentication.k8s.io/v1"
RENEW = timedelta(minutes=5)
AGAIN = timedelta(seconds=10)
TICK = timedelta(milliseconds=1)


class Server:
    """Takes the tokens that it is told to take, and keeps the one of every call."""

    def __init__(self) -> None:
        self.url = ""
        self.good: set[str] = set()
        self.tokens: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens.append(token)
        return web.json_response({"message": "who is that?"}, status=200 if token in self.good else 401)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def written(file: Path, server: str, **user: object) -> Path:
    """A kubeconfig of one user."""
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "us"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "us", "user": user}],
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def plugin(program: str, *more: str) -> dict[str, object]:
    """A credential plugin that is this program."""
    return {"apiVersion": VERSION, "command": sys.executable, "args": ["-c", program, *more]}


class Entered:
    """One way in, by a file that holds a token, and the calls that use it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.clock = ManualClock()
        self.file = folder / "kubeconfig"
        self.server = server
        self.says("first")
        server.good = {"first"}

    async def open(self) -> Api:
        self.api = Api(await from_kubeconfig(self.clock, file=self.file))
        return self.api

    def says(self, token: str) -> None:
        """From now on the file has this token."""
        written(self.file, self.server.url, token=token)


@pytest.fixture
async def entered(server: Server, tmp_path: Path) -> AsyncIterator[Entered]:
    made = Entered(server, tmp_path)
    await made.open()
    yield made
    await made.api.close()


BROKEN = {
    "empty": "",
    "half a line": "current-context: here\nclusters:\n- name: here\n  cluster: {server: ht",
    "half the file": "current-context: here\ncontexts:\n- name: here\n",
    "no names": "current-context: here\ncontexts: [1]\nclusters: []\nusers: []\n",
    "something else": "- 1\n- 2\n",
    "a word": "kubeconfig",
    "no text": "\x00\x01",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
async def test_a_file_that_is_not_whole_is_refused_with_what_is_wrong(tmp_path: Path, content: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TargetForbiddenError, match=r"kubeconfig can not be used: .+; name another"):
        await from_kubeconfig(ManualClock(), file=file)


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
async def test_while_the_file_is_rewritten_the_token_from_before_serves_on(entered: Entered, content: str) -> None:
    entered.file.write_text(content, encoding="utf-8")
    entered.clock.advance(RENEW)
    await entered.api.get("/x")
    entered.says("second")
    # What failed is tried again soon, not after the usual five minutes.
    entered.clock.advance(AGAIN)
    entered.server.good.add("second")
    await entered.api.get("/x")
    assert entered.server.tokens == ["first", "second"]


async def test_a_refused_token_is_renewed_early_and_the_call_is_made_again(entered: Entered) -> None:
    entered.clock.advance(AGAIN)
    entered.says("second")
    entered.server.good = {"second"}
    await entered.api.get("/x")
    assert entered.server.tokens == ["first", "second"]


async def test_a_hundred_refused_calls_ask_for_new_credentials_once(server: Server, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = (
        "import sys, json; open(sys.argv[1], 'a').write('.'); n = open(sys.argv[1]).read().count('.');"
        f"print(json.dumps(dict(apiVersion={VERSION!r}, kind='ExecCredential', status=dict(token=f'token-{{n}}'))))"
    )
    file, clock = written(tmp_path / "kubeconfig", server.url, exec=plugin(program, str(asked))), ManualClock()
    api = Api(await from_kubeconfig(clock, file=file))
    server.good = {"token-2"}
    clock.advance(AGAIN)
    await asyncio.gather(*(api.get("/x") for _ in range(100)))
    assert asked.read_text() == ".."
    await api.close()


async def test_one_who_is_refused_for_good_is_told_so_and_asks_no_plugin_again_and_again(entered: Entered) -> None:
    entered.server.good = set()
    for _ in range(3):
        entered.clock.advance(AGAIN - TICK)
        with pytest.raises(TargetForbiddenError, match="who is that"):
            await entered.api.get("/x")
    # The file has said nothing new, so no call was made twice.
    assert entered.server.tokens == ["first"] * 3
    entered.says("second")
    with pytest.raises(TargetForbiddenError):
        await entered.api.get("/x")
    assert entered.server.tokens[3:] == ["first"]
    entered.clock.advance(AGAIN)
    with pytest.raises(TargetForbiddenError):
        await entered.api.get("/x")
    assert entered.server.tokens[4:] == ["first", "second"]


async def test_a_refused_token_without_a_new_one_to_be_had_is_a_trouble_that_may_pass(entered: Entered) -> None:
    entered.server.good = set()
    entered.file.write_text("", encoding="utf-8")
    entered.clock.advance(AGAIN)
    with pytest.raises(
        TargetBusyError, match=r"takes our credentials no more, .*kubeconfig can not be used: it is empty"
    ):
        await entered.api.get("/x")
    entered.says("second")
    entered.server.good = {"second"}
    entered.clock.advance(AGAIN)
    await entered.api.get("/x")
    assert entered.server.tokens == ["first", "second"]


async def test_a_clock_that_is_put_back_keeps_no_old_token_in_use(entered: Entered) -> None:
    entered.says("second")
    entered.server.good = {"first", "second"}
    entered.clock.now -= timedelta(minutes=10)
    await entered.api.get("/x")
    assert entered.server.tokens == ["second"]


ENDINGS: Sequence[tuple[str, str]] = (
    ("raise SystemExit('no login')", "ended with 1: no login"),
    ("print('hello')", "printed something that is no JSON"),
    ("print('{}')", f"printed no ExecCredential of {VERSION}"),
    ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
    (
        f"""print('{{"apiVersion": "{VERSION}", "kind": "ExecCredential", "status": {{}}}}')""",
        "named neither a token nor a certificate",
    ),
)


@pytest.mark.parametrize(("program", "told"), ENDINGS)
async def test_a_plugin_that_fails_is_named_with_what_it_did(tmp_path: Path, program: str, told: str) -> None:
    file = written(tmp_path / "kubeconfig", "http://127.0.0.1:1", exec=plugin(program))
    with pytest.raises(TargetBusyError, match=told) as busy:
        await from_kubeconfig(ManualClock(), file=file)
    assert sys.executable in str(busy.value)


async def test_a_plugin_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "login")
    file = written(tmp_path / "kubeconfig", "http://127.0.0.1:1", exec={"apiVersion": VERSION, "command": missing})
    with pytest.raises(TargetBusyError, match=r"login of the kubeconfig can not be started .*install it"):
        await from_kubeconfig(ManualClock(), file=file)


HANGING = """
import os, subprocess, sys, time
with open(sys.argv[1], "w") as told:
    print(os.getpid(), subprocess.Popen(["sleep", "600"]).pid, file=told)
time.sleep(600)
"""


async def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    file = written(tmp_path / "kubeconfig", "http://127.0.0.1:1", exec=plugin(HANGING, str(pids)))
    asking = asyncio.create_task(read_kubeconfig(file, None, timedelta(seconds=2)))
    started = [int(pid) for pid in (await asyncio.to_thread(pids.read_text)).split()]
    with pytest.raises(TargetBusyError, match="did not end within 2 s"):
        await asking
    for pid in started:
        await ended(pid)


async def test_who_waits_no_longer_leaves_no_plugin_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    file = written(tmp_path / "kubeconfig", "http://127.0.0.1:1", exec=plugin(HANGING, str(pids)))
    asking = asyncio.create_task(read_kubeconfig(file, None))
    started = [int(pid) for pid in (await asyncio.to_thread(pids.read_text)).split()]
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for pid in started:
        await ended(pid)


async def test_a_plugin_that_hangs_holds_no_call_up_that_has_a_token(server: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    server.good = {"first"}
    clock = ManualClock()
    file = written(tmp_path / "kubeconfig", server.url, token="first")  # noqa: S106 - of this test
    api = Api(await from_kubeconfig(clock, file=file))
    written(file, server.url, exec=plugin(HANGING, str(pids)))
    clock.advance(RENEW)
    calls = asyncio.gather(*(api.get("/x") for _ in range(10)))
    started = [int(pid) for pid in (await asyncio.to_thread(pids.read_text)).split()]
    await calls
    assert server.tokens == ["first"] * 10
    await api.close()
    for pid in started:
        await ended(pid)


async def ended(pid: int) -> None:
    """Wait for the end of a process that is not our child; init takes it over and buries it."""
    async with asyncio.timeout(10):
        while _state(pid) not in ("", "Z"):  # noqa: ASYNC110 - nobody tells us of the end of a grandchild
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
