"""A real cluster as the settings describe it: everything that worker, handler and gateway have of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumer.adapters.clock import chance
from consumer.adapters.kubernetes.access import from_kubeconfig, from_pod
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.autoscalers import KubernetesAutoscalers
from consumer.adapters.kubernetes.notices import KubernetesNotices
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.resources import KubernetesResources
from consumer.adapters.kubernetes.secrets import KubernetesSecrets
from consumer.adapters.kubernetes.switches import KubernetesSwitches
from consumer.adapters.kubernetes.targets import Field, KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.app.judging import registry_of
from consumer.ports import Autoscalers, Clock, Notices, Policies, PolicyEntry, Resources, Secrets, Switches, Targets
from consumer.settings import ClusterAccess, Settings


@dataclass(frozen=True, slots=True)
class ClusterDoors:
    """What one process has of a cluster; all but the targets are there with a real one only.

    `policies` and `resources` are None when the policies are files: then there is no status to write.
    """

    targets: Targets
    policies: KubernetesPolicies | None = None
    autoscalers: Autoscalers | None = None
    notices: Notices | None = None
    resources: Resources | None = None
    switches: Switches | None = None
    secrets: Secrets | None = None


def is_real(settings: Settings) -> bool:
    """Whether the settings name a cluster with an API."""
    return settings.cluster_access in (ClusterAccess.IN_CLUSTER, ClusterAccess.KUBECONFIG)


async def access(settings: Settings, clock: Clock) -> Access:
    """Enter the cluster as the settings say; raises TargetError."""
    if settings.cluster_access is ClusterAccess.IN_CLUSTER:
        return await from_pod(clock)
    return await from_kubeconfig(clock, file=settings.kubeconfig, context=settings.kube_context)


@asynccontextmanager
async def cluster(settings: Settings, clock: Clock) -> AsyncIterator[ClusterDoors]:
    """Open the cluster; raises TargetError when there is no way in."""
    api = Api(await access(settings, clock))
    try:
        yield _doors(api, settings, clock)
    finally:
        await api.close()


def _doors(api: Api, settings: Settings, clock: Clock) -> ClusterDoors:
    watching = Watching(api, clock, chance)
    beside = settings.beside_kubeelasti
    policies = None
    if not settings.policies:
        check = registry_of(settings).check
        policies = KubernetesPolicies(watching, check, namespaces=settings.watch_namespaces, beside_kubeelasti=beside)
    return ClusterDoors(
        targets=KubernetesTargets(api, watching, clock, Field(settings.watch_namespaces)),
        policies=policies,
        autoscalers=KubernetesAutoscalers(api),
        notices=KubernetesNotices(api),
        resources=KubernetesResources(api, policies, clock, beside_kubeelasti=beside) if policies else None,
        switches=KubernetesSwitches(api, watching, settings.namespace, settings.cluster),
        secrets=KubernetesSecrets(api),
    )


async def follow_targets(targets: KubernetesTargets, policies: Policies) -> None:
    """Keep the picture of the targets current, of every kind that a policy names."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(targets.run())
        changes = policies.changes()
        await policies.listed()
        targets.include(entry.policy.target for entry in policies.entries().values() if entry.policy)
        async for change in changes:
            if isinstance(change, PolicyEntry) and change.policy is not None:
                targets.include([change.policy.target])
