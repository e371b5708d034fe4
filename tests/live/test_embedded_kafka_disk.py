"""A disk that is full or may not be written: the embedded Kafka says so at once, and nothing that was kept is hurt."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumer.adapters.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader, KafkaWriters
from consumer.adapters.kafka.writer import KafkaWriter
from consumer.ports import LogError, Output, Transaction
from tests.live.disk import Disk, own_disk
from tests.live.program import LIMIT, line_with, running, those_of
from tests.live.test_embedded_kafka import home_of

ONE_BY_ONE, TOGETHER, GROUP = "one-by-one", "together", "group"
IN_ONE = 3
"""Records of a transaction."""
LITTLE = 100_000_000
"""Bytes that are too few to start on."""
ALMOST = 400_000
"""Bytes that a few hundred records take."""

POLICY = """\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata: {name: web, namespace: shop}
spec:
  service: web
  minTargetReplicas: 1
  cooldownPeriod: 2
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  triggers:
    - {type: request-count, metadata: {threshold: '1', window: 2s}}
"""


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    async with own_disk(tmp_path) as own:
        yield own


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a broker leaves in the directory that it was given."""
    home = tmp_path_factory.mktemp("kept") / "home"
    async with EmbeddedKafka(directory=home):
        return home


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file below the folder, and what is in it."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def named_by_a_process(folder: Path) -> bool:
    """Whether any process has the folder in its command line: a broker, Kafka's tool, a guard."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(folder).encode() in process.read_bytes():
                return True
    return False


async def refused(home: Path) -> str:
    """Try to start there; return what it says, after a look whether all is as it was."""
    before = contents(home.parent)
    with pytest.raises(EmbeddedKafkaError) as trouble:
        await EmbeddedKafka(directory=home).start()
    assert contents(home.parent) == before
    assert not named_by_a_process(home)
    return str(trouble.value)


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
async def test_a_disk_that_can_only_be_read_is_named(disk: Disk, kept: Path, *, used: bool) -> None:
    home = disk.path / "home"
    if used:
        shutil.copytree(kept, home)
    await disk.make_read_only()
    said = await refused(home)
    place = home if used else disk.path
    assert f"{place} is on a disk that can only be read; mount it for writing, or give another directory" in said


@pytest.mark.parametrize("name", ["home", "home/data"])
async def test_a_file_where_a_directory_is_needed_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"not a directory")
    said = await refused(tmp_path / "home")
    assert f"{tmp_path / name} is a file where a directory is needed; move it away" in said


def of_another_cluster(text: str) -> str:
    """The same broker of another cluster: Kafka itself would take the records for those of that one."""
    return "".join(
        f"cluster.id={'B' * 22}\n" if line.startswith("cluster.id=") else f"{line}\n" for line in text.splitlines()
    )


DAMAGES: Mapping[str, tuple[Callable[[str], str], str]] = {
    "of another cluster": (of_another_cluster, f"is of the cluster {'B' * 22}, and "),
    "of another broker": (lambda text: text.replace("node.id=1", "node.id=7"), "is of broker 7, and this is broker 1"),
    "cut off": (lambda text: text[:-20], "is cut off or damaged"),
    "empty": (lambda _: "", "is cut off or damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_identity_that_is_not_of_this_directory_is_named(tmp_path: Path, kept: Path, damage: str) -> None:
    home = tmp_path / "home"
    shutil.copytree(kept, home)
    identity = home / "data" / "meta.properties"
    harm, expected = DAMAGES[damage]
    identity.write_text(harm(identity.read_text()))
    said = await refused(home)
    assert f"{identity} {expected}" in said
    assert f"remove {home / 'data'} to begin without its records" in said


async def test_records_without_an_identity_are_not_given_a_new_one(tmp_path: Path, kept: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(kept, home)
    (home / "data" / "meta.properties").unlink()
    assert f"{home / 'data'} has records but no meta.properties" in await refused(home)


async def test_a_directory_that_another_kafka_uses_is_left_to_it(kafka: EmbeddedKafka) -> None:
    home = home_of(kafka.pid)
    configured = (home / "server.properties").read_bytes()
    with pytest.raises(EmbeddedKafkaError, match=f"another Kafka uses {home}; stop that one"):
        await EmbeddedKafka(directory=home).start()
    assert (home / "server.properties").read_bytes() == configured


async def test_a_disk_that_is_full_before_the_first_start_is_named(disk: Disk) -> None:
    home = disk.path / "home"
    await disk.fill(leaving=LITTLE)
    assert f"{disk.path} has 100 MB left and 500 MB are needed; free some" in await refused(home)
    assert not home.exists()


def payload(number: int) -> bytes:
    """A record that shows whether it is the one that was sent, whole."""
    return f"{number}:".encode() + hashlib.sha512(str(number).encode()).digest() * 4


class Acknowledged:
    """What Kafka said that it has."""

    def __init__(self) -> None:
        self.records = 0
        self.transactions = 0
        self.enough = asyncio.Event()


async def one_by_one(publisher: KafkaPublisher, acknowledged: Acknowledged) -> None:
    """Publish one record after the other until it is enough; while Kafka is away, the same one is tried again."""
    while not acknowledged.enough.is_set():
        await publisher.publish(Output(ONE_BY_ONE, 0, None, payload(acknowledged.records)))
        acknowledged.records += 1


async def together(writer: KafkaWriter, acknowledged: Acknowledged) -> None:
    """Commit one transaction after the other until one fails or it is enough; each moves an offset, too."""
    with suppress(LogError):
        while not acknowledged.enough.is_set():
            first = acknowledged.transactions * IN_ONE
            outputs = tuple(Output(TOGETHER, 0, None, payload(first + more)) for more in range(IN_ONE))
            offsets = {(ONE_BY_ONE, 0): acknowledged.transactions + 1}
            await writer.commit(Transaction(outputs, offsets))
            acknowledged.transactions += 1


async def create(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1) for name in (ONE_BY_ONE, TOGETHER)])
    finally:
        await admin.close()


async def read(connection: KafkaConnection, topic: str) -> list[bytes | None]:
    batches = KafkaReader(connection).read_to_end(topic, 0)
    return [record.value async for records in batches for record in records]


async def committed(bootstrap: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        return int(await consumer.committed(TopicPartition(ONE_BY_ONE, 0)) or 0)
    finally:
        await consumer.stop()


@asynccontextmanager
async def writing(connection: KafkaConnection) -> AsyncIterator[Acknowledged]:
    """Write all the time; at the end of the block what is on its way is waited for."""
    acknowledged = Acknowledged()
    publisher, writer = KafkaPublisher(connection), await KafkaWriters(connection, GROUP).open(0)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one_by_one(publisher, acknowledged))
            tasks.create_task(together(writer, acknowledged))
            yield acknowledged
            acknowledged.enough.set()
    finally:
        await asyncio.gather(publisher.close(), writer.close())


async def test_a_disk_that_gets_full_is_named_and_keeps_what_was_acknowledged(disk: Disk) -> None:
    home = disk.path / "home"
    async with EmbeddedKafka(directory=home) as kafka:
        connection = KafkaConnection(kafka.bootstrap, request_timeout=timedelta(seconds=LIMIT))
        await create(kafka.bootstrap)
        async with writing(connection) as acknowledged, asyncio.timeout(LIMIT):
            await disk.fill(leaving=ALMOST)
            why = str(await kafka.lost())
            assert f"it ended by itself (exit code 1): the disk of {home} is full; free at least 500 MB" in why
            with pytest.raises(EmbeddedKafkaError, match=f"{home} has 0 MB left and 500 MB are needed"):
                await kafka.restart()
            assert f"{home} has 0 MB left" in await refused(home)
            await disk.make_room()
            await kafka.restart()
        # As a new owner does: it ends what the last one left open.
        await (await KafkaWriters(connection, GROUP).open(0)).close()
        # All that was acknowledged, none of it twice, each whole.
        singles = await read(connection, ONE_BY_ONE)
        assert singles == [payload(number) for number in range(acknowledged.records)]
        whole = await read(connection, TOGETHER)
        assert whole == [payload(number) for number in range(len(whole))]
        transactions, rest = divmod(len(whole), IN_ONE)
        assert rest == 0
        # What is known of the last one is only that it failed: the broker may have had all of it.
        assert acknowledged.transactions <= transactions <= acknowledged.transactions + 1
        assert await committed(kafka.bootstrap) == transactions


@pytest.mark.parametrize("words", [("demo", "--plain"), ("run", "--dev")], ids=" ".join)
async def test_a_program_whose_disk_is_full_before_it_starts_says_so(
    disk: Disk, tmp_path: Path, words: tuple[str, ...]
) -> None:
    await disk.fill(leaving=LITTLE)
    async with running(*words, *policies(words, tmp_path), folder=disk.path) as process:
        async with asyncio.timeout(LIMIT):
            _, err = await process.communicate()
    said = err.decode()
    assert process.returncode == 3
    assert f"Error: embedded Kafka: {disk.path}" in said
    assert "500 MB are needed; free some, or let TMPDIR name a directory elsewhere" in said
    assert "Traceback" not in said
    assert not list(disk.path.iterdir())


@pytest.mark.parametrize(
    ("words", "begun"),
    [(("demo", "--plain"), "playing on a real Kafka"), (("run", "--dev"), "elasti runs")],
    ids=["demo", "run"],
)
async def test_a_program_whose_disk_gets_full_says_so_and_ends(
    disk: Disk, tmp_path: Path, words: tuple[str, ...], begun: str
) -> None:
    async with running(*words, *policies(words, tmp_path), folder=disk.path) as process:
        await line_with(process.stdout if words[0] == "demo" else process.stderr, begun)
        await disk.fill()
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
        said = err.decode()
        assert process.returncode == 3
        loss = "embedded Kafka: it ended by itself (exit code 1): the disk of "
        assert f"Error: {loss}" in said
        # Told at once, too, by itself.
        assert f"\n{loss}" in f"\n{out.decode()}\n{said}"
        assert f"{disk.path}/elasti-kafka-" in said
        assert "is full; free at least 500 MB, or let TMPDIR name a directory elsewhere" in said
        # In a log line of its own aiokafka may tell of what was on its way.
        assert not any(line.startswith("Traceback") for line in said.splitlines())
        assert not those_of(disk.path)
        assert not list(disk.path.iterdir())


def policies(words: tuple[str, ...], folder: Path) -> tuple[object, ...]:
    """What `run` needs beside its own words."""
    if words[0] == "demo":
        return ()
    (folder / "web.yaml").write_text(POLICY)
    return ("--policies", folder / "web.yaml", "--http-port", 0)
