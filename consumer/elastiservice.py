"""From an ElastiService resource, as KubeElasti defines it, to a Policy; or everything that is wrong with it."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeVar

import orjson

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
from consumer.core.schedule import DEFAULT_DURATION, DEFAULT_SCHEDULE, EnabledPeriod, parse_go_duration, parse_period
from consumer.core.service import Autoscaler, Mode, ServiceKey, TargetRef
from consumer.ports import Problem, TriggerCheck
from schemas.message import LABEL_PATTERN, MAX_LABEL

GROUP: Final = "elasti.truefoundry.com"
API_VERSION: Final = f"{GROUP}/v1alpha1"
KIND: Final = "ElastiService"
PLURAL: Final = "elastiservices"
PAUSED: Final = f"{GROUP}/paused"
PAUSED_UNTIL: Final = f"{GROUP}/paused-until"

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The creation time of a resource that states none, as in a file: such a service is not newborn."""
MAX_COOLDOWN: Final = 604_800
MAX_INT32: Final = 2**31 - 1
CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")

_ANY_JSON: Final = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
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


@dataclass(frozen=True, slots=True)
class _Form:
    """A text's permitted form, and how it is described to a person."""

    pattern: re.Pattern[str]
    longest: int
    write: str

    def fits(self, text: str) -> bool:
        return len(text) <= self.longest and self.pattern.fullmatch(text) is not None


_LABEL: Final = _Form(
    re.compile(LABEL_PATTERN), MAX_LABEL, "a name of at most 63 lower-case letters, digits and inner hyphens, like web"
)
_SUBDOMAIN: Final = _Form(
    re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"),
    253,
    "a name of at most 253 lower-case letters, digits, inner hyphens and dots, like web",
)
_GROUP_VERSION: Final = _Form(
    re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+[a-z0-9]*"), 253, "group/version, like apps/v1"
)
_KIND: Final = _Form(
    re.compile(r"[A-Z][A-Za-z0-9]*"), 63, "a kind in singular, like Deployment, StatefulSet or Rollout"
)
_WORD: Final = _Form(re.compile(r"\S+"), 253, "a word")

FieldPath = tuple[str | int, ...]
Locator = Callable[[FieldPath], str]
"""Says where a field is, as in `policies/shop.yaml:12`."""

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class ResourceText:
    """A resource as JSON, for those who read more of it than we do; without secrets."""

    name: str
    spec: bytes
    status: bytes


def policy_from(
    resource: Mapping[str, object], *, where: str | Locator, check: TriggerCheck
) -> Policy | tuple[Problem, ...]:
    """Read one resource; returns either the policy or all of its problems, never some of both.

    An `enabledPeriod` that can not be read does not make a policy invalid: it is part of it.
    A policy without triggers can not tell idle from busy, so it never sleeps: its mode is at most `wake-only`.
    """
    problems: list[Problem] = []
    root = _Node(resource, (), _Report(where, problems))
    if root.text("kind") != KIND or root.text("apiVersion") != API_VERSION:
        root.wrong("kind", f"is not an ElastiService; write apiVersion: {API_VERSION} and kind: {KIND}")
    metadata, spec = root.child("metadata"), root.child("spec")
    spec.suspect(_SPEC_FIELDS)
    policy = _policy(metadata, spec, check)
    return tuple(problems) or policy


def field_name(path: FieldPath) -> str:
    """Write a path the way people do: `spec.triggers[0].metadata.threshold`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def key_of(resource: Mapping[str, object]) -> ServiceKey | None:
    """Return the service that a resource names, however wrong the rest of it is; None when it names none."""
    root = _Node(resource, (), _Report("", []))
    namespace, service = root.child("metadata").text("namespace"), root.child("spec").text("service")
    return ServiceKey(namespace, service) if namespace and service else None


def shareable(resource: Mapping[str, object]) -> ResourceText:
    """Return what of a resource may be shown to anyone: all but the values of headers."""
    root = _Node(resource, (), _Report("", []))
    status = resource.get("status")
    return ResourceText(
        name=root.child("metadata").text("name") or "",
        spec=orjson.dumps(_without_headers(resource.get("spec")), option=_ANY_JSON, default=str),
        status=orjson.dumps(status if isinstance(status, Mapping) else {}, option=_ANY_JSON, default=str),
    )


def _without_headers(value: object) -> object:
    match value:
        case Mapping():
            return {
                name: dict.fromkeys(inner, "********")
                if str(name).lower() == "headers" and isinstance(inner, Mapping)
                else _without_headers(inner)
                for name, inner in value.items()
            }
        case list():
            return [_without_headers(item) for item in value]
        case str():
            return CREDENTIALS_IN_URL.sub("********", value)
        case _:
            return value


def content_hash(policy: Policy) -> str:
    """Return the SHA-256 of what a policy says: not of who says it when, nor of headers' values, which are secret."""
    triggers = tuple(
        replace(trigger, headers=tuple((name, "") for name, _ in trigger.headers)) for trigger in policy.triggers
    )
    content = replace(policy, uid="", hash="", created_at=LONG_AGO, triggers=triggers)
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Report:
    """Where problems go."""

    where: str | Locator
    problems: list[Problem]

    def add(self, path: FieldPath, message: str) -> None:
        where = self.where if isinstance(self.where, str) else self.where(path)
        self.problems.append(Problem(where, field_name(path), message))


@dataclass(frozen=True, slots=True)
class _Node:
    """One object inside the resource; reads its fields and reports what is wrong with them."""

    content: Mapping[str, object]
    path: FieldPath
    report: _Report

    def wrong(self, name: str, message: str) -> None:
        self.report.add((*self.path, name), message)

    def suspect(self, known: Sequence[str]) -> None:
        """Report a field that looks like a slip of the pen; what is merely unknown is left to newer versions."""
        for name in self.content:
            if name not in known and (meant := get_close_matches(name, known, n=1, cutoff=0.8)):
                self.wrong(name, f'is not a field; write "{meant[0]}"')

    def text(self, name: str) -> str | None:
        """Return a text, None when it is absent."""
        value = self.content.get(name)
        if value is None or isinstance(value, str):
            return value
        self.wrong(name, f"must be text, got {_shown(value)}; put it in quotes")
        return None

    def required(self, name: str, form: _Form) -> str:
        """Return a text of that form; "" after reporting that it is missing or wrong."""
        if name not in self.content or self.content[name] in (None, ""):
            self.wrong(name, f"is missing; write {form.write}")
            return ""
        value = self.text(name)
        if value is not None and not form.fits(value):
            self.wrong(name, f"can not be {_shown(value)}; write {form.write}")
        return value or ""

    def whole(self, name: str, *, least: int, most: int, usual: int) -> int | None:
        """Return a whole number within the bounds, None when it is absent."""
        value = self.content.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(name, f"must be a whole number from {least} to {most}, got {_shown(value)}; write {usual}")
            return None
        return value

    def choice(self, name: str, options: type[E], default: E) -> E:
        """Return one of a closed set of words."""
        value = self.content.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value in tuple(options):
            return options(value)
        self.wrong(name, f"can not be {_shown(value)}; write {' or '.join(options)}")
        return default

    def duration(self, name: str, default: timedelta) -> timedelta:
        """Return a Go duration above zero."""
        value = self.text(name)
        if value is None:
            return default
        try:
            length = parse_go_duration(value)
        except ValueError as error:
            self.wrong(name, str(error))
            return default
        if length <= timedelta():
            self.wrong(name, f'must be above zero, got {_shown(value)}; write a duration like "60s"')
        return length

    def child(self, name: str) -> "_Node":
        """Return an object; an empty one when it is absent or none."""
        value = self.content.get(name)
        if not isinstance(value, Mapping):
            if value is not None:
                self.wrong(name, f"must be an object with fields, got {_shown(value)}; write its fields below it")
            value = {}
        return _Node(value, (*self.path, name), self.report)

    def items(self, name: str) -> "Sequence[_Node]":
        """Return the objects of a list; none when it is absent."""
        value = self.content.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self.wrong(name, f'must be a list of objects, got {_shown(value)}; begin each with "- "')
            return ()
        return [_Node(item, (*self.path, name, index), self.report) for index, item in enumerate(value)]


def _policy(metadata: _Node, spec: _Node, check: TriggerCheck) -> Policy:
    namespace, name = metadata.required("namespace", _LABEL), metadata.required("name", _SUBDOMAIN)
    key = ServiceKey(namespace, spec.required("service", _LABEL))
    triggers = tuple(_trigger(item, check) for item in spec.items("triggers"))
    mode = spec.choice("mode", Mode, Mode.FULL)
    policy = Policy(
        key=key,
        name=name,
        uid=metadata.text("uid") or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{GROUP}/{namespace}/{name}")),
        hash="",
        created_at=_moment(metadata, "creationTimestamp") or LONG_AGO,
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


def _target(reference: _Node) -> TargetRef:
    kind = _LEGACY_KINDS.get(str(reference.content.get("kind"))) or reference.required("kind", _KIND)
    return TargetRef(reference.required("apiVersion", _GROUP_VERSION), kind, reference.required("name", _SUBDOMAIN))


def _cooldown(spec: _Node) -> timedelta:
    seconds = spec.whole("cooldownPeriod", least=0, most=MAX_COOLDOWN, usual=900)
    return timedelta(seconds=seconds) if seconds else DEFAULT_COOLDOWN


def _trigger(node: _Node, check: TriggerCheck) -> Trigger:
    kind = node.required("type", _WORD)
    metadata = node.child("metadata")
    named = {name.lower(): (name, value) for name, value in metadata.content.items() if value is not None}
    headers = _headers(metadata.child(named.pop("headers")[0])) if "headers" in named else ()
    trigger = Trigger(kind, tuple((name, _plain(value)) for name, (_, value) in sorted(named.items())), headers)
    for field, message in check(trigger) if kind else ():
        name = field.removeprefix("metadata.")
        spelling = named.get(name.lower(), (name, None))[0]
        (node if field == "type" else metadata).wrong(spelling, message)
    return trigger


def _headers(node: _Node) -> tuple[tuple[str, str], ...]:
    return tuple((name, node.text(name) or "") for name in sorted(node.content))


def _plain(value: object) -> str:
    """Return a metadata value as text: 0.5 and "0.5" mean the same; what is nested becomes JSON."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return orjson.dumps(value, option=_ANY_JSON, default=str).decode()


def _period(spec: _Node) -> EnabledPeriod | InvalidPeriod | None:
    if spec.content.get("enabledPeriod") is None:
        return None
    period = spec.child("enabledPeriod").content
    schedule, duration = period.get("schedule"), period.get("duration")
    try:
        return parse_period(
            schedule=DEFAULT_SCHEDULE if schedule is None else _plain(schedule),
            duration=DEFAULT_DURATION if duration is None else _plain(duration),
        )
    except ValueError as error:
        return InvalidPeriod(str(error))


def _autoscaler(spec: _Node) -> Autoscaler | None:
    if spec.content.get("autoscaler") is None:
        return None
    node = spec.child("autoscaler")
    kind = node.required("type", _WORD).lower()
    if kind not in ("", "hpa", "keda"):
        node.wrong("type", f"can not be {_shown(kind)}; write hpa or keda")
    return Autoscaler(kind, node.required("name", _SUBDOMAIN))


def _pause(annotations: _Node) -> Pause | None:
    text = (annotations.text(PAUSED) or "").strip().lower()
    if text not in _PAUSES:
        annotations.wrong(PAUSED, f'can not be {_shown(text)}; write "sleep" or "all"')
        return None
    kind = _PAUSES[text]
    return Pause(kind, _moment(annotations, PAUSED_UNTIL)) if kind else None


def _moment(node: _Node, name: str) -> datetime | None:
    value = node.content.get(name)
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - a time without a zone, reported below
    if moment.tzinfo is None:
        node.wrong(name, f'can not be {_shown(value)}; write UTC, like "2026-01-31T09:30:00Z"')
        return None
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what fits a line of a terminal
