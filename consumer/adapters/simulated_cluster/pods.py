"""Pods: how long they take to start, and by which chance."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

_WHOLE = 2**64


def chance(*parts: object) -> float:
    """Return a number from 0 up to 1 that looks drawn and is always the same for the same parts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / _WHOLE


@dataclass(frozen=True, slots=True)
class Startup:
    """How a workload's pods start: after `takes`, up to `jitter` more by chance; a broken one never gets ready."""

    takes: timedelta = timedelta(seconds=1)
    jitter: timedelta = timedelta()
    broken: bool = False

    def of_pod(self, drawn: float) -> timedelta | None:
        """How long one pod takes; None when it never gets ready."""
        return None if self.broken else self.takes + self.jitter * drawn


@dataclass(slots=True)
class Pod:
    """One pod; `started` counts its starts, so that the end of an earlier start does not count for a later one."""

    number: int
    ready: bool = False
    started: int = field(default=0)
