"""From records to what they say: which service, which fact, or why they can not be used; nothing is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from consumer.core.inputs import HostSeen, RecordCause, RequestSeen, ResultSeen
from consumer.core.service import ServiceKey
from consumer.ports import Record, unreadable
from consumer.telemetry import DeadLetterCause
from consumer.wire.messages import result_seen
from consumer.worker.settings import Input
from schemas.cloudevents import trace_of
from schemas.codec import MAX_CAUSE, Undecodable, decode, decode_host, decode_request_counts
from schemas.origin import Origin, origin_of
from schemas.partitioning import partition_for, record_key
from schemas.scale_result import ScaleResult
from schemas.topics import MAX_MESSAGE_BYTES, Topic

# The headers that say where a forwarded record came from, and what Kafka puts around a record.
_FORWARD_OVERHEAD = 2_048
_SHOWN = 80
# No topic of ours has more partitions; with some 120 bytes for each place a state stays far below a record's limit.
_MOST = 1_024

Fact = HostSeen | ResultSeen


@dataclass(frozen=True, slots=True)
class Place:
    """Which partition of how many."""

    partition: int
    partitions: int

    def holds(self, namespace: str, service: str) -> bool:
        """Whether the records of this service belong here."""
        return partition_for(namespace, service, self.partitions) == self.partition


@dataclass(frozen=True, slots=True)
class Stray:
    """A record that belongs into another partition, under another key."""

    record: Record
    key: bytes
    partition: int


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that can not be used, and why."""

    record: Record
    kind: DeadLetterCause
    cause: str


@dataclass(slots=True)
class Batch:
    """What a batch of records says, each kind in the order of the log (requests service by service)."""

    requests: dict[tuple[str, str], list[tuple[Record, int]]] = field(default_factory=dict)
    """Per (namespace, service), with the counts: services do not depend on one another's order."""
    counted: int = 0
    facts: list[tuple[ServiceKey, Fact]] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    poisons: list[Poison] = field(default_factory=list)

    def misplaced(self, record: Record, namespace: str, service: str, place: Place) -> None:
        """Forward it once: what was forwarded and is still wrong would go round for ever."""
        origin = _forwarded(record)
        if origin is not None:
            cause = (
                f"forwarded from {origin.topic}/{origin.partition}@{origin.offset} into a partition that is wrong too"
            )
            self.poisons.append(Poison(record, DeadLetterCause.MISROUTED, cause))
        elif _size(record) + _FORWARD_OVERHEAD > MAX_MESSAGE_BYTES:
            self.poisons.append(Poison(record, DeadLetterCause.TOO_LARGE, "too large to be forwarded to its partition"))
        else:
            to = partition_for(namespace, service, place.partitions)
            self.strays.append(Stray(record, record_key(namespace, service), to))

    def foreign(self, records: Sequence[Record], namespace: str, only: str) -> None:
        """Keep them for people: whoever may write for one namespace must not wake the services of another."""
        cause = f'namespace: is "{namespace}", but this topic carries requests of "{only}" only'
        self.poisons.extend(Poison(record, DeadLetterCause.MISROUTED, cause) for record in records)

    def undecodable(self, record: Record, said: Undecodable) -> None:
        """Keep it for people."""
        cause = said.cause if (why := unreadable(record)) is None else f"could not be read: {why}"[:MAX_CAUSE]
        self.poisons.append(Poison(record, DeadLetterCause.UNDECODABLE, cause))


def read(source: Input, records: Sequence[Record], place: Place, cluster: str) -> Batch:
    """Read records of one input topic."""
    batch = Batch()
    match source.topic:
        case Topic.REQUEST_COUNTS:
            _read_requests(batch, records, place, source.only)
        case Topic.HOSTS:
            _read_hosts(batch, records, place)
        case _:
            _read_results(batch, records, place, cluster)
    return batch


def _read_requests(batch: Batch, records: Sequence[Record], place: Place, only: str | None) -> None:
    messages = decode_request_counts([record.value for record in records])
    services: dict[tuple[str, str], list[tuple[Record, int]]] = {}
    for record, message in zip(records, messages, strict=True):
        if isinstance(message, Undecodable):
            batch.undecodable(record, message)
            continue
        name = (message.namespace, message.svc)
        known = services.get(name)
        if known is None:
            known = services[name] = []
        known.append((record, message.count))
    for (namespace, service), of_one in services.items():
        if only is not None and namespace != only:
            batch.foreign([record for record, _ in of_one], namespace, only)
        elif place.holds(namespace, service):
            batch.requests[namespace, service] = of_one
            batch.counted += sum([count for _, count in of_one])
        else:
            for record, _ in of_one:
                batch.misplaced(record, namespace, service, place)


def _read_hosts(batch: Batch, records: Sequence[Record], place: Place) -> None:
    for record in records:
        host = decode_host(record.value)
        if isinstance(host, Undecodable):
            batch.undecodable(record, host)
        elif place.holds(host.namespace, host.source_service):
            origin, at = came_from(record)
            seen = HostSeen(host.incoming_host, host.traffic_allowed, at, origin)
            batch.facts.append((key_of(host.namespace, host.source_service), seen))
        else:
            batch.misplaced(record, host.namespace, host.source_service, place)


def _read_results(batch: Batch, records: Sequence[Record], place: Place, cluster: str) -> None:
    for record in records:
        result = decode(ScaleResult, record.value)
        if isinstance(result, Undecodable):
            batch.undecodable(record, result)
        elif result.cluster != cluster:
            cause = f'cluster: is "{result.cluster[:_SHOWN]}", but "{cluster}" is decided here'
            batch.undecodable(record, Undecodable(cause, record.value))
        elif place.holds(result.namespace, result.service):
            origin, at = came_from(record)
            batch.facts.append((key_of(result.namespace, result.service), result_seen(result, origin, at)))
        else:
            batch.misplaced(record, result.namespace, result.service, place)


def request_seen(record: Record, count: int) -> RequestSeen:
    """Return the fact that a RequestCount record states."""
    origin, at = came_from(record)
    return RequestSeen(count, at, origin, trace_of(record.headers))


def came_from(record: Record) -> tuple[RecordCause, datetime]:
    """Return where and when a record entered the log: for a forwarded one that is where it was before."""
    origin = _forwarded(record)
    if origin is None or origin.partition == record.partition:
        return RecordCause(record.topic, record.partition, record.offset), record.at
    # Nothing is forwarded before it was there; a made-up time that is still to come would outdate every real request.
    return RecordCause(origin.topic, origin.partition, origin.offset), min(origin.time, record.at)


def _forwarded(record: Record) -> Origin | None:
    """Return the origin that a forwarder of ours wrote; it moves a record within its topic.

    Any producer can write such headers, and a mirror copies them: each made-up place would be remembered in the
    service's state, until that is too large to be written and nothing of the partition is written any more.
    """
    origin = origin_of(record.headers) if record.headers else None
    return origin if origin is not None and origin.topic == record.topic and origin.partition < _MOST else None


@lru_cache(maxsize=65_536)
def key_of(namespace: str, service: str) -> ServiceKey:
    """Return the service's key, the same object every time."""
    return ServiceKey(namespace, service)


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
