"""What the tests of the scalers are made from: policies, triggers, and a Prometheus in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.policy import Policy, Trigger
from consumer.core.readings import Blame, Failure, Reading, Series, Shape, Source
from consumer.core.service import ServiceKey, TargetRef

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
SERVER = "http://prometheus:9090"
SOURCE = Source(SERVER)
NOTHING = Reading(Shape.VECTOR, ())
BROKEN = Failure(UnknownCause.HTTP_ERROR, Blame.QUERY, "HTTP 422: many-to-many matching not allowed")


def one(value: str, **labels: str) -> Reading:
    return Reading(Shape.VECTOR, (Series(tuple(labels.items()), value),))


def scalar(value: str) -> Reading:
    return Reading(Shape.SCALAR, (Series((), value),))


@dataclass(slots=True)
class World:
    """What each lone query gives; a query that is not listed gives no series."""

    results: dict[str, Reading | Failure] = field(default_factory=dict)

    def evaluate(self, query: str, _at: datetime) -> Reading | Failure:
        return self.results.get(query, NOTHING)

    def twin(self) -> MemoryMeasurements:
        return MemoryMeasurements(self.evaluate)


def trigger(type_: str = "prometheus", headers: tuple[tuple[str, str], ...] = (), /, **metadata: str) -> Trigger:
    pairs = tuple((name.lower(), value) for name, value in metadata.items())
    return Trigger(type_, pairs, headers)


def asking(query: str, threshold: str = "1", **metadata: str) -> Trigger:
    return trigger(query=query, threshold=threshold, serverAddress=SERVER, **metadata)


def policy(name: str, *triggers: Trigger, hash_: str = "h") -> Policy:
    return Policy(
        ServiceKey("shop", name),
        name,
        f"uid-{name}",
        hash_,
        T0 - timedelta(days=1),
        TargetRef("apps/v1", "Deployment", name),
        triggers,
    )


def queries(twin: MemoryMeasurements) -> Sequence[str]:
    return [question.query for question, _ in twin.asked]
