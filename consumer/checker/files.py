"""Recorded runs as files: JSON lines, one record each, compressed when the name ends in .gz."""

import base64
import gzip
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast

import orjson

from consumer.checker.records import Record, Recording
from schemas.message import rfc3339, utc_milliseconds

_PARTITIONS: Final = "partitions"
_BASE64: Final = "base64"
T = TypeVar("T")


class RecordingError(Exception):
    """A file holds no recorded run; the message says where it is wrong."""


class Writing(AbstractContextManager["Writing"]):
    """A recorded run that is being written, record by record."""

    def __init__(self, path: Path, partitions: int | None = None) -> None:
        self._file: BinaryIO = _opened(path, "wb")
        if partitions is not None:
            self._file.write(orjson.dumps({_PARTITIONS: partitions}) + b"\n")

    def write(self, record: Record) -> None:
        """Append one record."""
        self._file.write(_line(record))

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()


def saved(recording: Recording, path: Path) -> int:
    """Write a recorded run into a file; returns how many records it has."""
    count = 0
    with Writing(path, recording.partitions) as writing:
        for record in recording.records:
            writing.write(record)
            count += 1
    return count


def load(path: Path) -> Recording:
    """Return the run that a file holds; it is read each time that its records are gone through.

    Raises RecordingError when the file does not begin like one, and later when a line of it is wrong; OSError when it
    can not be read.
    """
    records = _FileRecords(path)
    with _opened(path, "rb") as file:
        first = file.readline()
    if not first:
        return Recording((), None)
    content = _object(path, 1, first)
    partitions = content.get(_PARTITIONS)
    if partitions is None:
        _record(path, 1, content)
    return Recording(records, partitions if isinstance(partitions, int) else None)


@dataclass(frozen=True, slots=True)
class _FileRecords:
    """The records of a file, read anew by each iteration."""

    path: Path

    def __iter__(self) -> Iterator[Record]:
        with _opened(self.path, "rb") as file:
            yield from _records(self.path, file)


def _records(path: Path, lines: Iterable[bytes]) -> Iterator[Record]:
    try:
        for number, line in enumerate(lines, 1):
            content = _object(path, number, line)
            if _PARTITIONS not in content:
                yield _record(path, number, content)
    except EOFError as error:
        raise RecordingError(f"{path}: ends in the middle of its compression; record it anew") from error


def _opened(path: Path, mode: str) -> BinaryIO:
    if path.suffix == ".gz":
        # Time 0: the same run gives the same file.
        return cast("BinaryIO", gzip.GzipFile(path, mode, compresslevel=6, mtime=0))
    return cast("BinaryIO", path.open(mode))


def _line(record: Record) -> bytes:
    content = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": rfc3339(record.time),
        "key": _written(record.key),
        "value": _written(record.value),
        "headers": [[name, _written(value)] for name, value in record.headers],
    }
    return orjson.dumps(content) + b"\n"


def _written(raw: bytes | None) -> str | dict[str, str] | None:
    """Write text as text, since people look into such files, and what is none in base64."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {_BASE64: base64.b64encode(raw).decode()}


def _object(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordingError(f"{path}, line {number}: not JSON ({error}); is it a recorded run?") from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path}, line {number}: not a record; is it a recorded run?")
    return content


def _record(path: Path, number: int, content: dict[str, object]) -> Record:
    try:
        return Record(
            topic=_checked(content["topic"], str),
            partition=_checked(content["partition"], int),
            offset=_checked(content["offset"], int),
            time=utc_milliseconds(datetime.fromisoformat(_checked(content["time"], str))),
            key=_read(content["key"]),
            value=_read(content["value"]),
            headers=tuple(
                (_checked(name, str), _read(value) or b"") for name, value in _checked(content["headers"], list)
            ),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RecordingError(f"{path}, line {number}: not a record ({error!r}); is it a recorded run?") from error


def _checked(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        msg = f"{value!r} is no {kind.__name__}"
        raise TypeError(msg)
    return value


def _read(content: object) -> bytes | None:
    if content is None:
        return None
    if isinstance(content, dict):
        return base64.b64decode(_checked(content[_BASE64], str), validate=True)
    return _checked(content, str).encode()
