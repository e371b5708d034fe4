"""What all partitions of one worker share: ports, settings, what people switched, and the form of their health."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumer.core.control import Controls
from consumer.ports import Moment
from consumer.telemetry import Presence
from consumer.worker.settings import WorkerPorts, WorkerSettings


@dataclass(frozen=True, slots=True)
class PartitionHealth:
    """How one partition does: `moved_at` is when its loops last went round, `lag` what the last cycle found."""

    partition: int
    restored: bool
    services: int
    lag: Mapping[str, int]
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is true for all services of one evaluation cycle."""

    moment: Moment
    inputs_read: bool = True
    stale_after: timedelta = timedelta(seconds=60)


@dataclass(slots=True)
class Shared:
    """`controls` is replaced whenever somebody switches something; until `controls_read` it is not to be believed.

    So it is with what the cluster says beside the log, until `switches_read`: both are in the one book.
    """

    ports: WorkerPorts
    settings: WorkerSettings
    controls: Controls = field(default_factory=Controls)
    controls_read: asyncio.Event = field(default_factory=asyncio.Event)
    switches_read: asyncio.Event = field(default_factory=asyncio.Event)
    presences: dict[int, Counter[Presence]] = field(default_factory=dict)
    """Per owned partition, what its services were at its last cycle."""

    def __post_init__(self) -> None:
        """Without a cluster there is nothing to be read."""
        if self.ports.switches is None:
            self.switches_read.set()

    def tell_presences(self) -> None:
        """Show how many services of all owned partitions are awake, asleep and so on."""
        self.ports.telemetry.services(sum(self.presences.values(), Counter()))
