"""Where the actors live: what the stage asks of a cluster, whether it is simulated or a real control plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from consumer.ports import Targets


@dataclass(frozen=True, slots=True)
class Label:
    """What the screen says of a cluster: in full, in short, and a command for another terminal, where there is one."""

    full: str
    short: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class PodTime:
    """Pod time since the beginning: what was used, and what it would be had nothing ever slept."""

    used: timedelta = timedelta()
    always_on: timedelta = timedelta()

    @property
    def saved(self) -> timedelta:
        """Pod time that sleeping saved."""
        return self.always_on - self.used


class Ground(Protocol):
    """A cluster with the actors' workloads on it."""

    @property
    def label(self) -> Label:
        """What it is, in the words that people see."""

    @property
    def targets(self) -> Targets | None:
        """The workloads that the handler in this process scales; None: those of the cluster that `settings` name."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings by which a process of ours finds it, and the policies in it."""

    @property
    def flags(self) -> Sequence[str]:
        """The same for the command line of a process."""

    async def take(self, policies: str) -> None:
        """Bring the actors' policies in, YAML documents; raises TargetError."""

    def pod_time(self, now: datetime) -> PodTime:
        """What the actors' pods came to so far."""
