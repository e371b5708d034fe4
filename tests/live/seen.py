"""What live tests speak of: a service of the installation, and what became durable of it."""

from dataclasses import dataclass, field
from typing import TypeVar

from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Record, TargetKey
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.service_status import ServiceStatus
from schemas.topics import Topic

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the installation, with the Deployment of its name behind it."""

    key: ServiceKey

    @property
    def target(self) -> TargetKey:
        """The workload in the simulated cluster."""
        return TargetKey(self.key.namespace, TargetRef("apps/v1", "Deployment", self.key.name))

    def is_meant(self, message: ScaleCommand | ScaleResult | Decision | ServiceStatus) -> bool:
        """Whether a message speaks of this service."""
        return (message.namespace, message.service) == (self.key.namespace, self.key.name)


@dataclass(slots=True)
class Seen:
    """What became durable so far, in the order of each topic's partitions."""

    commands: list[ScaleCommand] = field(default_factory=list)
    results: list[ScaleResult] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    statuses: list[ServiceStatus] = field(default_factory=list)
    letters: list[Record] = field(default_factory=list)

    def take(self, prefix: str, record: Record) -> None:
        """Keep one record of an output topic."""
        match Topic(record.topic.removeprefix(prefix)):
            case Topic.DEAD_LETTER:
                self.letters.append(record)
            case Topic.SCALE_COMMANDS:
                _keep(self.commands, decode(ScaleCommand, record.value))
            case Topic.SCALE_RESULTS:
                _keep(self.results, decode(ScaleResult, record.value))
            case Topic.DECISIONS:
                _keep(self.decisions, decode(Decision, record.value))
            case _ if record.value is not None:
                _keep(self.statuses, decode(ServiceStatus, record.value))
            case _:
                return


def _keep(known: list[M], message: M | Undecodable) -> None:
    if not isinstance(message, Undecodable):
        known.append(message)
