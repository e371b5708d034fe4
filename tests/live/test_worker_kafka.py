"""Workers on a real broker: shared services, kills at each step, zombies, early requests and poison."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader, create_topics
from consumer.adapters.kafka.connection import admin
from consumer.core.inputs import RecordCause
from consumer.core.outcome import derived_id
from consumer.core.service import ServiceKey
from consumer.ports import Output, Placed, Record
from consumer.worker.settings import WorkerPorts
from consumer.worker.worker import Worker
from schemas.codec import Undecodable, decode
from schemas.dead_letter import said_of
from schemas.partitioning import partition_for, record_key
from schemas.scale_command import ScaleCommand
from schemas.topics import Topic
from tests.live.worker_process import ports_on, settings_of

PARTITIONS = 3
SERVICES = ["web", "cart", "pay", "auth", "mail", "blog"]


class Stage:
    """One installation's topics on the shared broker, seen from outside."""

    def __init__(self, kafka: EmbeddedKafka, prefix: str) -> None:
        self.bootstrap = kafka.bootstrap
        self.prefix = prefix
        self.settings = settings_of(prefix)
        self.connection = KafkaConnection(kafka.bootstrap)
        self.publisher = KafkaPublisher(self.connection)

    async def request(self, name: str) -> Placed:
        """A request by a producer that knows where it belongs."""
        value = json.dumps({"svc": name, "namespace": "shop"}).encode()
        return await self.raw(value, partition_for("shop", name, PARTITIONS), record_key("shop", name))

    async def raw(self, value: bytes | None, partition: int, key: bytes | None = None) -> Placed:
        """Whatever some producer sends."""
        return await self.publisher.publish(Output(self.prefix + Topic.REQUEST_COUNTS, partition, key, value))

    async def records(self, topic: Topic, partitions: int = PARTITIONS) -> list[Record]:
        """All durable records of a topic."""
        reader = KafkaReader(self.connection)
        return [
            record
            for partition in range(partitions)
            async for batch in reader.read_to_end(self.prefix + topic, partition)
            for record in batch
        ]

    async def commands(self) -> list[ScaleCommand]:
        """All durable commands that requests caused; nobody answers here, so each is asked again after 5 s."""
        found = [decode(ScaleCommand, record.value) for record in await self.records(Topic.SCALE_COMMANDS)]
        known = [command for command in found if not isinstance(command, Undecodable)]
        return [command for command in known if command.reason.code == "request"]

    async def commanded(self, ids: set[str]) -> list[ScaleCommand]:
        """Wait for commands with these ids; returns all there are then."""
        while True:
            commands = await self.commands()
            if ids <= {command.id for command in commands}:
                return commands
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def worker(self, services: list[str]) -> AsyncIterator[Worker]:
        """A worker in this process, ready, and stopped politely at the end."""
        ports = ports_on(self.bootstrap, self.settings, services)
        worker = Worker(ports, self.settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(worker.run())
            try:
                await _until(lambda: running.done() or _is_ready(worker))
                yield worker
            finally:
                await worker.stop()
        await _close(ports)

    @asynccontextmanager
    async def process(self, step: str, number: int, services: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        """A worker in a process of its own; killed at the end if it still lives."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.live.worker_process", self.bootstrap, self.prefix, step, str(number)),
            *services,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _close(ports: WorkerPorts) -> None:
    assert isinstance(ports.publisher, KafkaPublisher)
    await ports.publisher.close()


def _is_ready(worker: Worker) -> bool:
    return worker.health().ready and bool(worker.health().partitions)


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for lies in another process or in the broker
        await asyncio.sleep(0.05)


async def heard(process: asyncio.subprocess.Process, word: str) -> None:
    """Wait until the process says a word."""
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().strip() == word:
            return
    raise AssertionError(f"the process ended without saying {word}")


def command_id(name: str, placed: Placed) -> str:
    cause = RecordCause(placed.topic, placed.partition, placed.offset)
    return derived_id("command", ServiceKey("shop", name), cause)


@pytest.fixture
async def stage(kafka: EmbeddedKafka, prefix: str) -> AsyncIterator[Stage]:
    stage = Stage(kafka, prefix)
    await create_topics(stage.connection, prefix, partitions=PARTITIONS, replication=1)
    yield stage
    await stage.publisher.close()


async def test_requests_that_waited_before_the_first_start_are_read(stage: Stage) -> None:
    asked = {name: await stage.request(name) for name in SERVICES}
    stray = await stage.raw(b'{"svc": "stray", "namespace": "shop"}', (partition_for("shop", "stray", 3) + 1) % 3)
    expected = {command_id(name, placed) for name, placed in {**asked, "stray": stray}.items()}
    async with stage.worker([*SERVICES, "stray"]):
        commands = await stage.commanded(expected)
    assert {command.id for command in commands} == expected
    assert len(commands) == len(expected)


async def test_two_workers_share_and_the_one_that_stays_goes_on_with_the_state(stage: Stage) -> None:
    async with stage.worker(SERVICES) as stays:
        async with stage.worker(SERVICES) as leaves:
            await _until(lambda: len(stays.health().partitions) in {1, 2} and stays.health().ready)
            await _until(lambda: len(stays.health().partitions) + len(leaves.health().partitions) == PARTITIONS)
            first = {command_id(name, await stage.request(name)) for name in SERVICES}
            await stage.commanded(first)
        await _until(lambda: len(stays.health().partitions) == PARTITIONS and stays.health().ready)
        # The state says that they were asked to wake already: these requests cause nothing more.
        for name in SERVICES:
            await _until_read(stage, await stage.request(name))
        commands = await stage.commands()
    assert sorted(command.id for command in commands) == sorted(first)


@pytest.mark.parametrize(
    "step",
    [
        "before opening a writer",
        "after opening a writer",
        "restored",
        "seek",
        "fetch",
        "before a wake's commit",
        "command sent",
        "offsets sent",
        "all acknowledged",
        "after a wake's commit",
    ],
)
async def test_a_worker_killed_at_any_step_loses_no_wake_and_doubles_none(stage: Stage, step: str) -> None:
    asked = await stage.request("web")
    async with stage.process(step, signal.SIGKILL, ["web"]) as victim:
        await heard(victim, "trapped")
        await victim.wait()
    async with stage.worker(["web"]):
        other = await stage.request("web")
        commands = await stage.commanded({command_id("web", asked)})
        await _until_read(stage, other)
        commands = await stage.commands()
    assert [command.id for command in commands] == [command_id("web", asked)]


async def test_a_zombie_can_write_nothing(stage: Stage) -> None:
    async with stage.process("fetch", signal.SIGSTOP, ["web"]) as zombie:
        await heard(zombie, "ready")
        asked = await stage.request("web")
        await heard(zombie, "trapped")
        async with stage.worker(["web"]) as heir:
            await _until(lambda: len(heir.health().partitions) == PARTITIONS and heir.health().ready)
            await stage.commanded({command_id("web", asked)})
            zombie.send_signal(signal.SIGCONT)
            # It finds itself fenced, drops everything and joins anew: then there are two.
            await _until(lambda: len(heir.health().partitions) < PARTITIONS and heir.health().ready)
            later = await stage.request("web")
            await _until_read(stage, later)
            commands = await stage.commands()
    assert [command.id for command in commands] == [command_id("web", asked)]


async def _until_read(stage: Stage, placed: Placed) -> None:
    """Wait until the group's offset is behind this record."""
    async with admin(stage.connection) as client:
        while True:
            offsets = await client.list_consumer_group_offsets(stage.settings.subscription().group)
            done = {(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items()}
            if done.get((placed.topic, placed.partition), 0) > placed.offset:
                return
            await asyncio.sleep(0.1)


async def test_poison_of_all_kinds_ends_in_the_dead_letters_and_the_offset_moves_on(stage: Stage) -> None:
    home = partition_for("shop", "web", PARTITIONS)
    poison = {
        b"{": "not JSON",
        b"": "not JSON",
        b"\x00\xff\xfe\x01": "not JSON",
        b"[1]": "not a JSON object",
        b'{"svc": "web"}': "namespace",
        b'{"svc": "web", "namespace": "shop", "count": "3"}': "count",
        b'{"svc": "web", "namespace": "shop", "count": -1}': "count",
        b'{"svc": "web", "namespace": "shop", "count": 1.5}': "count",
        b'{"svc": "UPPER", "namespace": "shop"}': "svc",
        b"x" * 1_040_000: "not JSON",
    }
    for value in poison:
        await stage.raw(value, home, b"k" * 10)
    await stage.raw(None, home, b"tombstone")
    asked = await stage.request("web")
    async with stage.worker(["web"]):
        await stage.commanded({command_id("web", asked)})
        await _until_read(stage, asked)
    letters = await stage.records(Topic.DEAD_LETTER, 1)
    assert len(letters) == len(poison) + 1
    for letter, (value, cause) in zip(letters, poison.items(), strict=False):
        said = said_of(letter.headers)
        assert cause in said["cause"]
        assert (letter.value or b"") == value[: len(letter.value or b"")]
        assert said["topic"] == stage.prefix + Topic.REQUEST_COUNTS
    assert "tombstone" in said_of(letters[-1].headers)["cause"]
    assert said_of(letters[-2].headers)["cut"] == "1040000"
