"""Everything that a run is judged by, as values that can be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.chaos.deeds import Change, Server
from tests.chaos.edits import Version
from tests.chaos.eyes import Sight
from tests.chaos.plan import Call, Plan
from tests.chaos.processes import Life, Span
from tests.chaos.records import Recorded
from tests.chaos.traffic import Entry


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to the system, and when."""

    deeds: Mapping[str, int]
    edits: Sequence[tuple[datetime, Change, str]]
    away: Sequence[tuple[Server, Span]]
    """When a server was away for everybody."""
    absences: Mapping[str, Sequence[Span]]
    """When a process was killed, or stopped where it stood."""
    untrue: Sequence[Span]
    """When Prometheus lied, or was not to be reached."""
    loads: Sequence[tuple[datetime, str, int]]
    connections_cut: int
    late: timedelta
    """How far behind its plan the traffic was at most."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was done and what came of it, from outside and from the log."""

    plan: Plan
    began: datetime
    stopped: datetime
    """When the faults and the traffic were over."""
    ended: datetime
    came_to_rest: bool
    stuck: Sequence[str]
    """The processes that did not get ready when the faults were over."""
    done: Done
    ledger: Sequence[Entry]
    refused: Sequence[Call]
    histories: Mapping[str, Sequence[Sight]]
    versions: Mapping[str, Sequence[Version]]
    lives: Sequence[Life]
    logs: Path
    recorded: Recorded
