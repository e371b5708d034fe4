"""The status of an ElastiService: what of it differs from what we have to say, as a merge patch."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from consumer.ports import Condition, ResourceStatus

FINALIZER: Final = "elasti.truefoundry.com/consumer"
"""Ours: while it is on a resource, the resource is not gone before its target was given back."""
KUBEELASTI_FINALIZER: Final = "elasti.truefoundry.com/finalizer"

_LONGEST_REASON: Final = 1024
_LONGEST_MESSAGE: Final = 4000
"""What the API takes is longer; a person reads no further."""

_Object = Mapping[str, object]


def status_patch(present: _Object, wanted: ResourceStatus, now: datetime) -> dict[str, object]:
    """Return the fields of the status that are to change; empty when it says all of it already.

    KubeElasti's operator may write the same status: `mode` and `lastReconciledTime` are its own and never touched,
    conditions of other types are kept, and `lastScaledUpTime`, from which it counts its cooldown, never goes back.
    """
    fields: dict[str, object] = {
        "effectiveMode": wanted.mode,
        "replicas": wanted.replicas,
        "previousReplicas": wanted.previous_replicas,
        "observedGeneration": wanted.observed_generation,
        "lastDecision": _decision(wanted),
        "lastScaledUpTime": _scaled_up(present, wanted),
        "conditions": _conditions(present, wanted, now),
    }
    return {name: value for name, value in fields.items() if value is not None and value != present.get(name)}


def merged(content: _Object, patch: _Object) -> dict[str, object]:
    """Return what a JSON merge patch (RFC 7396) makes of an object."""
    result = dict(content)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def _decision(wanted: ResourceStatus) -> _Object | None:
    decision = wanted.decision
    if decision is None:
        return None
    return {
        "action": decision.action,
        "code": decision.code,
        "message": decision.message[:_LONGEST_MESSAGE],
        "at": _text(decision.at, "milliseconds"),
    }


def _scaled_up(present: _Object, wanted: ResourceStatus) -> str | None:
    if wanted.last_scaled_up is None:
        return None
    there = _moment(present.get("lastScaledUpTime"))
    if there is not None and there >= wanted.last_scaled_up:
        return None
    return _text(wanted.last_scaled_up, "milliseconds")


def _conditions(present: _Object, wanted: ResourceStatus, now: datetime) -> list[object] | None:
    """Return the whole list, as a merge patch replaces it, or None when no condition changes."""
    listed = present.get("conditions")
    there: list[object] = list(listed) if isinstance(listed, list) else []
    before = {_field(one, "type"): one for one in there}
    ours: dict[object, object] = {}
    for condition in wanted.conditions:
        last = before.get(condition.type)
        told = _condition(condition, last, wanted.observed_generation, now)
        ours[condition.type] = told
    if all(before.get(kind) == told for kind, told in ours.items()):
        return None
    kept = [ours.pop(_field(one, "type"), one) for one in there]
    return [*kept, *ours.values()]


def _condition(condition: Condition, last: object, generation: int | None, now: datetime) -> _Object:
    since = _field(last, "lastTransitionTime") if _field(last, "status") == condition.truth else None
    observed = _field(last, "observedGeneration") if generation is None else generation
    told: dict[str, object] = {
        "type": condition.type,
        "status": str(condition.truth),
        "reason": condition.reason[:_LONGEST_REASON],
        "message": condition.message[:_LONGEST_MESSAGE],
        "lastTransitionTime": since or _text(now, "seconds"),
    }
    return told if observed is None else {**told, "observedGeneration": observed}


def _field(content: object, name: str) -> object:
    return content.get(name) if isinstance(content, Mapping) else None


def _text(moment: datetime, precision: str) -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
