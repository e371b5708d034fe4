"""The services of a run: what each is, its workload and its policy as the API knows them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from consumer.elastiservice import API_VERSION
from tests.bed.manifests import Manifest, deployment

NAMESPACE = "chaos"
METRIC = "chaos_load"
PAUSED = "elasti.truefoundry.com/paused"
_WINDOWS = ("1s", "2s", "4s")


class Trigger(StrEnum):
    """What keeps a service up."""

    METRIC = "metric"
    HIDDEN = "metric-or-zero"
    """The same behind `or vector(0)`."""
    REQUESTS = "requests"
    BOTH = "both"


class Held(StrEnum):
    """What is never done to a service, for the whole run."""

    NOTHING = "nothing"
    SLEEP = "sleep"
    """Paused for sleeps."""
    ALL = "all"
    """Paused for everything."""
    OBSERVED = "observe"
    WAKE_ONLY = "wake-only"
    GUARDED = "guarded"
    """A resolver has to take the traffic first, and there is none."""

    @property
    def may_sleep(self) -> bool:
        """Whether it may be put to zero."""
        return self is Held.NOTHING

    @property
    def may_wake(self) -> bool:
        """Whether it may be woken."""
        return self not in (Held.ALL, Held.OBSERVED)


@dataclass(frozen=True, slots=True)
class Spec:
    """One service; `replicas` is what it has when the run begins."""

    name: str
    trigger: Trigger
    held: Held
    cooldown: timedelta
    minimum: int
    replicas: int
    window: str
    previous: bool

    @property
    def by_metric(self) -> bool:
        """Whether its metric counts."""
        return self.trigger is not Trigger.REQUESTS


def draw(chance: random.Random, count: int) -> tuple[Spec, ...]:
    """Draw a fleet; most of it sleeps when the run begins."""
    return tuple(_one(chance, number) for number in range(count))


def _one(chance: random.Random, number: int) -> Spec:
    kinds = [held for held in Held if held is not Held.NOTHING]
    # Every tenth is held, by each kind in turn.
    held = kinds[number // 10 % len(kinds)] if number % 10 == 9 else Held.NOTHING
    return Spec(
        name=f"s{number:03}",
        trigger=chance.choices(tuple(Trigger), weights=(30, 20, 30, 20))[0],
        held=held,
        cooldown=timedelta(seconds=chance.randint(5, 20)),
        minimum=chance.choice((1, 1, 1, 2)),
        replicas=chance.choices((0, 1, 2), weights=(75, 20, 5))[0],
        window=chance.choice(_WINDOWS),
        previous=chance.random() < 0.2,
    )


def workload(spec: Spec) -> Manifest:
    """Return the Deployment; some pods take their time."""
    slow = timedelta(milliseconds=250 * (int(spec.name[1:]) % 5))
    return deployment(spec.name, spec.replicas, ready_after=slow or None)


def policy(spec: Spec, *, name: str = "", target: str = "") -> Manifest:
    """Return the ElastiService of a service; it may have another name, and another target than the first."""
    more: dict[str, object] = {"wakeReplicas": "previous"} if spec.previous else {}
    if spec.held is Held.GUARDED:
        more["zeroGuard"] = "resolver"
    if spec.held in (Held.OBSERVED, Held.WAKE_ONLY):
        more["mode"] = spec.held.value
    paused = {PAUSED: spec.held.value} if spec.held in (Held.SLEEP, Held.ALL) else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "ElastiService",
        "metadata": {"name": name or spec.name, "annotations": paused},
        "spec": {
            "service": spec.name,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target or spec.name},
            "minTargetReplicas": spec.minimum,
            "cooldownPeriod": int(spec.cooldown.total_seconds()),
            "triggers": list(_triggers(spec)),
            **more,
        },
    }


def _triggers(spec: Spec) -> Sequence[Mapping[str, object]]:
    query = f'sum({METRIC}{{service="{spec.name}"}})'
    hidden = f"{query} or vector(0)"
    counted = {"type": "request-count", "metadata": {"threshold": "1", "window": spec.window}}
    metric = {"type": "prometheus", "metadata": {"query": query, "threshold": "1"}}
    match spec.trigger:
        case Trigger.METRIC:
            return [metric]
        case Trigger.HIDDEN:
            return [{"type": "prometheus", "metadata": {"query": hidden, "threshold": "1"}}]
        case Trigger.REQUESTS:
            return [counted]
        case Trigger.BOTH:
            return [counted, metric]


def edited(spec: Spec, *, cooldown: timedelta | None = None, minimum: int | None = None) -> Spec:
    """Return the service after an edit of its policy."""
    return replace(spec, cooldown=cooldown or spec.cooldown, minimum=minimum or spec.minimum)
