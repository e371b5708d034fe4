"""Dead letters: the original bytes of what could not be used, with the reason in the headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.cloudevents import Headers, header
from schemas.codec import MAX_CAUSE
from schemas.message import rfc3339
from schemas.topics import MAX_VALUE_BYTES

MAX_KEY = 1_024
"""A longer key is not one of ours; it would not fit beside a value that was cut to the limit."""

CAUSE = "cause"
TOPIC = "topic"
PARTITION = "partition"
OFFSET = "offset"
TIME = "time"
CUT = "cut"
"""Present when the value was cut to fit: the number of bytes it had."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used: why, and where it lies in the log.

    Example of the headers: `cause: count: Input should be greater than or equal to 0`,
    `topic: elasti.request-counts`, `partition: 3`, `offset: 1042`, `time: 2026-01-31T09:30:00.100Z`.
    """

    cause: str
    topic: str
    partition: int
    offset: int
    time: datetime
    original: bytes | None

    def value(self) -> bytes:
        """Return the original bytes, as many as fit; empty for a tombstone."""
        return (self.original or b"")[:MAX_VALUE_BYTES]

    def headers(self) -> Headers:
        """Return the headers, bounded like the value."""
        said = (
            (CAUSE, self.cause[:MAX_CAUSE].encode(errors="replace")),
            (TOPIC, self.topic.encode()),
            (PARTITION, str(self.partition).encode()),
            (OFFSET, str(self.offset).encode()),
            (TIME, rfc3339(self.time).encode()),
        )
        size = len(self.original or b"")
        return (*said, (CUT, str(size).encode())) if size > MAX_VALUE_BYTES else said


def kept_key(key: bytes | None) -> bytes | None:
    """Return a record's key as its dead letter has it: none when it is too long to be one of ours."""
    return key if key is not None and len(key) <= MAX_KEY else None


def said_of(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return a dead letter's headers as text, for people; names that are not ours are left out."""
    known = tuple(headers)
    values = {name: header(known, name) for name in (CAUSE, TOPIC, PARTITION, OFFSET, TIME, CUT)}
    return {name: value.decode(errors="replace") for name, value in values.items() if value is not None}
