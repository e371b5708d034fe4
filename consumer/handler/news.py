"""What the log does not know yet of a target: the difference between what was last published and what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from consumer.core.service import Phase
from consumer.ports import TargetView


@dataclass(frozen=True, slots=True)
class Told:
    """What the log last said of a service's target; no `uid`: that there is none.

    `up`: that it is ready was said at this generation, and not taken back. `trace` and `accepted_at` are those of
    the last accepted command, so that `ready` belongs to the request that woke the service.
    """

    uid: str
    generation: int
    replicas: int
    ready: int
    up: bool = False
    trace: str | None = None
    accepted_at: datetime | None = None


def news(told: Told | None, view: TargetView) -> Sequence[Phase]:
    """Return what is to be published of a target, in order; empty when the log knows it."""
    same = told is not None and told.uid == view.uid
    found = [] if told is not None and same and told.replicas == view.replicas else [Phase.OBSERVED]
    # The pods of a target that was just put to zero are ready for a moment more; that wakes nobody.
    if view.ready > 0 and view.replicas > 0:
        said = told is not None and same and told.up and told.generation == view.generation
        return found if said else [*found, Phase.READY]
    fell = told is not None and same and told.ready > 0 and view.ready == 0
    return [*found, Phase.NOT_READY] if fell else found


def after(told: Told | None, phase: Phase, view: TargetView) -> Told:
    """What the log says of the target once this was published of it with the facts of `view`."""
    before = told or Told(view.uid, view.generation, 0, 0)
    same = before.uid == view.uid
    now = replace(
        before,
        uid=view.uid,
        generation=view.generation,
        replicas=view.replicas,
        ready=view.ready,
        up=phase is Phase.READY,
    )
    if phase is not Phase.OBSERVED:
        return now
    # How many are ready is left to `ready` and `notReady`, which a resolver waits for.
    return replace(
        now, ready=before.ready if same else 0, up=same and before.up and before.generation == view.generation
    )


def accepted(told: Told | None, view: TargetView, trace: str | None, now: datetime) -> Told:
    """What the log says once an accepted change was published: these replicas are ours, `ready` is still to come."""
    up = told is not None and told.up and (told.uid, told.generation) == (view.uid, view.generation)
    return Told(view.uid, view.generation, view.replicas, view.ready, up=up, trace=trace, accepted_at=now)


def buried(told: Told) -> Told:
    """What the log says once it was published that the target is gone: the next one of its name is a new one."""
    return replace(told, uid="", generation=0, replicas=0, ready=0, up=False)
