"""The places where a person's commands take effect: the log and the cluster, opened as the settings name them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.autoscalers import KubernetesAutoscalers
from consumer.adapters.kubernetes.resources import KubernetesResources, Shown
from consumer.adapters.kubernetes.rights import KubernetesRights
from consumer.adapters.kubernetes.survey import KubernetesSurvey
from consumer.adapters.kubernetes.switches import KubernetesSwitches
from consumer.adapters.kubernetes.targets import KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.adapters.prometheus.configuration import evaluation_interval
from consumer.app import log
from consumer.app.judging import judges, registry_of
from consumer.app.kubernetes import access
from consumer.core.answers import Answers
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.insight.acls import Part
from consumer.ports import (
    Autoscalers,
    Clock,
    LogReader,
    Others,
    Permit,
    Publisher,
    ResourceRef,
    Resources,
    Rights,
    Subject,
    Survey,
    Switches,
    Targets,
)
from consumer.settings import ClusterAccess, Settings, environment_name, flag_name


class UnnamedError(Exception):
    """A place is not named by any setting; the message says which one names it."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """The log of one installation."""

    reader: LogReader
    publisher: Publisher
    prefix: str
    partitions: int
    cluster: str


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """The cluster of one installation."""

    targets: Targets
    autoscalers: Autoscalers
    resources: Resources
    switches: Switches
    rights: Rights
    survey: Survey


@dataclass(frozen=True, slots=True)
class Measured:
    """What the triggers of policies say now, by their service; and how often the server of the settings evaluates."""

    answers: Mapping[ServiceKey, Answers]
    evaluated_every: timedelta | None = None


class Places(Protocol):
    """Where commands take effect, and the clock they go by."""

    @property
    def clock(self) -> Clock:
        """What time it is, and how waits are waited."""

    def log(self, settings: Settings) -> AbstractAsyncContextManager[LogPlace]:
        """Open the log; raises UnnamedError or LogError."""

    def cluster(self, settings: Settings) -> AbstractAsyncContextManager[ClusterPlace]:
        """Open the cluster; raises UnnamedError or TargetError."""

    async def verify(self, settings: Settings) -> Sequence[str]:
        """Say what about the log's topics is not as it should be; raises UnnamedError or LogError."""

    async def forbidden(self, settings: Settings, part: Part) -> Sequence[Permit]:
        """Say which of a part's ACLs the user of the settings lacks; raises UnnamedError or LogError."""

    async def beside(self, settings: Settings) -> Others:
        """Say who is at work on the log beside what the settings name; raises UnnamedError or LogError."""

    async def measure(self, settings: Settings, policies: Sequence[Policy]) -> Measured:
        """Ask every trigger now."""


class RealPlaces:
    """Implements `Places`: Kafka and Kubernetes."""

    def __init__(self) -> None:
        self.clock: Clock = BrokerClock()

    async def verify(self, settings: Settings) -> Sequence[str]:
        """Look at every topic."""
        _needs_kafka(settings)
        return await log.verify(settings)

    async def forbidden(self, settings: Settings, part: Part) -> Sequence[Permit]:
        """Ask the brokers."""
        _needs_kafka(settings)
        return await log.forbidden(settings, [part])

    async def beside(self, settings: Settings) -> Others:
        """Look at the groups of workers and the topics of requests."""
        _needs_kafka(settings)
        return await log.beside(settings)

    async def measure(self, settings: Settings, policies: Sequence[Policy]) -> Measured:
        """Ask Prometheus, and for the server of the settings also how often it evaluates."""
        now = self.clock.read().now
        async with judges(settings) as asked:
            answers = await asked.sweep([Subject(policy, None) for policy in policies], now)
        server, secret = settings.prometheus_address, settings.prometheus_authorization
        headers = {"Authorization": secret.get_secret_value()} if secret else {}
        limit = settings.prometheus_deadline
        interval = await evaluation_interval(server, headers, limit) if server else None
        return Measured(answers, interval)

    @asynccontextmanager
    async def log(self, settings: Settings) -> AsyncIterator[LogPlace]:
        """Open Kafka."""
        _needs_kafka(settings)
        partitions = await log.partitions_of(settings)
        async with log.publisher(settings) as publisher:
            yield LogPlace(log.reader(settings), publisher, settings.topic_prefix, partitions, settings.cluster)

    @asynccontextmanager
    async def cluster(self, settings: Settings) -> AsyncIterator[ClusterPlace]:
        """Open Kubernetes."""
        if settings.cluster_access is None and not (settings.kubeconfig or settings.kube_context):
            raise UnnamedError(f"no cluster is named; set {_both('cluster_access')} to kubeconfig")
        if settings.cluster_access is ClusterAccess.SIMULATED:
            raise UnnamedError("the cluster is simulated: there is none outside of the process that simulates it")
        api = Api(await access(settings, self.clock))
        try:
            yield _place(api, settings, self.clock)
        finally:
            await api.close()


def _place(api: Api, settings: Settings, clock: Clock) -> ClusterPlace:
    watching = Watching(api, clock, chance)
    # Whoever asks from elsewhere need not know the server of the installation: no policy is invalid for that.
    server = settings.prometheus_address or "http://prometheus.invalid:9090"
    check = registry_of(settings.model_copy(update={"prometheus_address": server})).check
    beside = settings.beside_kubeelasti
    return ClusterPlace(
        targets=KubernetesTargets(api, watching, clock),
        autoscalers=KubernetesAutoscalers(api),
        resources=KubernetesResources(api, _Unwatched(), clock, beside_kubeelasti=beside),
        switches=KubernetesSwitches(api, watching, settings.namespace, settings.cluster),
        rights=KubernetesRights(api),
        survey=KubernetesSurvey(api, check, settings.watch_namespaces, beside_kubeelasti=beside),
    )


class _Unwatched:
    """Nobody watches for a single command: each object is read when it is needed."""

    def shown(self, resource: ResourceRef) -> Shown | None:  # noqa: ARG002 - the signature is the adapter's
        """Return nothing."""
        return None


def _needs_kafka(settings: Settings) -> None:
    if not settings.kafka_bootstrap:
        raise UnnamedError(f"no Kafka is named; set {_both('kafka_bootstrap')}, for example to kafka-1:9092")


def _both(setting: str) -> str:
    return f"{environment_name(setting)} or {flag_name(setting)}"
