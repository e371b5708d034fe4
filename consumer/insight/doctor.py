"""What is wrong with an installation, from what was seen of it: findings with their severity and their cure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from consumer.core.answers import Answers, Unknown, UnknownCause
from consumer.core.policy import InvalidPeriod, PauseKind, Policy
from consumer.core.reasons import span
from consumer.core.service import Mode, strictest
from consumer.ports import (
    Definition,
    ForeignScaler,
    Holding,
    Others,
    Permit,
    Right,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetKey,
    TargetView,
    grant,
)
from consumer.settings import environment_name

SURE_WITHIN: Final = timedelta(seconds=1)
"""Beyond this a clock is unsure, and nothing is put to sleep (reason `clock`)."""
_DATE_STEP: Final = timedelta(seconds=1)
"""The API server tells the time to the second."""
OUR_VERSION: Final = "v1alpha1"
OUR_FIELDS: Final = frozenset({"service", "scaleTargetRef", "triggers", "zeroGuard", "wakeReplicas", "mode"})
_NO_TROUBLE: Final = frozenset({UnknownCause.WINDOW_NOT_FULL, UnknownCause.NOT_ASKED, UnknownCause.CREDENTIALS})
"""Causes that speak of whoever asks, who has watched no window and may not read the policies' Secrets."""
_KEDAS_HPA: Final = "keda-hpa-"
_T = TypeVar("_T")


class Severity(StrEnum):
    """How bad it is: something does not work; something will surprise; something is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: what it is about, what is wrong with it, and what to do."""

    severity: Severity
    subject: str
    what: str
    cure: str


def told(text: str, subject: str, severity: Severity = Severity.ERROR) -> Finding:
    """Return a finding of a message in the house's form: what is wrong; what to do."""
    what, _, cure = text.rpartition("; ")
    return Finding(severity, subject, what or text, cure if what else "see docs/howto-night-shift.md")


def refused(error: TargetError, subject: str) -> Finding:
    """Return a finding of what a cluster would not tell; a missing right is named by the API itself."""
    if isinstance(error, TargetForbiddenError):
        return Finding(Severity.ERROR, subject, str(error), "grant that right to whoever asks, and ask again")
    return told(str(error), subject)


def of_rights(missing: Sequence[Right], who: str) -> Iterator[Finding]:
    """Say which rights are missing, those to one kind in one line."""
    for (group, what, name), rights in _grouped({right: (right.group, _kind(right), right.name) for right in missing}):
        verbs = ", ".join(right.verb for right in rights)
        named = f" (resourceNames: [{name}])" if name else ""
        rule = f'apiGroups: ["{group}"], resources: ["{what}"], verbs: [{verbs}]{named}'
        yield Finding(Severity.ERROR, f"rights of {who}", f"may not {verbs} {what}", f"add to its Role: {rule}")


def of_permits(missing: Sequence[Permit], who: str, principal: str, bootstrap: str) -> Iterator[Finding]:
    """Say which ACLs are missing, those of one topic, group or id in one line, with the command that gives them."""
    for (guarded, name, prefixed), permits in _grouped({p: (p.guarded, p.name, p.prefixed) for p in missing}):
        operations = ", ".join(permit.operation for permit in permits)
        what = f"{principal} may not {operations} {guarded.replace('-', ' ')} {name}{'*' if prefixed else ''}"
        (command,) = grant(permits, principal, bootstrap)
        yield Finding(Severity.ERROR, f"Kafka ACLs of {who}", what, command)


def of_others(others: Others, tenants: Sequence[str]) -> Iterator[Finding]:
    """Say where requests are written and not read, or may be: parts that are set to other tenants than these."""
    setting = environment_name("tenants")
    named = f"{setting}={','.join(tenants)}" if tenants else f"no {setting}"
    for group in others.groups:
        what = (
            f"workers are at work in group {group}, which reads other topics of requests than these settings name "
            f"({named}): what a gateway with these settings writes for a tenant may wake nobody"
        )
        cure = (
            f"give {setting} one value in all workers and gateways, and here; workers are stopped for it, all of them"
        )
        yield Finding(Severity.ERROR, "tenants", what, cure)
    for topic in others.topics:
        what = (
            f"the topic {topic} is none of these settings ({named}): no worker with these settings reads it, and what "
            "a gateway with other ones writes there wakes nobody"
        )
        cure = f"add its namespace to {setting} of all workers and gateways, and here, or delete it if it is not used"
        yield Finding(Severity.WARNING, "tenants", what, cure)


def _kind(right: Right) -> str:
    return f"{right.resource}/{right.subresource}" if right.subresource else right.resource


def of_definition(definition: Definition | None) -> Iterator[Finding]:
    """Say whether the API knows ElastiServices as we do."""
    apply = "apply k8s/crd of this version"
    if definition is None:
        yield Finding(Severity.ERROR, "ElastiService", "the API has no definition of it", apply)
        return
    if OUR_VERSION not in definition.versions:
        served = ", ".join(definition.versions) or "none"
        yield Finding(Severity.ERROR, "ElastiService", f"the API serves {served}, not {OUR_VERSION}", apply)
        return
    if definition.fields is not None and (unknown := OUR_FIELDS - definition.fields):
        fields = ", ".join(sorted(unknown))
        yield Finding(Severity.WARNING, "ElastiService", f"its definition does not know {fields} and drops them", apply)


def of_clock(offset: timedelta, whose: str, *, uncertainty: timedelta) -> Iterator[Finding]:
    """Say whether another clock differs from ours by more than can be borne; `offset` is theirs minus ours."""
    if abs(offset) - uncertainty <= SURE_WITHIN:
        return
    way = "behind" if offset > timedelta() else "ahead of"
    what = f"this machine is {span(abs(offset))} {way} the clock of {whose}"
    yield Finding(Severity.WARNING, "clock", what, "run NTP on both; nothing is put to sleep by an unsure clock")


def of_sharing(holdings: Sequence[Holding]) -> Iterator[Finding]:
    """Say where several policies are about one target, or one service."""
    by_target = {one: one.target for one in holdings if one.target is not None and not one.leaving}
    by_service = {one: (one.resource.namespace, one.service) for one in holdings if one.service and not one.leaving}
    for target, ones in _grouped(by_target):
        if len(ones) > 1:
            yield _shared(str(target), ones)
    for (namespace, service), ones in _grouped(by_service):
        if len(ones) > 1 and len({one.target for one in ones}) > 1:
            yield _shared(f"{namespace}/{service}", ones)


def _shared(subject: str, ones: Sequence[Holding]) -> Finding:
    names = ", ".join(sorted(one.resource.name for one in ones))
    return Finding(
        Severity.ERROR, subject, f"several ElastiServices are about it: {names}", "delete all but one; the oldest rules"
    )


def of_scalers(holdings: Sequence[Holding], scalers: Sequence[ForeignScaler]) -> Iterator[Finding]:
    """Say where somebody else scales our targets and the policy does not name them."""
    by_target = dict(_grouped({scaler: scaler.target for scaler in scalers}))
    for one in holdings:
        if one.target is None:
            continue
        for scaler in by_target.get(one.target, ()):
            yield from _foreign(one, scaler)


def _foreign(one: Holding, scaler: ForeignScaler) -> Iterator[Finding]:
    named = one.policy.autoscaler if one.policy else None
    subject, entry = str(one.resource), f"spec.autoscaler: {{type: {scaler.type}, name: {scaler.name}}}"
    if scaler.type == "keda" and not (named and named.type == "keda" and named.name == scaler.name):
        what = f"the ScaledObject {scaler.name} scales its target, too, and would undo its sleeps"
        yield Finding(Severity.ERROR, subject, what, f"add {entry}")
    elif scaler.type == "hpa" and named is None and not scaler.name.startswith(_KEDAS_HPA):
        what = f"the HPA {scaler.name} (at least {scaler.lowest}) scales its target; it rests while that is at zero"
        yield Finding(Severity.HINT, subject, what, f"add {entry}, so that everyone can see it")


Look = TargetView | TargetError


def of_targets(holdings: Sequence[Holding], looks: Mapping[TargetKey, Look]) -> Iterator[Finding]:
    """Say which policies can never wake anything: their target is not there, or can not be scaled."""
    for one in holdings:
        look = looks.get(one.target) if one.target else None
        match look:
            case TargetGoneError():
                what = f"its target {one.target} is not there: it can neither sleep nor wake"
                yield Finding(Severity.ERROR, str(one.resource), what, "correct spec.scaleTargetRef, or create it")
            case TargetForbiddenError():
                yield told(f"{look}; give the handler's Role get and patch there", str(one.resource))
            case TargetError():
                yield told(str(look), str(one.resource))
            case _:
                continue


def of_policies(holdings: Sequence[Holding], installed: Mode) -> Iterator[Finding]:
    """Say which policies are invalid, can never sleep, or are held back."""
    for one in holdings:
        subject = str(one.resource)
        for problem in one.problems:
            text = problem.removeprefix(f"ElastiService {one.resource}: ")
            yield Finding(Severity.ERROR, subject, text, "correct it; until then it does not sleep")
        if one.policy is not None:
            yield from (
                Finding(severity, subject, what, cure) for severity, what, cure in _restraints(one.policy, installed)
            )


def _restraints(policy: Policy, installed: Mode) -> Iterator[tuple[Severity, str, str]]:
    if not policy.triggers:
        yield Severity.WARNING, "it never sleeps: it has no triggers", "add one under spec.triggers"
    for index, trigger in enumerate(policy.triggers):
        if _never_idle(trigger.named().get("threshold")):
            name = f"{trigger.type}#{index}"
            yield (
                Severity.WARNING,
                f"it never sleeps: {name} would have to be below 0",
                f'write a threshold above 0 in spec.triggers[{index}], like "0.5"',
            )
    if isinstance(policy.period, InvalidPeriod):
        yield Severity.ERROR, f"it never sleeps: enabledPeriod: {policy.period.problem}", "correct spec.enabledPeriod"
    if policy.pause is not None and policy.pause.until is None:
        what = "neither slept nor woken" if policy.pause.kind is PauseKind.ALL else "never put to sleep"
        yield Severity.HINT, f"it is paused without an end: {what}", "remove the annotation when that is over"
    mode = strictest(policy.mode, installed)
    if mode is not Mode.FULL:
        yield Severity.HINT, f"mode {mode}: it is not put to sleep", "see elasti diff; then elasti mode full"


def _never_idle(threshold: str | None) -> bool:
    try:
        return threshold is not None and float(threshold) <= 0
    except ValueError:
        # What is no number makes the policy invalid, which is said elsewhere.
        return False


def of_answers(policies: Mapping[str, Policy], answers: Mapping[str, Answers]) -> Iterator[Finding]:
    """Say which triggers can not be judged now, and why; by the same cause and detail all at once."""
    failed = {
        (name, trigger.name): (answer.cause, answer.detail)
        for name in policies
        if name in answers
        for trigger in answers[name].triggers
        if isinstance(answer := trigger.to_zero, Unknown) and answer.cause not in _NO_TROUBLE
    }
    for (cause, detail), triggers in _grouped(failed):
        (name, trigger), *others = triggers
        more = f" and {len(others)} more" if others else ""
        subject = f"{name} {trigger}{more}"
        what = f"can not be measured: {cause}{': ' if detail else ''}{detail}"
        yield Finding(Severity.WARNING, subject, what, "nothing sleeps while blind; elasti check --ask asks again")


def of_evaluation(server: str, interval: timedelta, policies: Sequence[Policy]) -> Iterator[Finding]:
    """Say where a server evaluates too seldom for the health of a trigger to be seen within its cooldown."""
    short = [policy for policy in policies if policy.cooldown < 2 * interval]
    if short:
        names = ", ".join(str(policy.key) for policy in short[:3]) + (" and more" if short[3:] else "")
        what = f"it evaluates every {span(interval)}; the cooldown of {names} is below twice that"
        yield Finding(
            Severity.WARNING, server, what, "raise cooldownPeriod, or lower global.evaluation_interval of Prometheus"
        )


def ordered(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return them with the worst first, each once."""
    rank = list(Severity)
    return sorted(dict.fromkeys(findings), key=lambda one: (rank.index(one.severity), one.subject, one.what))


_K = TypeVar("_K")


def _grouped(values: Mapping[_T, _K]) -> Iterator[tuple[_K, list[_T]]]:
    groups: dict[_K, list[_T]] = defaultdict(list)
    for one, key in values.items():
        groups[key].append(one)
    yield from groups.items()
