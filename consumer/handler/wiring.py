"""What a handler is made of: the doors it uses, its settings, and whom it tells what it did."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from consumer.core.service import Direction, Mode, Phase, ServiceKey, TargetRef
from consumer.handler.backoff import Backoff
from consumer.ports import (
    Autoscalers,
    Clock,
    LogReader,
    Membership,
    Notices,
    Policies,
    Publisher,
    Resources,
    Subscription,
    Switches,
    Targets,
)
from schemas.topics import DEFAULT_PREFIX, Topic

_BACKOFF = Backoff()
_UNTIL_DONE = Backoff(longest=timedelta(minutes=1))


class HandlerTelemetry(Protocol):
    """What the handler tells of its work, as it happens."""

    def answered(self, direction: Direction, phase: Phase, since_trigger: timedelta) -> None:
        """A command has its answer in the log; `since_trigger` is from the event that caused it to the answer."""

    def scaled(self, service: ServiceKey, target: TargetRef, error: str) -> None:
        """A request's command has its answer: `success`, or the code of what was in its way."""

    def observed(self, phase: Phase) -> None:
        """Something was published that no command asked for."""

    def became_ready(self, since_accepted: timedelta) -> None:
        """A woken target showed its first ready replica."""

    def called(self, result: str, took: timedelta) -> None:
        """A call to the cluster ended: `ok`, or the code of its TargetError."""

    def wrote(self, what: str, result: str) -> None:
        """A write beside the scaling ended (`autoscaler`, `event`, `status`, `finalizer`): `ok`, or what was wrong."""

    def dead_lettered(self) -> None:
        """A command could not be read."""

    def unpublished(self) -> None:
        """The log did not take a result; it is tried again."""


@dataclass(frozen=True, slots=True)
class HandlerPorts:
    """The doors; `chance` draws from 0 up to 1 for the jitter of retries. The last four are those of a real cluster."""

    membership: Membership
    publisher: Publisher
    reader: LogReader
    targets: Targets
    policies: Policies
    clock: Clock
    telemetry: HandlerTelemetry
    chance: Callable[[], float]
    autoscalers: Autoscalers | None = None
    notices: Notices | None = None
    resources: Resources | None = None
    switches: Switches | None = None


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """How the handler works.

    `attempts` are the calls that one command gets before it is answered `failed`, but for those that give a target
    back: they are tried until the cluster answers, with the back-off `releases`. A wake that failed since the cluster
    was too busy is tried on after that, some at a time. `deadline` is for one call,
    `drain` for all that is in flight when a partition goes, `parting` for the last commit after that. `pending`
    bounds the commands that were read and not answered, `remembered` the services whose newest command is kept. A zero
    is not begun any more `zero_within` after it was decided: who stood still for so long may have a successor.
    """

    group: str = "handler"
    cluster: str = "default"
    prefix: str = DEFAULT_PREFIX
    mode: Mode = Mode.FULL
    parallel: int = 64
    attempts: int = 8
    deadline: timedelta = timedelta(seconds=5)
    zero_within: timedelta = timedelta(seconds=6)
    calls: Backoff = _BACKOFF
    releases: Backoff = _UNTIL_DONE
    log: Backoff = _BACKOFF
    drain: timedelta = timedelta(seconds=6)
    parting: timedelta = timedelta(seconds=2)
    pending: int = 10_000
    remembered: int = 100_000
    batch: int = 500
    patience: timedelta = timedelta(seconds=1)

    def topic(self, topic: Topic) -> str:
        """The full name of a topic."""
        return topic.under(self.prefix)

    def subscription(self) -> Subscription:
        """What the handlers' group reads; what they write or look up must be partitioned alike."""
        keyed = (self.topic(Topic.SCALE_RESULTS), self.topic(Topic.SERVICE_STATUS))
        group = f"{self.prefix}{self.group}"
        return Subscription(group, (self.topic(Topic.SCALE_COMMANDS),), keyed, committed_only=True)
