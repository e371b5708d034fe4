"""An installation in memory for single commands: a log and a cluster that can be away, and a clock in a hurry."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory import MemoryLog, MemoryPublisher, MemoryReader
from consumer.adapters.memory_autoscalers import MemoryAutoscalers
from consumer.adapters.memory_resources import MemoryResources
from consumer.adapters.memory_survey import MemoryRights, MemorySurvey
from consumer.adapters.memory_switches import MemorySwitches
from consumer.adapters.memory_targets import MemoryTargets
from consumer.app.places import ClusterPlace, LogPlace, Measured, UnnamedError
from consumer.core.control import Controls
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey, TargetRef
from consumer.elastiservice import FINALIZER
from consumer.insight.acls import Names, Part, permits
from consumer.ports import (
    Definition,
    Holding,
    LogError,
    Others,
    Output,
    Permit,
    Placed,
    Record,
    ResourceRef,
    TargetBusyError,
    TargetKey,
)
from consumer.settings import Settings
from consumer.wire.controls import switched
from schemas.codec import Undecodable
from schemas.topics import TOPICS, Topic

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PARTITIONS = 3
PREFIX = "elasti."
_NAMES = Names(PREFIX, "worker", "handler")


class Hurried(ManualClock):
    """A clock on which every wait is over at once, and that knows how long it would have been."""

    def __init__(self) -> None:
        super().__init__(T0)
        self.waited: list[timedelta] = []
        self.meanwhile: deque[Callable[[], object]] = deque()
        """What others do during the next waits, one each."""

    async def sleep(self, length: timedelta) -> None:
        """Move on by that much."""
        self.waited.append(length)
        self.advance(length)
        if self.meanwhile:
            self.meanwhile.popleft()()
        await super().sleep(timedelta())


class Resources(MemoryResources):
    """Finalizers that the survey shows, too."""

    def __init__(self, clock: ManualClock, survey: MemorySurvey) -> None:
        super().__init__(clock)
        self._survey = survey
        self.handler_runs = False

    async def let_go(self, resource: ResourceRef) -> None:
        await super().let_go(resource)
        for one in await self._survey.holdings():
            if one.resource == resource:
                self._survey.put(replace(one, held=self.handler_runs))


class Refused:
    """A way out for those who may not write."""

    def __init__(self, error: LogError) -> None:
        self._error = error

    async def publish(self, output: Output) -> Placed:  # noqa: ARG002 - the port's contract
        raise self._error


class Installation:
    """Implements `Places`; `problems` are what the topics suffer from, `measured` what the triggers say."""

    def __init__(self) -> None:
        self.clock = Hurried()
        self.memory = MemoryLog(self.clock)
        for spec in TOPICS:
            self.memory.create(spec.topic.under(PREFIX), spec.partitions(PARTITIONS))
        self.log_trouble: LogError | UnnamedError | None = None
        self.cluster_trouble: TargetBusyError | UnnamedError | None = None
        self.unwritable: LogError | None = None
        self.problems: list[str] = []
        self.forbidden_permits: set[Permit] = set()
        self.hidden: LogError | None = None
        self.others: Others | LogError = Others()
        self.measured = Measured({})
        survey = MemorySurvey(self.clock)
        survey.definition_shown = Definition(
            ("v1alpha1",),
            frozenset({"service", "scaleTargetRef", "triggers", "zeroGuard", "wakeReplicas", "mode"}),
        )
        self.targets, self.survey = MemoryTargets(self.clock), survey
        self.autoscalers, self.switches = MemoryAutoscalers(), MemorySwitches()
        self.resources, self.rights = Resources(self.clock, survey), MemoryRights()

    @asynccontextmanager
    async def log(self, settings: Settings) -> AsyncIterator[LogPlace]:
        if self.log_trouble is not None:
            raise self.log_trouble
        reader = MemoryReader(self.memory)
        publisher = MemoryPublisher(self.memory) if self.unwritable is None else Refused(self.unwritable)
        yield LogPlace(reader, publisher, settings.topic_prefix, PARTITIONS, settings.cluster)

    @asynccontextmanager
    async def cluster(self, settings: Settings) -> AsyncIterator[ClusterPlace]:  # noqa: ARG002 - the signature's
        if self.cluster_trouble is not None:
            raise self.cluster_trouble
        yield ClusterPlace(
            targets=self.targets,
            autoscalers=self.autoscalers,
            resources=self.resources,
            switches=self.switches,
            rights=self.rights,
            survey=self.survey,
        )

    async def verify(self, settings: Settings) -> Sequence[str]:  # noqa: ARG002 - the signature's
        if self.log_trouble is not None:
            raise self.log_trouble
        if self.hidden is not None:
            raise self.hidden
        return self.problems

    async def forbidden(self, settings: Settings, part: Part) -> Sequence[Permit]:  # noqa: ARG002 - as above
        if self.log_trouble is not None:
            raise self.log_trouble
        return [permit for permit in permits(part, _NAMES) if permit in self.forbidden_permits]

    async def beside(self, settings: Settings) -> Others:  # noqa: ARG002 - as above
        if isinstance(self.others, LogError):
            raise self.others
        return self.others

    async def measure(self, settings: Settings, policies: Sequence[Policy]) -> Measured:  # noqa: ARG002 - as above
        return self.measured

    def write(self, topic: Topic, key: str, value: bytes, partition: int = 0) -> None:
        """Append a record, as some part of the system does."""
        self.memory.append(Output(topic.under(PREFIX), partition, key.encode(), value))

    def records(self, topic: Topic) -> list[Record]:
        """Everything in a topic."""
        return self.memory.records(topic.under(PREFIX))

    def book(self) -> Controls:
        """What the control topic says."""
        book = Controls()
        for record in self.records(Topic.CONTROL):
            changed = switched(book, record)
            assert not isinstance(changed, Undecodable)
            book = changed
        return book

    def deploy(self, name: str, *, replicas: int = 0, ready: int = 0, held: bool = True, **facts: object) -> Holding:
        """An ElastiService of `shop` with its target."""
        resource = ResourceRef("shop", name, f"uid-{name}")
        self.resources.create(resource, *((FINALIZER,) if held else ()))
        target = TargetKey("shop", TargetRef("apps/v1", "Deployment", name))
        self.targets.create(target, replicas=replicas, ready=ready)
        plain = Holding(resource, name, target, 1, None, None, held, policy=policy_of(name))
        return self.survey.put(replace(plain, **facts))  # type: ignore[arg-type]


def policy_of(name: str, **changes: object) -> Policy:
    """A policy without any fault."""
    plain = Policy(
        key=ServiceKey("shop", name),
        name=name,
        uid=f"uid-{name}",
        hash="h1",
        created_at=T0,
        target=TargetRef("apps/v1", "Deployment", name),
        triggers=(Trigger("prometheus", (("query", "up"), ("threshold", "0.5"))),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]
