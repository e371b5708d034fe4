"""Why a decision was taken: a closed, public code (docs/reasons.md), plus the facts that made it true."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

Fact = str | int | float | bool


class Code(StrEnum):
    """Every reason there is; public API: a code is never renamed, its meaning never widened."""

    PAUSED = "paused"
    INVALID_POLICY = "invalid-policy"
    UNFINISHED = "unfinished"
    WAITING_READY = "waiting-ready"
    CONFLICT = "conflict"
    OUTSIDE_PERIOD = "outside-period"
    INVALID_PERIOD = "invalid-period"
    BUSY = "busy"
    ASLEEP = "asleep"
    FROZEN = "frozen"
    NEWBORN = "newborn"
    BLIND = "blind"
    STALE = "stale"
    CLOCK = "clock"
    BEHIND = "behind"
    RECENT_TRAFFIC = "recent-traffic"
    COOLING_DOWN = "cooling-down"
    NOT_IDLE = "not-idle"
    CONTESTED = "contested"
    SLEEP_BUDGET = "sleep-budget"
    AWAITING_RESOLVER = "awaiting-resolver"
    GUARD_TIMEOUT = "guard-timeout"
    IDLE = "idle"
    REQUEST = "request"
    STALE_REQUEST = "stale-request"
    NO_POLICY = "no-policy"
    POLICY_DELETED = "policy-deleted"
    TARGET_CHANGED = "target-changed"
    NEVER_READY = "never-ready"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Reason:
    """A code and its facts in a fixed order; times and spans are text (`stamp`, `span`): JSON keeps them exactly."""

    code: Code
    facts: tuple[tuple[str, Fact], ...] = ()

    def fact(self, name: str) -> Fact | None:
        """Return the fact of that name, or None when the reason has none."""
        return next((value for known, value in self.facts if known == name), None)


def because(code: Code, **facts: Fact) -> Reason:
    """Build a reason; the order of the facts is the order they are written in."""
    return Reason(code, tuple(facts.items()))


def stamp(moment: datetime) -> str:
    """Write a moment as UTC RFC 3339 with milliseconds."""
    # Every moment in here is UTC, so the last six characters are always +00:00; strftime takes thrice as long.
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def span(length: timedelta) -> str:
    """Write a span for people and machines alike: `45.5s`, `14m59s`, `2h03m00s`."""
    total = length.total_seconds()
    if abs(total) < 60:  # noqa: PLR2004 - a minute
        return f"{total:g}s"
    sign = "-" if total < 0 else ""
    minutes, seconds = divmod(int(abs(total)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes:02d}m{seconds:02d}s" if hours else f"{sign}{minutes}m{seconds:02d}s"
