"""What can be scaled in a cluster, and the errors of every call to one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from consumer.core.service import OWN_MANAGER, TargetRef


@dataclass(frozen=True, slots=True, order=True)
class TargetKey:
    """A workload in its namespace."""

    namespace: str
    ref: TargetRef

    def __str__(self) -> str:
        """Return `namespace/Kind/name`."""
        return f"{self.namespace}/{self.ref}"


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as the cluster shows it; `manager` is who last changed its replicas, where known."""

    key: TargetKey
    uid: str
    generation: int
    resource_version: str
    replicas: int
    ready: int
    at: datetime
    manager: str | None = None

    @property
    def zeroed_by_others(self) -> str | None:
        """Who put it to zero, where that is known to be somebody else; None while it is up, too.

        The API names nobody for a zero through `/scale`, which is how we do it: one without a name counts as ours, so
        that nothing stays asleep that we put to sleep.
        """
        return None if self.replicas or self.manager in (None, OWN_MANAGER) else self.manager


@dataclass(frozen=True, slots=True)
class Change:
    """A conditional change: only if there are `expected` replicas (and that very version), make them `wanted`."""

    expected: int
    wanted: int
    resource_version: str | None = None


class TargetError(Exception):
    """The cluster refused; the message says which target, why, and what to do."""

    code = "failed"


class TargetMovedError(TargetError):
    """The condition of a change did not hold (HTTP 409 or 422); read again and judge anew."""

    code = "moved"


class TargetBusyError(TargetError):
    """The cluster is overloaded, slow or away; try again after `retry_after` if it says so."""

    code = "busy"

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TargetGoneError(TargetError):
    """There is no such target (404)."""

    code = "gone"


class TargetForbiddenError(TargetError):
    """The rights to do this are missing (403)."""

    code = "forbidden"


class TargetInvalidError(TargetError):
    """The target can not be scaled as asked, and asking again will not help."""

    code = "invalid"


class TargetUnknownError(TargetInvalidError):
    """The cluster knows no such kind, so that there is no such target either."""


class Targets(Protocol):
    """Everything that can be scaled in one cluster."""

    async def look(self, key: TargetKey) -> TargetView:
        """Read the target now; raises TargetError."""

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        """Apply a conditional change and return the target after it; raises TargetError."""

    def watch(self) -> AsyncIterator[TargetView | TargetKey]:
        """Yield every target once, then each change of one; a bare key is a target that is gone."""
