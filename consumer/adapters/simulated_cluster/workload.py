"""One workload: its replicas, its pods, and what they cost."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumer.adapters.simulated_cluster.pods import Pod, Startup
from consumer.ports import TargetKey, TargetView


@dataclass(frozen=True, slots=True)
class Usage:
    """Pod time since the workload was made: what was `used`, and what it would be had it never slept."""

    used: timedelta = timedelta()
    always_on: timedelta = timedelta()

    @property
    def saved(self) -> timedelta:
        """Pod time that sleeping saved."""
        return self.always_on - self.used

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(self.used + other.used, self.always_on + other.always_on)


@dataclass(slots=True)
class Workload:
    """One object of the cluster, with its controller's and kubelets' side of it."""

    key: TargetKey
    uid: str
    startup: Startup
    made_at: datetime
    replicas: int
    resource_version: int
    generation: int = 1
    manager: str | None = None
    pods: list[Pod] = field(default_factory=list)
    awake_replicas: int = 0
    _usage: Usage = Usage()
    _counted_to: datetime | None = None
    _numbers: int = 0

    def view(self, now: datetime) -> TargetView:
        """The object as the API shows it."""
        return TargetView(
            key=self.key,
            uid=self.uid,
            generation=self.generation,
            resource_version=str(self.resource_version),
            replicas=self.replicas,
            ready=sum(pod.ready for pod in self.pods),
            at=now,
            manager=self.manager,
        )

    def scale(self, replicas: int, manager: str, now: datetime) -> bool:
        """Change the replicas, in somebody's name; False when that is what there is."""
        if replicas == self.replicas:
            return False
        self.count(now)
        self.replicas = replicas
        self.generation += 1
        self.manager = manager
        self.awake_replicas = replicas or self.awake_replicas
        return True

    def missing(self, now: datetime) -> list[Pod]:
        """Let the newest pods go that are too many, or return the new ones that have to be started."""
        self.count(now)
        del self.pods[self.replicas :]
        new = [self._new() for _ in range(self.replicas - len(self.pods))]
        self.pods += new
        return new

    def count(self, now: datetime) -> Usage:
        """Return the pod time up to now; to be called before the pods or the replicas change."""
        since = now - (self._counted_to or self.made_at)
        always = max(self.awake_replicas, self.replicas)
        self._usage += Usage(since * len(self.pods), since * always)
        self._counted_to = now
        return self._usage

    def _new(self) -> Pod:
        self._numbers += 1
        return Pod(self._numbers)
