"""Whether a directory can be the home of an embedded Kafka, found out before anything in it is changed."""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from consumer.adapters.embedded_kafka.home import NEEDED, Home
from consumer.adapters.embedded_kafka.trouble import EmbeddedKafkaError

_UUID = re.compile(r"[A-Za-z0-9_-]{22}")
_WHOLE = {"version": re.compile("1"), "node.id": re.compile(r"\d+"), "cluster.id": _UUID, "directory.id": _UUID}
"""What stands in a whole meta.properties, one line each; one that was cut off lacks the end of a line or a line."""


def examine(home: Home, node: str) -> None:
    """Look whether broker `node` can start there; nothing is written.

    Raises:
        EmbeddedKafkaError: it can not; the message names the file or directory, what is wrong and what to do.
    """
    with told(home):
        ground = _ground(home)
        require_room(Home(ground, home.given))
        if home.data.exists():
            _nobody_uses_it(home)
        for path in _parts(home, ground):
            _may_be_written(path, home)
        if home.data.exists():
            _belongs_here(home, node)


def require_room(home: Home) -> None:
    """Raise EmbeddedKafkaError when its disk has too little room to start on."""
    free = home.room()
    if free < NEEDED:
        raise EmbeddedKafkaError(
            f"embedded Kafka: {home.path} has {free / 1e6:.0f} MB left and 500 MB are needed; free some, or "
            f"{home.elsewhere}"
        )


def cluster_of(home: Home) -> str:
    """Return the identity of the cluster that the data belong to; raises OSError when it can not be read."""
    return _properties(home.identity).get("cluster.id", "")


@contextmanager
def told(home: Home) -> Iterator[None]:
    """Let what the system has against a file become an error of ours."""
    try:
        yield
    except OSError as error:
        where = error.filename or home.path
        raise EmbeddedKafkaError(
            f"embedded Kafka: {where} can not be used ({error.strerror or error}); correct that, or {home.elsewhere}"
        ) from error


def _ground(home: Home) -> Path:
    """Return the directory that is there already: the home itself, or the one in which it can be made."""
    ground = home.path.absolute()
    while not ground.exists():
        ground = ground.parent
    for path in (ground, home.data, home.scratch):
        if path.exists() and not path.is_dir():
            raise EmbeddedKafkaError(
                f"embedded Kafka: {path} is a file where a directory is needed; move it away, or {home.elsewhere}"
            )
    return ground


def _nobody_uses_it(home: Home) -> None:
    """Look whether a broker holds Kafka's own lock; its configuration would be taken from under it."""
    try:
        lock = (home.data / ".lock").open("r+b")
    except OSError:
        # Never used so far, or not to be written, which is said by name.
        return
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EmbeddedKafkaError(
                f"embedded Kafka: another Kafka uses {home.path}; stop that one, or {home.elsewhere}"
            ) from None


def _parts(home: Home, ground: Path) -> Iterator[Path]:
    yield ground
    yield from (path for path in (home.config, home.cluster, home.scratch, home.data) if path.exists())
    yield from home.data.rglob("*")


def _may_be_written(path: Path, home: Home) -> None:
    # Asked of the system: that something is mounted to be read only holds for root, too.
    if os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
        return
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        wrong = f"{path} is on a disk that can only be read; mount it for writing"
    else:
        wrong = f"{path} may not be read and written by this user; change its owner or its mode"
    raise EmbeddedKafkaError(f"embedded Kafka: {wrong}, or {home.elsewhere}")


def _belongs_here(home: Home, node: str) -> None:
    """Look whether the records are of this broker and of the cluster that the directory was made for."""
    anew = f"put the one that belongs there back, {home.elsewhere}, or remove {home.data} to begin without its records"
    if not home.identity.exists():
        if (home.data / "__cluster_metadata-0").exists():
            raise EmbeddedKafkaError(f"embedded Kafka: {home.data} has records but no meta.properties; {anew}")
        return
    found = _properties(home.identity)
    faulty = [name for name, form in _WHOLE.items() if not form.fullmatch(found.get(name, ""))]
    if faulty:
        raise EmbeddedKafkaError(
            f"embedded Kafka: {home.identity} is cut off or damaged ({', '.join(faulty)} can not be read); {anew}"
        )
    if found["node.id"] != node:
        raise EmbeddedKafkaError(
            f"embedded Kafka: {home.identity} is of broker {found['node.id']}, and this is broker {node}; {anew}"
        )
    made_for = home.cluster.read_text(errors="replace").strip() if home.cluster.exists() else ""
    if made_for and found["cluster.id"] != made_for:
        raise EmbeddedKafkaError(
            f"embedded Kafka: {home.identity} is of the cluster {found['cluster.id']}, and {home.path} was made for "
            f"{made_for} (its file {home.cluster.name}); {anew}"
        )


def _properties(path: Path) -> Mapping[str, str]:
    lines = path.read_text(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines if line and line[0] != "#")}
