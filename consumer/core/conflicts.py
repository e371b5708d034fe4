"""Which policy speaks for a service when several name it, and which ones stand in each other's way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from consumer.core.policy import Policy
from consumer.core.service import ServiceKey

Age = tuple[datetime, str, str]
Workload = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """All valid policies by what they claim; the oldest claim counts, of equally old ones the first by name.

    `in_force`: per service the policy that speaks for it.
    """

    in_force: Mapping[ServiceKey, Policy]
    _holders: Mapping[Workload, Policy]

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> Self:
        """Settle who claims what."""
        services: dict[ServiceKey, Policy] = {}
        workloads: dict[Workload, Policy] = {}
        for policy in sorted(policies, key=age):
            services.setdefault(policy.key, policy)
            workloads.setdefault(workload(policy), policy)
        return cls(services, workloads)

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """Return the service of an older policy that names the same service or target; None when there is none."""
        for holder in (self.in_force.get(policy.key), self._holders.get(workload(policy))):
            if holder is not None and age(holder) < age(policy):
                return holder.key
        return None


def age(policy: Policy) -> Age:
    """Return what orders policies: creation, then namespace and name of the resource."""
    return policy.created_at, policy.key.namespace, policy.name


def workload(policy: Policy) -> Workload:
    """Return what is scaled, however it is spelled."""
    # One workload can be named in several versions of its API group, but only in one group.
    group = policy.target.api_version.rpartition("/")[0]
    return policy.key.namespace, group, policy.target.kind, policy.target.name
