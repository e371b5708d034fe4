"""What a gateway is given: its settings and its ports, as two values."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from consumer.core.service import ServiceKey
from consumer.elastiservice import ResourceText
from consumer.ports import Publisher
from consumer.telemetry import Telemetry
from schemas.topics import DEFAULT_PREFIX, requests_topic


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How one part of the process is: `moving` while its loops turn, `ready` once it does its whole job.

    `away`: all that keeps it from that is a Kafka that can not be reached.
    """

    part: str
    moving: bool
    ready: bool
    detail: str = ""
    away: bool = False


class Health(Protocol):
    """A part of the process that can say how it is; never waits."""

    def health(self) -> HealthReport:
        """How it is now."""


class DirectWake(Protocol):
    """The way to a wake while the log is away."""

    async def wake(self, key: ServiceKey, trace: str | None) -> None:
        """Return once the cluster took it, or had it already; raises TargetError."""


class Resources(Protocol):
    """The resources behind the policies in force."""

    async def listed(self) -> None:
        """Return once they were read for the first time."""

    def resources(self) -> Mapping[ServiceKey, ResourceText]:
        """All of them, now."""


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """What a gateway asks of the world.

    `partitions` is the number that the topic has, None while nobody could ask Kafka yet. Without `direct` a request
    that the log can not take is refused. `handler` is the one of this process: it does wakes for other gateways too.
    """

    publisher: Publisher
    telemetry: Telemetry
    partitions: Callable[[], int | None]
    health: tuple[Health, ...] = ()
    direct: DirectWake | None = None
    handler: DirectWake | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """How a gateway works."""

    prefix: str = DEFAULT_PREFIX
    tenants: tuple[str, ...] = ()
    """Namespaces whose requests have a topic of their own."""
    cluster: str = "default"
    simulated: bool = False
    patience: timedelta = timedelta(milliseconds=500)
    """So long the log may take to acknowledge; a caller that waits longer would be better off asking again."""
    direct_patience: timedelta = timedelta(seconds=5)
    retry_after: timedelta = timedelta(seconds=1)
    body_limit: int = 16_384
    """Bytes; the longest possible RequestCount has under 250."""
    read_timeout: timedelta = timedelta(seconds=30)
    keepalive: timedelta = timedelta(seconds=75)
    """An idle connection, one that never sends a whole header too, is closed after this."""
    linger: timedelta = timedelta(seconds=2)
    """So long what still comes of a body is read when its answer was sent already: closed at once, it would be lost."""
    drain: timedelta = timedelta(seconds=5)
    token: str | None = field(default=None, repr=False)
    """What callers have to show, but those of the open pages; None: nothing."""
    secure: ssl.SSLContext | None = None
    """The server's certificate; None: no TLS."""
    most_pending: int = 10_000
    """Records that wait for their acknowledgement; beyond it requests are refused at once."""

    def topic_of(self, namespace: str) -> str:
        """The full name of the topic that requests for a namespace go to."""
        return requests_topic(self.prefix, namespace, self.tenants)
