"""What all known resources say together: which of them is in force for its service, and who stands in whose way."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from consumer.core.conflicts import Age, Workload, age, workload
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.elastiservice.sharing import ResourceText
from consumer.ports import PolicyEntry, PolicyGone, Problem, ResourceRef, Shadowed

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Known:
    """One ElastiService as last read: where it is, and either what it says or what is wrong with it."""

    name: tuple[str, str]
    key: ServiceKey | None
    where: str
    policy: Policy | None
    text: ResourceText
    problems: tuple[Problem, ...] = ()
    resource: ResourceRef | None = None
    generation: int | None = None
    held: bool = False


def entry_of(candidates: Iterable[Known], leaving: Iterable[Known] = ()) -> PolicyEntry | None:
    """Return what counts of all that name one service: the oldest that is valid, else the first that is not.

    `leaving` are those that were deleted and are held.
    """
    known = tuple(candidates)
    speaks = min((one for one in known if one.policy), key=_age, default=known[0] if known else None)
    if speaks is None or speaks.key is None:
        return None
    shadowed = [
        *(Shadowed(one.resource, one.problems, one.generation) for one in known if one is not speaks and one.resource),
        *(Shadowed(one.resource, one.problems, one.generation, leaving=True) for one in leaving if one.resource),
    ]
    return PolicyEntry(
        key=speaks.key,
        policy=speaks.policy,
        problems=speaks.problems,
        resource=speaks.resource,
        generation=speaks.generation,
        held=speaks.held,
        shadowed=tuple(shadowed),
    )


def entries_of(resources: Collection[Known]) -> Mapping[ServiceKey, PolicyEntry]:
    """Return what counts of all resources, per service."""
    named: dict[ServiceKey, list[Known]] = {}
    for one in resources:
        if one.key is not None:
            named.setdefault(one.key, []).append(one)
    return {key: entry for key, candidates in named.items() if (entry := entry_of(candidates)) is not None}


def differences(
    before: Mapping[ServiceKey, PolicyEntry], after: Mapping[ServiceKey, PolicyEntry]
) -> Iterator[PolicyEntry | PolicyGone]:
    """Yield what changed between two looks at everything."""
    for key, entry in before.items():
        if key not in after:
            yield PolicyGone(key, entry.policy, entry.resource)
    for key, entry in after.items():
        if before.get(key) != entry:
            yield entry


class Register:
    """Resources that come and go one by one, each under an identity; a step costs the same however many there are."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._services: dict[ServiceKey, dict[str, Known]] = {}
        self._workloads: dict[Workload, dict[str, Policy]] = {}

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def get(self, identity: str) -> Known | None:
        """Return the resource of that identity."""
        return self._known.get(identity)

    def put(self, identity: str, known: Known) -> None:
        """Take a resource in, in the place of an earlier reading of it."""
        self.drop(identity)
        self._known[identity] = known
        if known.key is not None:
            self._services.setdefault(known.key, {})[identity] = known
        if known.policy is not None:
            self._workloads.setdefault(workload(known.policy), {})[identity] = known.policy

    def drop(self, identity: str) -> None:
        """Forget a resource."""
        known = self._known.pop(identity, None)
        if known is None:
            return
        if known.key is not None:
            _take(self._services, known.key, identity)
        if known.policy is not None:
            _take(self._workloads, workload(known.policy), identity)

    def naming(self, key: ServiceKey) -> Collection[Known]:
        """Return all resources that name a service."""
        return self._services.get(key, {}).values()

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """Return the service of an older policy that names the same service or target; None when there is none."""
        rivals = [one.policy for one in self.naming(policy.key) if one.policy is not None]
        for claims in (rivals, self._workloads.get(workload(policy), {}).values()):
            oldest = min(claims, key=age, default=policy)
            if age(oldest) < age(policy):
                return oldest.key
        return None


def _age(known: Known) -> Age:
    if known.policy is None:
        raise ValueError("what is not valid has no age")
    return age(known.policy)


def _take(places: dict[K, dict[str, V]], place: K, identity: str) -> None:
    del places[place][identity]
    if not places[place]:
        del places[place]
