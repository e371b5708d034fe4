"""Failures on demand: what an API server does to its callers on a bad day."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from consumer.ports import (
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetInvalidError,
    TargetKey,
    TargetMovedError,
)


class Trouble(StrEnum):
    """One way in which a call goes wrong."""

    CONFLICT = "conflict"
    """409: somebody was quicker."""
    THROTTLED = "throttled"
    """429, with a Retry-After when one is given."""
    BROKEN = "broken"
    """500."""
    FORBIDDEN = "forbidden"
    """403."""
    INVALID = "invalid"
    """422 whatever is asked."""
    STALLED = "stalled"
    """No answer ever comes, and nothing was done."""
    ANSWER_LOST = "answer-lost"
    """No answer ever comes, but the change was made."""


_ERRORS: dict[Trouble, Callable[[TargetKey, timedelta | None], TargetError]] = {
    Trouble.CONFLICT: lambda key, _: TargetMovedError(f"409: {key} was modified; read it and judge anew"),
    Trouble.THROTTLED: lambda key, wait: TargetBusyError(f"429: too many requests; ask for {key} later", wait),
    Trouble.BROKEN: lambda key, wait: TargetBusyError(f"500: internal error while asking for {key}; try again", wait),
    Trouble.FORBIDDEN: lambda key, _: TargetForbiddenError(
        f"403: may not scale {key}; grant `update` on its `scale` subresource"
    ),
    Trouble.INVALID: lambda key, _: TargetInvalidError(f"422: {key} can not be scaled; does its kind have `/scale`?"),
}


@dataclass(frozen=True, slots=True)
class _Planned:
    trouble: Trouble
    target: TargetKey | None
    retry_after: timedelta | None


class Troubles:
    """What is to go wrong, in order; each entry spoils one call."""

    def __init__(self) -> None:
        self._planned: deque[_Planned] = deque()

    def plan(self, trouble: Trouble, *, times: int, target: TargetKey | None, retry_after: timedelta | None) -> None:
        """Let the next calls, for one target or for any, go wrong."""
        self._planned.extend([_Planned(trouble, target, retry_after)] * times)

    def end(self) -> None:
        """Let everything go right from now on."""
        self._planned.clear()

    def next_for(self, target: TargetKey) -> Trouble | None:
        """Return what goes wrong with this call without an error (a silence), or None; raises the error otherwise."""
        planned = next((one for one in self._planned if one.target in (None, target)), None)
        if planned is None:
            return None
        self._planned.remove(planned)
        error = _ERRORS.get(planned.trouble)
        if error is not None:
            raise error(target, planned.retry_after)
        return planned.trouble
