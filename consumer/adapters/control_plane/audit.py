"""Reads the API server's audit log: who asked for what, and what was answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One answered request; a watch has two, one when it begins (`started`) and one when it ends.

    `at` is when the answer, or the first part of it, was ready, by the clock of this machine.
    """

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uri: str
    code: int
    agent: str
    started: bool
    at: datetime

    @property
    def writes(self) -> bool:
        """Whether it asked for a change."""
        return self.verb in _WRITES


def read_audit(log: Path, since: int) -> tuple[list[AuditEntry], int]:
    """Return the whole entries from a byte offset on, and the offset behind the last of them."""
    if not log.exists():
        return [], since
    with log.open("rb") as file:
        file.seek(since)
        content = file.read()
    # The last line may still be on its way.
    whole = content[: content.rfind(b"\n") + 1]
    return list(_entries(whole)), since + len(whole)


def _entries(lines: bytes) -> Iterator[AuditEntry]:
    for line in lines.splitlines():
        event = orjson.loads(line)
        what = event.get("objectRef", {})
        yield AuditEntry(
            user=event["user"].get("username", ""),
            verb=event["verb"],
            group=what.get("apiGroup", ""),
            resource=what.get("resource", ""),
            subresource=what.get("subresource", ""),
            namespace=what.get("namespace", ""),
            name=what.get("name", ""),
            uri=event["requestURI"],
            code=event.get("responseStatus", {}).get("code", 0),
            agent=event.get("userAgent", ""),
            started=event["stage"] == "ResponseStarted",
            at=datetime.fromisoformat(event["stageTimestamp"]),
        )
