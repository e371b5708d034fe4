"""What a worker is given: its settings and its ports, as two values."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from consumer.core.service import Mode
from consumer.ports import (
    Clock,
    Judges,
    LogReader,
    Membership,
    Policies,
    Publisher,
    Subscription,
    Switches,
    Writers,
)
from consumer.telemetry import Telemetry
from schemas.topics import DEFAULT_PREFIX, Topic, tenant_topic

INPUTS = (Topic.REQUEST_COUNTS, Topic.HOSTS, Topic.SCALE_RESULTS)
OUTPUTS = (Topic.SCALE_COMMANDS, Topic.SERVICE_STATUS, Topic.DECISIONS, Topic.STATE)


@dataclass(frozen=True, slots=True)
class Input:
    """What an input topic carries; `only` is the one namespace that it may speak of (None: any)."""

    topic: Topic
    only: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works; the defaults are those of production."""

    prefix: str = DEFAULT_PREFIX
    group: str = "worker"
    tenants: tuple[str, ...] = ()
    """Namespaces whose requests come by topics of their own; the others', and at need theirs, by the one for all."""
    cluster: str = "default"
    mode: Mode = Mode.FULL
    interval: timedelta = timedelta(seconds=30)
    max_request_age: timedelta = timedelta(minutes=10)
    flush_every: timedelta = timedelta(milliseconds=800)
    """What holds no command leaves after this; with the transaction itself that is within a second."""
    fetch_limit: int = 4_000
    backlog: int = 8_000
    """A partition with so many records waiting is not fetched until half of them are done."""
    most_owed: int = 1_000
    """Wakes owed to services without a policy, per partition."""
    gate_attempts: int = 6
    back_off: timedelta = timedelta(milliseconds=250)
    """Between attempts of a gate and between rejoins: this, doubled each time, up to 40 times as much."""

    drain: timedelta = timedelta(seconds=8)
    """How long a polite end may take; what is not written by then is read again by the next owner."""

    def delay(self, attempt: int) -> timedelta:
        """Return how long to wait after that many failures, counted from 0."""
        return self.back_off * min(1 << min(attempt, 6), 40)

    def topic(self, topic: Topic) -> str:
        """Return a topic's full name."""
        return topic.under(self.prefix)

    def inputs(self) -> Mapping[str, Input]:
        """Return what each input topic carries, by its full name."""
        of_all = {self.topic(topic): Input(topic) for topic in INPUTS}
        own = {tenant_topic(self.prefix, name): Input(Topic.REQUEST_COUNTS, name) for name in self.tenants}
        return of_all | own

    def subscription(self) -> Subscription:
        """Return what the workers' group reads.

        Members with unequal topics would tear the partitions of the others apart, so the group's name carries a hash
        of them: a worker that reads other topics is in another group, and refuses to start beside this one.
        """
        inputs = tuple(self.inputs())
        mark = hashlib.sha256("|".join(inputs).encode()).hexdigest()[:8]
        stem = f"{self.prefix}{self.group}-"
        return Subscription(stem + mark, inputs, tuple(self.topic(topic) for topic in OUTPUTS), rivals=stem)


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """What a worker asks of the world; the membership and the writers must be of `WorkerSettings.subscription`."""

    membership: Membership
    writers: Writers
    publisher: Publisher
    reader: LogReader
    judges: Judges
    policies: Policies
    clock: Clock
    telemetry: Telemetry
    switches: Switches | None = None
