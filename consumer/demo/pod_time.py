"""Adds pod time up from what a watch of targets shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.demo.ground import PodTime
from consumer.ports import TargetKey, TargetView


@dataclass(slots=True)
class _Workload:
    """Replicas as last seen, the most recent number above zero, and the pod time until then."""

    replicas: int
    awake: int
    seen: datetime
    used: timedelta = timedelta()
    always_on: timedelta = timedelta()

    def count(self, now: datetime) -> None:
        """Add the time since it was last seen."""
        passed = max(now - self.seen, timedelta())
        self.used += passed * self.replicas
        self.always_on += passed * self.awake
        self.seen += passed


class PodTimeMeter:
    """Counts each target from when it was first seen; one at zero is held to cost nothing from that moment."""

    def __init__(self) -> None:
        self._workloads: dict[TargetKey, _Workload] = {}

    def saw(self, seen: TargetView | TargetKey, now: datetime) -> None:
        """Take in what a watch yields; a bare key is a target that is gone, and costs nothing from now on."""
        key, replicas = (seen.key, seen.replicas) if isinstance(seen, TargetView) else (seen, 0)
        known = self._workloads.get(key)
        if known is None:
            self._workloads[key] = _Workload(replicas, awake=replicas, seen=now)
            return
        known.count(now)
        known.replicas = replicas
        known.awake = replicas or (known.awake if isinstance(seen, TargetView) else 0)

    def read(self, now: datetime) -> PodTime:
        """Pod time of all targets until now."""
        for each in self._workloads.values():
            each.count(now)
        used = sum((each.used for each in self._workloads.values()), timedelta())
        return PodTime(used, sum((each.always_on for each in self._workloads.values()), timedelta()))
