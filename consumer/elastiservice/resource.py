"""From the fields of an ElastiService to a Policy, as KubeElasti defines them, with ours beside."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from consumer.core.policy import (
    DEFAULT_COOLDOWN,
    DEFAULT_GUARD_TIMEOUT,
    DEFAULT_START_TIMEOUT,
    InvalidPeriod,
    Pause,
    PauseKind,
    Policy,
    Trigger,
    WakeReplicas,
    ZeroGuard,
)
from consumer.core.schedule import DEFAULT_DURATION, DEFAULT_SCHEDULE, EnabledPeriod, parse_period
from consumer.core.service import Autoscaler, Mode, ServiceKey, TargetRef
from consumer.elastiservice.fields import (
    GROUP_VERSION,
    KIND_FORM,
    LABEL,
    SUBDOMAIN,
    WORD,
    Locator,
    Node,
    Report,
    plain,
    shown,
    to_json,
)
from consumer.ports import Problem, TriggerCheck

GROUP: Final = "elasti.truefoundry.com"
API_VERSION: Final = f"{GROUP}/v1alpha1"
KIND: Final = "ElastiService"
PLURAL: Final = "elastiservices"
PAUSED: Final = f"{GROUP}/paused"
PAUSED_UNTIL: Final = f"{GROUP}/paused-until"

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The creation time of a resource that states none, as in a file: such a service is not newborn."""
_NEVER: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""A later creation time is as good as this one, to which a cooldown can still be added."""
MAX_COOLDOWN: Final = 604_800
MAX_INT32: Final = 2**31 - 1

_LEGACY_KINDS: Final = {"deployments": "Deployment", "rollouts": "Rollout"}
_PAUSES: Final = {
    "": None,
    "false": None,
    "true": PauseKind.SLEEP,
    PauseKind.SLEEP: PauseKind.SLEEP,
    PauseKind.ALL: PauseKind.ALL,
}
_SPEC_FIELDS: Final = (
    "scaleTargetRef",
    "service",
    "minTargetReplicas",
    "cooldownPeriod",
    "triggers",
    "autoscaler",
    "enabledPeriod",
    "probeResponse",  # answered by KubeElasti's resolver; says nothing about scaling
    "zeroGuard",
    "zeroGuardTimeout",
    "wakeReplicas",
    "mode",
    "startTimeout",
)


def policy_from(
    resource: Mapping[str, object], *, where: str | Locator, check: TriggerCheck
) -> Policy | tuple[Problem, ...]:
    """Read one resource; returns either the policy or all of its problems, never some of both.

    An `enabledPeriod` that can not be read does not make a policy invalid: it is part of it.
    A policy without triggers can not tell idle from busy, so it never sleeps: its mode is at most `wake-only`.
    """
    problems: list[Problem] = []
    root = Node(resource, (), Report(where, problems))
    if root.text("kind") != KIND or root.text("apiVersion") != API_VERSION:
        root.wrong("kind", f"is not an ElastiService; write apiVersion: {API_VERSION} and kind: {KIND}")
    metadata, spec = root.child("metadata"), root.child("spec")
    spec.suspect(_SPEC_FIELDS)
    policy = _policy(metadata, spec, check)
    return tuple(problems) or policy


def key_of(resource: Mapping[str, object]) -> ServiceKey | None:
    """Return the service that a resource names, however wrong the rest of it is; None when it names none."""
    root = Node(resource, (), Report("", []))
    namespace, service = root.child("metadata").text("namespace"), root.child("spec").text("service")
    return ServiceKey(namespace, service) if namespace and service else None


def content_hash(policy: Policy) -> str:
    """Return the SHA-256 of what a policy says: not of who says it when, nor of headers' values, which are secret."""
    triggers = tuple(
        replace(trigger, headers=tuple((name, "") for name, _ in trigger.headers)) for trigger in policy.triggers
    )
    content = replace(policy, uid="", hash="", created_at=LONG_AGO, triggers=triggers)
    return sha256(to_json(content)).hexdigest()


def _policy(metadata: Node, spec: Node, check: TriggerCheck) -> Policy:
    namespace, name = metadata.required("namespace", LABEL), metadata.required("name", SUBDOMAIN)
    key = ServiceKey(namespace, spec.required("service", LABEL))
    triggers = tuple(_trigger(item, check) for item in spec.items("triggers"))
    mode = spec.choice("mode", Mode, Mode.FULL)
    policy = Policy(
        key=key,
        name=name,
        uid=_uid(metadata, f"{GROUP}/{namespace}/{name}"),
        hash="",
        created_at=min(metadata.moment("creationTimestamp") or LONG_AGO, _NEVER),
        target=_target(spec.child("scaleTargetRef")),
        triggers=triggers,
        min_replicas=spec.whole("minTargetReplicas", least=1, most=MAX_INT32, usual=1) or 1,
        cooldown=_cooldown(spec),
        wake_replicas=spec.choice("wakeReplicas", WakeReplicas, WakeReplicas.MIN),
        period=_period(spec),
        autoscaler=_autoscaler(spec),
        pause=_pause(metadata.child("annotations")),
        mode=Mode.WAKE_ONLY if mode is Mode.FULL and not triggers else mode,
        zero_guard=spec.choice("zeroGuard", ZeroGuard, ZeroGuard.NONE),
        guard_timeout=spec.duration("zeroGuardTimeout", DEFAULT_GUARD_TIMEOUT),
        start_timeout=spec.duration("startTimeout", DEFAULT_START_TIMEOUT),
    )
    return replace(policy, hash=content_hash(policy))


def _uid(metadata: Node, path: str) -> str:
    if metadata.text("uid"):
        return metadata.required("uid", WORD)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path))


def _target(reference: Node) -> TargetRef:
    kind = _LEGACY_KINDS.get(str(reference.content.get("kind"))) or reference.required("kind", KIND_FORM)
    return TargetRef(reference.required("apiVersion", GROUP_VERSION), kind, reference.required("name", SUBDOMAIN))


def _cooldown(spec: Node) -> timedelta:
    seconds = spec.whole("cooldownPeriod", least=0, most=MAX_COOLDOWN, usual=900)
    return timedelta(seconds=seconds) if seconds else DEFAULT_COOLDOWN


def _trigger(node: Node, check: TriggerCheck) -> Trigger:
    kind = node.required("type", WORD)
    metadata = node.child("metadata")
    named = {name.lower(): (name, value) for name, value in metadata.content.items() if value is not None}
    headers = _headers(metadata.child(named.pop("headers")[0])) if "headers" in named else ()
    trigger = Trigger(kind, tuple((name, plain(value)) for name, (_, value) in sorted(named.items())), headers)
    for field, message in check(trigger) if kind else ():
        name = field.removeprefix("metadata.")
        spelling = named.get(name.lower(), (name, None))[0]
        (node if field == "type" else metadata).wrong(spelling, message)
    return trigger


def _headers(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple((name, node.text(name) or "") for name in sorted(node.content))


def _period(spec: Node) -> EnabledPeriod | InvalidPeriod | None:
    if spec.content.get("enabledPeriod") is None:
        return None
    period = spec.child("enabledPeriod").content
    schedule, duration = period.get("schedule"), period.get("duration")
    try:
        return parse_period(
            schedule=DEFAULT_SCHEDULE if schedule is None else plain(schedule),
            duration=DEFAULT_DURATION if duration is None else plain(duration),
        )
    except ValueError as error:
        return InvalidPeriod(str(error))


def _autoscaler(spec: Node) -> Autoscaler | None:
    if spec.content.get("autoscaler") is None:
        return None
    node = spec.child("autoscaler")
    kind = node.required("type", WORD).lower()
    if kind not in ("", "hpa", "keda"):
        node.wrong("type", f"can not be {shown(kind)}; write hpa or keda")
    return Autoscaler(kind, node.required("name", SUBDOMAIN))


def _pause(annotations: Node) -> Pause | None:
    text = (annotations.text(PAUSED) or "").strip().lower()
    if text not in _PAUSES:
        annotations.wrong(PAUSED, f'can not be {shown(text)}; write "sleep" or "all"')
        return None
    kind = _PAUSES[text]
    return Pause(kind, annotations.moment(PAUSED_UNTIL)) if kind else None
