"""Who plays in the demo: a dozen services with their policies, their start-up times and their traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import yaml

from consumer.core.service import ServiceKey, TargetRef

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """A repeating pattern: from `first` on, `rate` requests a second for `length`, again each `every`."""

    first: timedelta
    length: timedelta
    every: timedelta
    rate: int = 1

    def at(self, elapsed: timedelta) -> int:
        """How many requests come in the second that begins at `elapsed`."""
        if elapsed < self.first:
            return 0
        # 4 s of every 25 s: seconds 0 to 3 carry requests, 4 to 24 do not.
        return self.rate if (elapsed - self.first) % self.every < self.length else 0


SILENCE = Traffic(first=DAY, length=timedelta(), every=DAY)


@dataclass(frozen=True, slots=True)
class Actor:
    """One service of the demo.

    `starts_in` is how long its pods take, `measured` whether Prometheus judges it (else its requests are counted),
    `batch` the work that no request announces, `period` the schedule and duration of its enabledPeriod.
    """

    key: ServiceKey
    starts_in: timedelta
    cooldown: timedelta
    traffic: Traffic = SILENCE
    measured: bool = False
    batch: Traffic = SILENCE
    period: tuple[str, str] | None = None
    paused: bool = False

    @property
    def target(self) -> TargetRef:
        """The Deployment behind the service, of the same name."""
        return TargetRef("apps/v1", "Deployment", self.key.name)

    def load(self, elapsed: timedelta) -> int:
        """What its metric shows: requests, and work that no request announces (a batch job, a queue)."""
        return self.traffic.at(elapsed) + self.batch.at(elapsed)


def _seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def _bursts(*, first: float, length: float, every: float, rate: int = 1) -> Traffic:
    return Traffic(_seconds(first), _seconds(length), _seconds(every), rate)


STEADY = _bursts(first=0, length=1, every=1)

ACTORS: Sequence[Actor] = (
    Actor(ServiceKey("shop", "web"), _seconds(0.8), _seconds(8), STEADY, measured=True),
    Actor(ServiceKey("shop", "cart"), _seconds(0.6), _seconds(6), _bursts(first=18, length=3, every=24)),
    Actor(
        ServiceKey("shop", "checkout"),
        _seconds(1.2),
        _seconds(6),
        _bursts(first=22, length=2, every=31, rate=20),
        measured=True,
    ),
    Actor(ServiceKey("shop", "search"), _seconds(1.5), _seconds(7), _bursts(first=27, length=4, every=35)),
    Actor(ServiceKey("media", "thumbnails"), _seconds(0.5), _seconds(5), _bursts(first=14, length=1, every=20, rate=5)),
    Actor(ServiceKey("media", "encoder"), _seconds(4), _seconds(8), _bursts(first=25, length=2, every=45)),
    Actor(ServiceKey("data", "reports"), _seconds(2), _seconds(6), _bursts(first=30, length=1, every=120)),
    Actor(ServiceKey("data", "export"), _seconds(1), _seconds(9), measured=True),
    Actor(
        ServiceKey("data", "ingest"),
        _seconds(1),
        _seconds(6),
        measured=True,
        batch=_bursts(first=0, length=20, every=50, rate=3),
    ),
    Actor(ServiceKey("ml", "inference"), _seconds(6), _seconds(9), _bursts(first=33, length=2, every=40)),
    Actor(
        ServiceKey("ops", "nightly"),
        _seconds(1),
        _seconds(5),
        # Half an hour before midnight on the 29th of February only: in every demo the service is outside its period.
        period=("30 23 29 2 *", "1m"),
    ),
    Actor(ServiceKey("ops", "legacy"), _seconds(1), _seconds(5), paused=True),
)


def policy_of(actor: Actor, *, prometheus: str) -> str:
    """The actor's ElastiService as a YAML document; `prometheus` is the address that its trigger asks."""
    query = f'sum(http_requests_per_second{{namespace="{actor.key.namespace}",service="{actor.key.name}"}})'
    measured = {
        "type": "prometheus",
        "metadata": {"serverAddress": prometheus, "query": f"{query} or vector(0)", "threshold": "0.5"},
    }
    counted = {"type": "request-count", "metadata": {"threshold": "1", "window": "4s"}}
    resource = {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": {
            "name": actor.key.name,
            "namespace": actor.key.namespace,
            "annotations": {"elasti.truefoundry.com/paused": "sleep"} if actor.paused else {},
        },
        "spec": {
            "service": actor.key.name,
            "minTargetReplicas": 1,
            "cooldownPeriod": int(actor.cooldown.total_seconds()),
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": actor.key.name},
            "triggers": [measured if actor.measured else counted],
            **(
                {"enabledPeriod": dict(zip(("schedule", "duration"), actor.period, strict=True))}
                if actor.period
                else {}
            ),
        },
    }
    text: str = yaml.safe_dump(resource, sort_keys=False)
    return text
