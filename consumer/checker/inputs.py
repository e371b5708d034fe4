"""What the inputs say, from the records themselves: requests, hosts and results, where they entered the log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from consumer.checker.facts import Column, HostFact, Lane, Letters, Page, millis
from consumer.checker.reading import kind_of, only_of, place_of, result_fact
from consumer.checker.records import Record
from consumer.checker.verdict import Place
from schemas.codec import Undecodable, decode, decode_host, decode_request_counts
from schemas.dead_letter import said_of
from schemas.origin import Origin, origin_of
from schemas.request_count import RequestCount
from schemas.scale_result import ScaleResult
from schemas.topics import Topic

INPUTS: Final = (Topic.REQUEST_COUNTS.value, Topic.HOSTS.value, Topic.SCALE_RESULTS.value)
_BATCH: Final = 1_000
# No topic of ours has more partitions: a larger one in a header is somebody's invention.
_MOST: Final = 1_024


class Forward(NamedTuple):
    """A forwarded record: of which service, where it first was, and where it came to."""

    service: str
    origin: tuple[int, int]
    place: Place


@dataclass(slots=True)
class Inputs:
    """Takes the records of the inputs and of the dead letters in; `page` gives the page of a service."""

    page: Callable[[str], Page]
    lane: Callable[[Record], Lane]
    forwards: list[Forward] = field(default_factory=list)
    letters: dict[tuple[str, int], Letters] = field(default_factory=dict)
    """The dead letters about each partition."""
    requests: int = 0
    _waiting: list[Record] = field(default_factory=list)

    def request(self, record: Record) -> None:
        """Take in a record of requests; they are read in batches, since there are so many of them."""
        self._waiting.append(record)
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Read what waits."""
        records, self._waiting = self._waiting, []
        messages = decode_request_counts([record.value for record in records])
        for record, message in zip(records, messages, strict=True):
            if isinstance(message, Undecodable):
                self.lane(record).poisons.append(record.offset)
            elif only_of(record.topic) not in (None, message.namespace):
                # Whoever may write for one namespace speaks of that one only.
                self.lane(record).poisons.append(record.offset)
            else:
                self._requested(record, message)

    def _requested(self, record: Record, message: RequestCount) -> None:
        service = f"{message.namespace}/{message.svc}"
        page = self.page(service)
        origin = self._came_from(record)
        if origin is not None:
            self.forwards.append(Forward(service, (origin.partition, origin.offset), place_of(record, "forwarded")))
            page.forwards.add(((record.topic, origin.partition), origin.offset))
            return
        self.requests += message.count
        source = record.topic, record.partition
        column = page.columns.get(source)
        if column is None:
            column = page.columns[source] = Column()
        column.add(millis(record.time), record.offset, message.count)

    def host(self, record: Record) -> None:
        """Take in a resolver's word."""
        message = decode_host(record.value)
        if isinstance(message, Undecodable):
            self.lane(record).poisons.append(record.offset)
            return
        service = f"{message.namespace}/{message.source_service}"
        origin, at = self._entered(record, service)
        told = "passes" if message.traffic_allowed else "does not pass"
        place = place_of(record, f"{message.incoming_host} {told} the resolver")
        fact = HostFact(place, origin, at, message.incoming_host, message.traffic_allowed)
        self.page(service).hosts.append(fact)

    def result(self, record: Record) -> None:
        """Take in a result."""
        message = decode(ScaleResult, record.value)
        if isinstance(message, Undecodable):
            self.lane(record).poisons.append(record.offset)
            return
        service = f"{message.namespace}/{message.service}"
        origin, _ = self._entered(record, service)
        self.page(service).results.append(result_fact(record, message, origin))

    def letter(self, record: Record) -> None:
        """Take in a dead letter: whose it is stands in its headers."""
        said = said_of(record.headers)
        partition, offset = said.get("partition", ""), said.get("offset", "")
        if not (partition.isdigit() and offset.isdigit()):
            self.lane(record).poisons.append(record.offset)
            return
        lane = kind_of(said.get("topic", "")), int(partition)
        self.letters.setdefault(lane, Letters()).add(int(offset), place_of(record))

    def _entered(self, record: Record, service: str) -> tuple[tuple[int, int], datetime]:
        """Return where and when a record entered the log first."""
        origin = self._came_from(record)
        if origin is None:
            return (record.partition, record.offset), record.time
        place = origin.partition, origin.offset
        self.forwards.append(Forward(service, place, place_of(record, "forwarded")))
        return place, min(origin.time, record.time)

    def _came_from(self, record: Record) -> Origin | None:
        """Return the origin of a forwarded record, as whoever owns its partition reads it."""
        origin = origin_of(record.headers) if record.headers else None
        if origin is None or kind_of(origin.topic) != record.topic or origin.partition >= _MOST:
            return None
        return None if origin.partition == record.partition else origin
