"""The headers of a forwarded record: where it first entered the log, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.cloudevents import Headers, header
from schemas.message import rfc3339, utc_milliseconds

ORIGIN_TOPIC = "elasti_origin_topic"
ORIGIN_PARTITION = "elasti_origin_partition"
ORIGIN_OFFSET = "elasti_origin_offset"
ORIGIN_TIME = "elasti_origin_time"


@dataclass(frozen=True, slots=True)
class Origin:
    """The place and append time of a record before it was forwarded; ids, causes and ages derive from it."""

    topic: str
    partition: int
    offset: int
    time: datetime

    def headers(self) -> Headers:
        """Return the headers that say so."""
        return (
            (ORIGIN_TOPIC, self.topic.encode()),
            (ORIGIN_PARTITION, str(self.partition).encode()),
            (ORIGIN_OFFSET, str(self.offset).encode()),
            (ORIGIN_TIME, rfc3339(self.time).encode()),
        )


def origin_of(headers: Iterable[tuple[str, bytes]]) -> Origin | None:
    """Return the origin of a forwarded record; None when it was not forwarded, or not in our form."""
    known = tuple(headers)
    values = [header(known, name) for name in (ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_TIME)]
    topic, partition, offset, time = (value or b"" for value in values)
    if not topic:
        return None
    try:
        return Origin(topic.decode(), _natural(partition), _natural(offset), _moment(time))
    except ValueError:
        return None


def _natural(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > len(str(2**63)):
        msg = f"{digits[:20]!r} is not a partition or an offset"
        raise ValueError(msg)
    return int(digits)


def _moment(text: bytes) -> datetime:
    return utc_milliseconds(datetime.fromisoformat(text.decode()))
