"""The validated content of one ElastiService: what its owner wants, with every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from consumer.core.schedule import EnabledPeriod
from consumer.core.service import Autoscaler, Mode, ServiceKey, TargetRef

DEFAULT_COOLDOWN = timedelta(seconds=900)
"""KubeElasti's default; its `cooldownPeriod: 0` means the same."""
DEFAULT_GUARD_TIMEOUT = timedelta(seconds=60)
DEFAULT_START_TIMEOUT = timedelta(minutes=30)


class PauseKind(StrEnum):
    """What the annotation `elasti.truefoundry.com/paused` stops: the sleeps, or everything."""

    SLEEP = "sleep"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause by annotation, open-ended when `until` is None; the exact end counts as over."""

    kind: PauseKind
    until: datetime | None = None


class WakeReplicas(StrEnum):
    """How many replicas a wake asks for: the policy's minimum, or what there was before the sleep."""

    MIN = "min"
    PREVIOUS = "previous"


class ZeroGuard(StrEnum):
    """Who must agree before zero: nobody, or the resolver that is to take the traffic first."""

    NONE = "none"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class InvalidPeriod:
    """An enabledPeriod that can not be read: keeps the service up, but does not make its policy invalid."""

    problem: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of `spec.triggers`: its type and its metadata with lower-cased keys, still in the scaler's words."""

    type: str
    metadata: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...] = ()

    def named(self) -> Mapping[str, str]:
        """The metadata as a mapping."""
        return dict(self.metadata)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one valid ElastiService asks for; `hash` is of the normalised content, without headers' values."""

    key: ServiceKey
    name: str
    uid: str
    hash: str
    created_at: datetime
    target: TargetRef
    triggers: tuple[Trigger, ...]
    min_replicas: int = 1
    cooldown: timedelta = DEFAULT_COOLDOWN
    wake_replicas: WakeReplicas = WakeReplicas.MIN
    period: EnabledPeriod | InvalidPeriod | None = None
    autoscaler: Autoscaler | None = None
    pause: Pause | None = None
    mode: Mode = Mode.FULL
    zero_guard: ZeroGuard = ZeroGuard.NONE
    guard_timeout: timedelta = DEFAULT_GUARD_TIMEOUT
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
