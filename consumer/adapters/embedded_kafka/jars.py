"""Fetches the jars of Apache Kafka once and keeps them; a child process does it, so that it can be stopped.

A fetch is built aside and moved into place whole: a fetch that was interrupted leaves nothing that a later
start could mistake for the real thing, and of several processes that start at once one fetches while the
others wait for it.
"""

import asyncio
import errno
import fcntl
import shutil
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from consumer.adapters.embedded_kafka.trouble import EmbeddedKafkaError

KAFKA_VERSION = "4.1.0"
_COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
_WORTH_A_LINE = 2_000_000
_NO_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST})
_SAY, _JARS, _ERROR = "say ", "jars ", "error "


async def kafka_jars(cache: Path, say: Callable[[str], None]) -> Path:
    """Return the directory of Kafka's jars, fetching them first when they are not there yet.

    Raises:
        EmbeddedKafkaError: they could not be fetched; the message says what to do.
    """
    place = _place(cache)
    if place.is_dir():
        return place
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __package__,
        str(cache),
        stdout=asyncio.subprocess.PIPE,
        # The terminal's Ctrl-C must reach us alone: we stop the child, and it tidies up.
        start_new_session=True,
    )
    try:
        return await _follow(child, say)
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()


async def _follow(child: asyncio.subprocess.Process, say: Callable[[str], None]) -> Path:
    if child.stdout is None:
        raise EmbeddedKafkaError("embedded Kafka: the fetch of its jars has no output to follow")
    async for raw in child.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        if line.startswith(_SAY):
            say(line.removeprefix(_SAY))
        elif line.startswith(_JARS):
            return Path(line.removeprefix(_JARS))
        elif line.startswith(_ERROR):
            raise EmbeddedKafkaError(f"embedded Kafka: {line.removeprefix(_ERROR)}")
    raise EmbeddedKafkaError("embedded Kafka: the fetch of its jars ended early; run it again")


def _place(cache: Path) -> Path:
    return cache / f"kafka-{KAFKA_VERSION}"


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _named(filename: str, size: int) -> Iterator[Callable[[int], None]]:
    """Say which of the large files is on its way; the many small ones pass in silence."""
    if size >= _WORTH_A_LINE:
        _tell(f"{_SAY}fetching {filename} ({size / 1e6:.0f} MB)")
    yield lambda _: None


def _fetch(staging: Path) -> Path:
    """Resolve and download into `staging`; return the one directory that holds every jar."""
    # Imported here: half a second that only the first start ever spends.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    context = MavenContext(
        resolver=PythonResolver(progress_callback=_named),
        repo_cache=staging / "repository",
        # A mirror that the user configured for jgo is tried as well.
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
    )
    built = EnvironmentBuilder(context=context, cache_dir=staging / "built").from_endpoint(_COORDINATES)
    together = staging / "together"
    together.mkdir()
    for jar in Path(built.path).rglob("*.jar"):
        if not zipfile.is_zipfile(jar):
            raise OSError(f"{jar.name} arrived damaged")
        shutil.copyfile(jar, together / jar.name)
    return together


def _provide(cache: Path) -> Path:
    """Fetch under a lock, unless another process did so while we waited for it."""
    cache.mkdir(parents=True, exist_ok=True)
    place = _place(cache)
    with (cache / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        # We hold the lock, so whatever is still staged belongs to a fetch that was killed.
        for stale in cache.glob("staging-*"):
            shutil.rmtree(stale, ignore_errors=True)
        _tell(f"{_SAY}fetching Apache Kafka {KAFKA_VERSION}, 43 MB, this once (kept in {cache})")
        with tempfile.TemporaryDirectory(prefix="staging-", dir=cache) as staging:
            _fetch(Path(staging)).rename(place)
    return place


def fetch_aloud(cache: Path) -> int:
    """Print what happens line by line for the parent: `say`, then `jars` or `error`."""
    # A polite end unwinds the staging directory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        place = _provide(cache)
    except Exception as trouble:  # noqa: BLE001  # a resolver can fail in any way; each must reach the person
        cause = str(trouble).replace("\n", " ")[:300]
        needed = "The first start needs the network (Maven Central, or a mirror in ~/.config/jgo.conf)"
        if isinstance(trouble, OSError) and trouble.errno in _NO_PLACE:
            needed = "Make room there, or let it be written"
        _tell(
            f"{_ERROR}its jars could not be fetched into {cache}: {cause}. {needed}; or copy {_place(cache)} from a "
            "machine that has it; or point the program at an existing Kafka"
        )
        return 1
    _tell(f"{_JARS}{place}")
    return 0
