"""The headers of our outputs: CloudEvents 1.0 in Kafka's binary mode, and the trace that is passed through."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

from schemas.message import rfc3339

Headers = tuple[tuple[str, bytes], ...]

CONTENT_TYPE = "content-type"
PROGRAM = "ce_program"
"""An extension of ours on decisions: which version of the program decided."""
TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class EventType(StrEnum):
    """The `ce_type` of each output; a change that breaks readers gets a new version."""

    SCALE_COMMAND = "elasti.scale-command.v1"
    SCALE_RESULT = "elasti.scale-result.v1"
    SERVICE_STATUS = "elasti.service-status.v1"
    CONTROL = "elasti.control.v1"
    DECISION = "elasti.decision.v1"
    STATE = "elasti.state.v1"


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The envelope of one output; `subject` is the record's key, `trace` the traceparent of what caused it."""

    type: EventType
    id: str
    source: str
    subject: str
    time: datetime
    trace: str | None = None

    def headers(self) -> Headers:
        """Return the record headers."""
        attributes = (
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.value.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_time", rfc3339(self.time).encode()),
            (CONTENT_TYPE, b"application/json"),
        )
        return (*attributes, (TRACEPARENT, self.trace.encode())) if self.trace else attributes


def source(cluster: str, role: str) -> str:
    """Return the `ce_source` of a role (`worker`, `handler`, `gateway`, `cli`) in a cluster, a URI reference."""
    return f"/elasti/{quote(cluster, safe='')}/{role}"


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the last header of that name, as Kafka's clients do, or None."""
    found = None
    for known, value in headers:
        if known == name:
            found = value
    return found


def trace_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """Return the record's traceparent when it is one by the W3C's grammar, else None."""
    value = header(headers, TRACEPARENT)
    return value.decode("ascii") if value is not None and _TRACEPARENT.fullmatch(value) else None
