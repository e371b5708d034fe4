"""A real Prometheus that scrapes a real exporter whose values the test sets."""

import asyncio
import json
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from consumer.children import Guard, halt

_HOST = "127.0.0.1"
_READY = b"Server is ready to receive web requests"
_START_LIMIT = 30.0


class Exporter:
    """A page of metrics: `set` a series, `remove` it, and wait until Prometheus has fetched the page."""

    def __init__(self) -> None:
        self._series: dict[str, float] = {}
        self._scrapes = 0
        self._scraped = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def set(self, name: str, value: float, **labels: str) -> None:
        """Give the series this value from the next scrape on."""
        self._series[_series(name, labels)] = value

    def remove(self, name: str, **labels: str) -> float:
        """Let the series vanish from the page, and return its value; Prometheus marks it stale at the next scrape."""
        return self._series.pop(_series(name, labels))

    async def next_scrape(self) -> None:
        """Wait until the page was fetched once more."""
        async with self._scraped:
            seen = self._scrapes
            await self._scraped.wait_for(lambda: self._scrapes > seen)

    async def start(self) -> None:
        """Serve the page on a free port."""
        app = web.Application()
        app.router.add_get("/metrics", self._page)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop serving; Prometheus sees `up` fall to 0."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _page(self, _: web.Request) -> web.Response:
        lines = "".join(f"{series} {value!r}\n" for series, value in self._series.items())
        async with self._scraped:
            self._scrapes += 1
            self._scraped.notify_all()
        return web.Response(text=lines, headers={"Content-Type": "text/plain; version=0.0.4"})


class PrometheusServer:
    """`async with PrometheusServer() as server`: `server.url`, `server.exporter`, scraped every second.

    The server scrapes itself with the label `container="prometheus"`, so that the default health query is
    true. `history` is OpenMetrics text (it ends with `# EOF`) whose samples become blocks before the start; `web` is
    a web configuration of Prometheus, behind which neither `query` nor its own scrapes get through.
    """

    def __init__(self, *, history: str | None = None, web: Path | None = None) -> None:
        self.exporter = Exporter()
        self.url = ""
        self._history = history
        self._web = web
        self._home = Path()
        self._guard: Guard | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None
        self._words = b""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Start exporter and server; return when queries are answered."""
        await self.exporter.start()
        self._home = Path(tempfile.mkdtemp(prefix="elasti-prometheus-"))
        self._guard = await Guard.over(self._home)
        self._session = aiohttp.ClientSession()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both and remove every file."""
        await self.stop()

    async def stop(self) -> None:
        """Stop both and remove every file."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(signal.SIGCONT)
                self._process.terminate()
            await self._process.wait()
        if self._follower is not None:
            await self._follower
        if self._guard is not None:
            if self._process is not None:
                self._guard.forget(self._process.pid)
            await self._guard.finish()
        if self._session is not None:
            await self._session.close()
        await self.exporter.stop()

    def pause(self) -> None:
        """Freeze the server: connections are taken by the kernel and never answered."""
        halt(self._running().pid)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._running().send_signal(signal.SIGCONT)

    async def query(self, expression: str, at: float | None = None) -> dict[str, float]:
        """Ask for an instant vector or a scalar: value by the JSON of its labels, in Prometheus' own words."""
        if self._session is None:
            raise RuntimeError("start the Prometheus server before asking it")
        form = {"query": expression} | ({} if at is None else {"time": repr(at)})
        async with self._session.post(f"{self.url}/api/v1/query", data=form) as response:
            answer = json.loads(await response.text())
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        if answer["data"]["resultType"] == "scalar":
            return {"{}": float(answer["data"]["result"][1])}
        return {
            json.dumps(series["metric"], sort_keys=True): float(series["value"][1])
            for series in answer["data"]["result"]
        }

    async def until(self, expression: str, holds: Callable[[list[float]], bool]) -> list[float]:
        """Wait, scrape by scrape, until the values of the expression satisfy the test; return them."""
        while not holds(values := list((await self.query(expression)).values())):
            await self.exporter.next_scrape()
        return values

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the Prometheus server is not running")
        return self._process

    async def _start(self) -> None:
        port = _free_port()
        self.url = f"http://{_HOST}:{port}"
        config = self._home / "prometheus.yml"
        config.write_text(_config(server=port, exporter=self.exporter.port))
        data = self._home / "data"
        if self._history is not None:
            await _write_history(self._history, self._home, data)
        self._process = await asyncio.create_subprocess_exec(
            _program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=365d",
            f"--web.listen-address={_HOST}:{port}",
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
            *([f"--web.config.file={self._web}"] if self._web else []),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        if self._guard is not None:
            self._guard.watch(self._process.pid)
        await self._until_ready(self._process)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        """Its own word is the proof that the port is served by the child that we started."""
        ready = asyncio.Event()
        self._follower = asyncio.create_task(self._follow(process, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((self._follower, waiting), timeout=_START_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            raise RuntimeError(f"prometheus did not start; its last words: {self._words.decode()}")

    async def _follow(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        if process.stderr is None:
            return
        while chunk := await process.stderr.read(65_536):
            self._words = (self._words + chunk)[-4_000:]
            if _READY in self._words:
                ready.set()


async def _write_history(history: str, home: Path, data: Path) -> None:
    source = home / "history.om"
    source.write_text(history)
    tool = await asyncio.create_subprocess_exec(
        _program("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(source),
        str(data),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await tool.communicate()
    if tool.returncode:
        raise RuntimeError(f"promtool refused the history: {output.decode()}")


def _program(name: str) -> str:
    """Find a program on PATH; a missing one fails the test, since a live test that is skipped proves nothing."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(
            f"{name} is not on PATH and live tests need it: `apt-get install prometheus` on Debian, or unpack "
            "a release of Prometheus and put it on PATH"
        )
    return found


def _series(name: str, labels: dict[str, str]) -> str:
    if not labels:
        return name
    inside = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in labels.items())
    return f"{name}{{{inside}}}"


def _config(*, server: int, exporter: int) -> str:
    # The evaluation interval is also the step of a subquery `[3s:]`: at its default of a minute, the default
    # health query finds a point in a window of 3 s in three seconds of every minute only.
    return f"""\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: ["{_HOST}:{server}"]
        labels: {{container: prometheus}}
  - job_name: exporter
    static_configs:
      - targets: ["{_HOST}:{exporter}"]
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
