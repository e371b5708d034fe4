"""What a recorded run is: the records of every topic, as they were read, and where its groups stood at the end."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

OFFSETS: Final = "offsets"
"""A kind beside those of the topics: how far a group had come. `key` is the topic's kind, `partition` the partition,
`value` the committed offset in digits; a header `group` names the group."""

GROUP: Final = "group"
"""The header of an `OFFSETS` record that names the group."""

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One record; `topic` is the kind of its topic (`scale-commands`), without the installation's prefix.

    A topic with the requests of one namespace alone is `request-counts.<namespace>`.

    `time` is its append time. A named tuple: a run has a million of them.
    """

    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded run; each partition of a topic in the order of its offsets, topics in any order.

    `records` is gone through once for each use, so it may be a file that is read while it is looked at.
    `partitions`: how many every keyed topic has; None: as many as the keys of our own records fit to.
    """

    records: Iterable[Record] = field(repr=False)
    partitions: int | None = None
