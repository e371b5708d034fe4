"""What else the cluster holds for us: resources with their status, events, autoscalers beside ours, and switches."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from consumer.core.control import Control
from consumer.core.policy import Policy
from consumer.core.service import Mode
from consumer.ports.targets import TargetKey


@dataclass(frozen=True, slots=True, order=True)
class ResourceRef:
    """One ElastiService, as the API knows it; the name alone would also mean the next one of its name."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        """Return `namespace/name`, as people type it behind `kubectl get elastiservice -n`."""
        return f"{self.namespace}/{self.name}"


class Truth(StrEnum):
    """Whether a condition holds, in the API's words."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a resource; `reason` is CamelCase, `message` is for people."""

    type: str
    truth: Truth
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LastDecision:
    """The last decision on a service, as its status shows it."""

    action: str
    code: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """What the status of a resource is to say; None leaves a field as it is, so that nothing known is taken away.

    `replicas` is what the target has, `previous_replicas` what it had before we put it to sleep: whoever gives it back
    without us needs that. `last_scaled_up` is KubeElasti's `lastScaledUpTime`: an operator of it that runs beside us
    counts its cooldown from there.
    """

    conditions: tuple[Condition, ...] = ()
    mode: Mode | None = None
    replicas: int | None = None
    previous_replicas: int | None = None
    decision: LastDecision | None = None
    last_scaled_up: datetime | None = None
    observed_generation: int | None = None


class Resources(Protocol):
    """The ElastiServices as resources; each call raises TargetError, and is harmless when repeated."""

    async def write_status(self, resource: ResourceRef, status: ResourceStatus) -> bool:
        """Write what differs from what is there; False when nothing did, and then nothing was sent."""

    async def hold(self, resource: ResourceRef) -> None:
        """Put our finalizer on it: from now on it is not gone before it was let go."""

    async def let_go(self, resource: ResourceRef) -> None:
        """Take our finalizer off; the resource of that uid may be gone already."""

    async def namespace_ends(self, namespace: str) -> bool:
        """Whether a namespace is being deleted, with all that is in it and with the rights that were given in it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told by `kubectl describe`; `warning` makes it stand out.

    `about` is the resource or its target; equal `about`, `reason` and `message` are told as one, with a count.
    """

    about: ResourceRef | TargetKey
    reason: str
    message: str
    warning: bool = False
    target_uid: str | None = None
    """The uid of the target, where it is the subject and the uid is known."""


class Notices(Protocol):
    """Kubernetes Events."""

    async def tell(self, notice: Notice, *, count: int, first: datetime, last: datetime) -> None:
        """Write it, or raise the count of the one that is there; raises TargetError."""


@dataclass(frozen=True, slots=True, order=True)
class AutoscalerKey:
    """A KEDA ScaledObject in its namespace."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `namespace/ScaledObject/name`."""
        return f"{self.namespace}/ScaledObject/{self.name}"


class Autoscalers(Protocol):
    """The autoscalers that have to stand aside while a service sleeps; each call raises TargetError.

    A pause that somebody else made is never ours to end: TargetMovedError. One that is gone (TargetGoneError) needs
    no pause.
    """

    async def pause(self, key: AutoscalerKey, by: str) -> None:
        """Stop it from scaling, in the name of the command `by`; an earlier pause of ours is taken over."""

    async def pin(self, key: AutoscalerKey, by: str) -> None:
        """Hold it at zero; TargetMovedError unless it is still paused in the name of `by`."""

    async def resume(self, key: AutoscalerKey, by: str | None = None) -> bool:
        """Let it scale again: what we paused (in the name of `by` only, when given), or what is pinned to zero.

        Returns whether there was such a pause.
        """

    async def paused(self, key: AutoscalerKey) -> bool:
        """Whether there is a pause that `resume` would end; changes nothing."""


class Switches(Protocol):
    """What people froze or switched, kept in the cluster: seen and set while the log is away. Raises TargetError."""

    def follow(self) -> AsyncIterator[Sequence[Control]]:
        """Yield the whole content at once (empty: nothing is switched), then again each time that it changes."""

    async def apply(self, controls: Sequence[Control]) -> None:
        """Add these to what is there; each replaces the earlier one of its pattern and kind."""


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that the API may let us do; `subresource`, `namespace` and `name` empty: none, all, and any."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return it as people write it: `patch apps deployments/scale`."""
        what = "/".join(part for part in (self.resource, self.subresource) if part)
        named = f" named {self.name}" if self.name else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.group}{' ' if self.group else ''}{what}{named}{where}"


class Rights(Protocol):
    """What the API lets us do; raises TargetError."""

    async def missing(self, rights: Sequence[Right]) -> Sequence[Right]:
        """Return those that we do not have."""


class Secrets(Protocol):
    """Values that policies name and do not hold; raises TargetError."""

    async def read(self, namespace: str, name: str, key: str) -> str:
        """Return the value now; the message of an error says which Secret and key, and never the value."""

    def distrust(self, namespace: str, name: str) -> None:
        """Look at this Secret anew when it is read next: somebody did not take what it held."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One ElastiService with what it takes to give its target back, also when its content is invalid.

    `service`, `target`: None where it names none. `previous_replicas`: what the target had before we put it to sleep.
    `held`: our finalizer, or KubeElasti's, is on it. `policy`: what it asks for; None while `problems` say why not.
    """

    resource: ResourceRef
    service: str | None
    target: TargetKey | None
    min_replicas: int
    previous_replicas: int | None
    autoscaler: AutoscalerKey | None
    held: bool
    leaving: bool = False
    policy: Policy | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignScaler:
    """Somebody else's autoscaler: an `hpa` or a `keda` ScaledObject, what it scales, and how low it goes at most."""

    type: str
    name: str
    target: TargetKey
    lowest: int


@dataclass(frozen=True, slots=True)
class Definition:
    """The ElastiService definition that the API has: the versions it serves, and the fields of `spec` it knows.

    `fields` None: who asks may not see them.
    """

    versions: tuple[str, ...]
    fields: frozenset[str] | None


class Survey(Protocol):
    """A single look at what stands in a cluster, for people who ask; each call raises TargetError."""

    async def holdings(self) -> Sequence[Holding]:
        """Return every ElastiService that we may see."""

    async def scalers(self) -> Sequence[ForeignScaler]:
        """Return every HPA and ScaledObject."""

    async def definition(self) -> Definition | None:
        """Return the definition of ElastiServices; None when the API has none."""

    async def time(self) -> datetime:
        """Return what the API server takes for the present time, to the second."""
