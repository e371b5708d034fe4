"""The topics: their names, how long they keep what, and the settings they are created and checked with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DEFAULT_PREFIX = "elasti."
MAX_MESSAGE_BYTES = 1_048_588
"""The largest record batch a topic takes; Kafka's own default, written down so that a broker's can not differ."""
MAX_VALUE_BYTES = 1_000_000
"""The largest value we write: 48 kB are left for key, headers and the batch around it."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class Topic(StrEnum):
    """A topic's name without its prefix."""

    REQUEST_COUNTS = "request-counts"
    HOSTS = "hosts"
    SCALE_COMMANDS = "scale-commands"
    SCALE_RESULTS = "scale-results"
    SERVICE_STATUS = "service-status"
    CONTROL = "control"
    DECISIONS = "decisions"
    STATE = "state"
    DEAD_LETTER = "dead-letter"

    def under(self, prefix: str) -> str:
        """Return the full name in Kafka."""
        return f"{prefix}{self.value}"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic is kept: `retention` None means compacted; not `keyed` means one partition, whatever P is.

    `foreign`: strangers write to it too. The broker unpacks what they compressed, so that it refuses a batch that is
    small only while it is packed: a million bytes of zeros in a row are a thousand million for whoever reads them.
    """

    topic: Topic
    retention: timedelta | None
    keyed: bool = True
    foreign: bool = False

    def partitions(self, keyed: int) -> int:
        """Return the number of partitions, where all keyed topics have `keyed`."""
        return keyed if self.keyed else 1

    def config(self) -> Mapping[str, str]:
        """Return the settings in Kafka's words."""
        return {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            **({"compression.type": "uncompressed"} if self.foreign else {}),
            **(_compacted() if self.retention is None else _deleted(self.retention)),
        }


def _compacted() -> Mapping[str, str]:
    # Small segments and an eager cleaner keep what a restore must read close to one record a service.
    return {
        "cleanup.policy": "compact",
        "segment.ms": _milliseconds(_HOUR),
        "min.cleanable.dirty.ratio": "0.1",
        "delete.retention.ms": _milliseconds(_DAY),
    }


def _deleted(retention: timedelta) -> Mapping[str, str]:
    # Only closed segments are deleted: with four to a retention a quiet topic keeps at most 5/4 of it.
    return {
        "cleanup.policy": "delete",
        "retention.ms": _milliseconds(retention),
        "segment.ms": _milliseconds(retention / 4),
    }


def _milliseconds(length: timedelta) -> str:
    return str(length // timedelta(milliseconds=1))


TOPICS = (
    TopicSpec(Topic.REQUEST_COUNTS, retention=_DAY, foreign=True),
    TopicSpec(Topic.HOSTS, retention=_DAY, foreign=True),
    TopicSpec(Topic.SCALE_COMMANDS, retention=7 * _DAY),
    TopicSpec(Topic.SCALE_RESULTS, retention=7 * _DAY),
    TopicSpec(Topic.SERVICE_STATUS, retention=None),
    TopicSpec(Topic.CONTROL, retention=None, keyed=False),
    TopicSpec(Topic.DECISIONS, retention=30 * _DAY),
    TopicSpec(Topic.STATE, retention=None),
    TopicSpec(Topic.DEAD_LETTER, retention=30 * _DAY, keyed=False),
)
"""All topics of an installation."""


def tenant_topic(prefix: str, namespace: str) -> str:
    """Return the name of the topic that carries the requests of one namespace only."""
    return f"{Topic.REQUEST_COUNTS.under(prefix)}.{namespace}"


def requests_topic(prefix: str, namespace: str, tenants: Collection[str]) -> str:
    """Return where requests for a namespace go: into its own topic, where it has one."""
    return tenant_topic(prefix, namespace) if namespace in tenants else Topic.REQUEST_COUNTS.under(prefix)


def installation(prefix: str, tenants: Collection[str] = ()) -> Mapping[str, TopicSpec]:
    """Return every topic of an installation by its full name; those of tenants are kept as the one of all."""
    requests = next(spec for spec in TOPICS if spec.topic is Topic.REQUEST_COUNTS)
    return {
        **{spec.topic.under(prefix): spec for spec in TOPICS},
        **{tenant_topic(prefix, namespace): requests for namespace in tenants},
    }
