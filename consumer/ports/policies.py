"""The policies of an installation, and what is wrong with them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey
from consumer.ports.cluster import ResourceRef


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a policy: `where` (file:line or resource), `field`, and what to write instead."""

    where: str
    field: str
    message: str

    def __str__(self) -> str:
        """Return `where: field: message`, or `where: message` when it is no single field."""
        return ": ".join(part for part in (self.where, self.field, self.message) if part)


class TriggerCheck(Protocol):
    """Says what is wrong with a trigger, in the words of its scaler type."""

    def __call__(self, trigger: Trigger) -> Sequence[tuple[str, str]]:
        """Return (field, what to write instead) for each fault; empty when the trigger is valid."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A resource that names a service for which another one is in force, with what is wrong with it besides.

    `leaving`: it was deleted, and only our finalizer keeps it: let it go, there is nothing to give back.
    """

    resource: ResourceRef
    problems: tuple[Problem, ...] = ()
    generation: int | None = None
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A policy resource as last read: the last valid content (if ever) and the problems of the newest.

    `resource` is where it comes from, when that is an API; `held`: our finalizer is on it; `generation` is that of
    what was read. `shadowed` are the other resources of the API that name the same service.
    """

    key: ServiceKey
    policy: Policy | None
    problems: tuple[Problem, ...] = ()
    resource: ResourceRef | None = None
    generation: int | None = None
    held: bool = False
    shadowed: tuple[Shadowed, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyGone:
    """A policy resource was deleted; `policy` is its last valid content.

    `held`: the API shows it still, since our finalizer is on it: whoever gave its target back lets it go.
    `previous_replicas` is what its status says that the target had when it was last awake, `remains` what can be read
    of its target and autoscaler when nothing of it ever was valid as a whole.
    """

    key: ServiceKey
    policy: Policy | None
    resource: ResourceRef | None = None
    held: bool = False
    previous_replicas: int | None = None
    remains: Policy | None = None


class Policies(Protocol):
    """The policies of the installation."""

    async def listed(self) -> None:
        """Return once the first full list has been seen."""

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        """All of them, now; a policy that is in force for its service (the oldest when several name it)."""

    def whole(self) -> bool:
        """Whether nothing was unreadable: only then is a policy that is not among the entries a deleted one."""

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """The older policy that names the same service or target, if there is one."""

    def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        """Yield each change from now on."""
