"""What a policy would do, in plain sentences, for `elasti check`."""

from collections.abc import Iterator, Sequence

from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, Trigger, WakeReplicas, ZeroGuard
from consumer.core.reasons import span, stamp
from consumer.core.schedule import EnabledPeriod
from consumer.core.service import Mode


def intent(policy: Policy) -> Sequence[str]:
    """Say when the service sleeps, when it wakes and to what, and what holds it up."""
    return [*_sleeps(policy), _wakes(policy), *_beside(policy), *_restraints(policy)]


def _sleeps(policy: Policy) -> Iterator[str]:
    if not policy.triggers:
        yield "never sleeps: it has no triggers; add one under spec.triggers"
        return
    conditions = " and ".join(_idle(trigger, index) for index, trigger in enumerate(policy.triggers))
    yield f"sleeps ({policy.target} to 0) after {span(policy.cooldown)} without a request, once {conditions}"


def _idle(trigger: Trigger, index: int) -> str:
    known = trigger.named()
    name = f"{trigger.type}#{index}"
    match trigger.type:
        case "prometheus":
            return f"{name} is below {known.get('threshold', '0')}: {known.get('query', '')}"
        case "request-count":
            return f"{name} counted fewer than {known.get('threshold', '1')} requests in {known.get('window', '?')}"
        case _:
            return f"{name} says so"


def _wakes(policy: Policy) -> str:
    replicas = (
        f"what it had before it slept, at least {policy.min_replicas}"
        if policy.wake_replicas is WakeReplicas.PREVIOUS
        else f"at least {policy.min_replicas}"
    )
    return f"wakes at a request, or when a trigger is not idle any more, to {replicas}"


def _beside(policy: Policy) -> Iterator[str]:
    if policy.autoscaler is not None:
        kind, name = policy.autoscaler.type, policy.autoscaler.name
        yield (
            f"pauses the ScaledObject {name} while it sleeps"
            if kind == "keda"
            else f"leaves the {kind} {name} alone: it rests by itself at 0 replicas"
        )
    if policy.zero_guard is ZeroGuard.RESOLVER:
        yield f"asks the resolver to take the traffic first, for up to {span(policy.guard_timeout)}"


def _restraints(policy: Policy) -> Iterator[str]:
    match policy.period:
        case InvalidPeriod(problem=problem):
            yield f"is kept up at all times: its enabledPeriod can not be read ({problem})"
        case EnabledPeriod() as period:
            window = f"{period.schedule} for {span(period.duration)}"
            yield f"may sleep only in its enabledPeriod ({window}); outside, it is kept up"
        case None:
            pass
    if policy.pause is not None:
        yield _pause(policy.pause)
    match policy.mode:
        case Mode.OBSERVE:
            yield "mode observe: everything is decided and logged, nothing is carried out"
        case Mode.WAKE_ONLY:
            yield "mode wake-only: it is woken, but never put to sleep"
        case Mode.FULL:
            pass


def _pause(pause: Pause) -> str:
    until = f" until {stamp(pause.until)}" if pause.until else ""
    what = "neither slept nor woken" if pause.kind is PauseKind.ALL else "not put to sleep"
    return f"is paused{until}: {what}"
