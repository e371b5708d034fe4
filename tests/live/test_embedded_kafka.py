"""The embedded Kafka is a real broker, and nothing of it is left behind however its owner ends."""

import asyncio
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumer.adapters.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from tests.live.program import ended

# A program that owns a broker, says so, and waits to be ended.
OWNER = """
import asyncio
from consumer.adapters.embedded_kafka import EmbeddedKafka

async def main():
    async with EmbeddedKafka() as kafka:
        print(kafka.pid, kafka.bootstrap, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


@asynccontextmanager
async def a_producer(bootstrap: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while len(values) < end:
            values.append((await consumer.getone()).value)
        return values
    finally:
        await consumer.stop()


def home_of(pid: int) -> Path:
    """The broker's folder, as its own command line names it."""
    return Path(next(word for word in words_of(pid) if word.endswith("server.properties"))).parent


def words_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def those_who_name(folder: Path) -> list[int]:
    """Every process whose command line names the folder: the broker and its guard."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if any(str(folder) in word for word in words_of(pid))]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def nothing_is_left(home: Path) -> bool:
    return not home.exists() and not those_who_name(home)


async def an_owner() -> tuple[asyncio.subprocess.Process, int]:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert owner.stdout is not None
    pid = int((await owner.stdout.readline()).split()[0])
    return owner, pid


async def test_what_is_produced_is_consumed(kafka: EmbeddedKafka, prefix: str) -> None:
    topic = f"{prefix}round"
    await create(kafka.bootstrap, topic)
    async with a_producer(kafka.bootstrap) as producer:
        await producer.send_and_wait(topic, b"hello")
    assert await read_all(kafka.bootstrap, topic) == [b"hello"]


async def test_a_transaction_commits(kafka: EmbeddedKafka, prefix: str) -> None:
    topic = f"{prefix}tx"
    await create(kafka.bootstrap, topic)
    async with a_producer(kafka.bootstrap, transactional_id=f"{prefix}id") as producer, producer.transaction():
        await producer.send(topic, b"inside")
    assert b"inside" in await read_committed(kafka.bootstrap, topic)


async def read_committed(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        value: bytes = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()


async def test_a_topic_that_nobody_created_does_not_appear_by_itself(kafka: EmbeddedKafka, prefix: str) -> None:
    async with a_producer(kafka.bootstrap, request_timeout_ms=1_000) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{prefix}nowhere", b"x")


async def test_a_polite_stop_leaves_no_process_and_no_folder() -> None:
    async with EmbeddedKafka() as kafka:
        home = home_of(kafka.pid)
        assert len(those_who_name(home)) == 2
    assert nothing_is_left(home)
    with pytest.raises(EmbeddedKafkaError, match="not running"):
        _ = kafka.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_an_owner_that_is_ended_leaves_no_process_and_no_folder(how: signal.Signals) -> None:
    owner, pid = await an_owner()
    home = home_of(pid)
    around = those_who_name(home)
    # As a terminal does it: the whole foreground group gets the signal.
    os.killpg(owner.pid, how)
    await owner.wait()
    for other in around:
        await ended(other)
    assert nothing_is_left(home)


# The three moments fall into: before any process, while the storage is formatted, while the broker starts.
@pytest.mark.parametrize("after", [0.0, 0.3, 1.2])
async def test_a_start_that_is_cancelled_leaves_no_process_and_no_folder(
    after: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task = asyncio.create_task(EmbeddedKafka().start())
    await asyncio.wait({task}, timeout=after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(tmp_path) == []
    assert those_who_name(tmp_path) == []


async def test_a_broker_that_was_killed_restarts_on_the_same_port_with_its_data(
    own_kafka: EmbeddedKafka,
) -> None:
    before = own_kafka.bootstrap
    await create(before, "kept")
    async with a_producer(before) as producer:
        await producer.send_and_wait("kept", b"still here")
    await own_kafka.kill()
    await own_kafka.restart()
    assert own_kafka.bootstrap == before
    assert await read_all(before, "kept") == [b"still here"]


async def test_a_broker_that_someone_else_ends_is_lost_and_one_that_we_end_is_not(own_kafka: EmbeddedKafka) -> None:
    loss = asyncio.ensure_future(own_kafka.lost())
    await own_kafka.kill()
    await own_kafka.restart()
    assert not loss.done()
    os.kill(own_kafka.pid, signal.SIGKILL)
    assert "it ended by itself (exit code -9)" in str(await loss)
    assert await own_kafka.lost() is await loss


async def test_a_broker_property_that_is_given_replaces_ours() -> None:
    async with EmbeddedKafka(properties={"message.max.bytes": "2000"}) as kafka:
        await create(kafka.bootstrap, "small")
        async with a_producer(kafka.bootstrap) as producer:
            await producer.send_and_wait("small", b"x" * 1_000)
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send_and_wait("small", b"x" * 3_000)


async def test_a_paused_broker_answers_nothing_until_it_is_resumed(own_kafka: EmbeddedKafka) -> None:
    await create(own_kafka.bootstrap, "patient")
    async with a_producer(own_kafka.bootstrap, request_timeout_ms=60_000) as producer:
        await producer.send_and_wait("patient", b"1")
        own_kafka.pause()
        sent = asyncio.ensure_future(producer.send_and_wait("patient", b"2"))
        done, _ = await asyncio.wait({sent}, timeout=1)
        assert not done
        own_kafka.resume()
        assert (await sent).offset == 1


async def test_a_paused_broker_can_be_stopped() -> None:
    async with EmbeddedKafka() as kafka:
        home = home_of(kafka.pid)
        kafka.pause()
    assert nothing_is_left(home)


async def test_a_directory_that_is_given_keeps_its_data_from_run_to_run(tmp_path: Path) -> None:
    async with EmbeddedKafka(directory=tmp_path) as kafka:
        await create(kafka.bootstrap, "kept")
        async with a_producer(kafka.bootstrap) as producer:
            await producer.send_and_wait("kept", b"yesterday")
    async with EmbeddedKafka(directory=tmp_path) as kafka:
        assert await read_all(kafka.bootstrap, "kept") == [b"yesterday"]


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=rf"port {port} .*choose another port"):
            await EmbeddedKafka(port=port).start()


async def test_without_a_network_the_first_start_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 of loopback is closed: the network as it looks behind a dead proxy.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(EmbeddedKafkaError, match="first start needs the network") as failed:
        await EmbeddedKafka(cache=tmp_path / "cache").start()
    assert re.search(r"kafka-[\d.]+ from a machine that has it", str(failed.value))
    assert names_in(tmp_path / "cache") == ["fetch.lock"]
