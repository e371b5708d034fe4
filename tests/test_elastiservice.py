"""ElastiService resources: what KubeElasti accepts is understood, what is wrong is told field by field."""

import json
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, Trigger, WakeReplicas, ZeroGuard
from consumer.core.schedule import EnabledPeriod, parse_period
from consumer.core.service import Autoscaler, Mode, ServiceKey, TargetRef
from consumer.elastiservice import (
    LONG_AGO,
    PAUSED,
    PAUSED_UNTIL,
    FieldPath,
    content_hash,
    key_of,
    policy_from,
    shareable,
)
from consumer.ports import Problem

Resource = dict[str, object]

MINIMAL: Resource = {
    "apiVersion": "elasti.truefoundry.com/v1alpha1",
    "kind": "ElastiService",
    "metadata": {"name": "web-policy", "namespace": "shop"},
    "spec": {
        "service": "web",
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "triggers": [{"type": "prometheus", "metadata": {"query": "up", "threshold": "0.5"}}],
    },
}


def no_faults(trigger: Trigger) -> Sequence[tuple[str, str]]:
    return ()


def changed(path: str, value: object, base: Resource = MINIMAL) -> Resource:
    """Return the resource with one field set; "spec.triggers.0.type" steps into lists."""
    resource = deepcopy(base)
    *steps, last = path.split("/")
    place: object = resource
    for step in steps:
        if isinstance(place, list):
            place = place[int(step)]
        else:
            assert isinstance(place, dict)
            place = place.setdefault(step, {})
    assert isinstance(place, dict)
    place[last] = value
    return resource


def without(path: str) -> Resource:
    *steps, last = path.split("/")
    resource = deepcopy(MINIMAL)
    place: object = resource
    for step in steps:
        assert isinstance(place, dict)
        place = place[step]
    assert isinstance(place, dict)
    del place[last]
    return resource


def valid(resource: Resource) -> Policy:
    policy = policy_from(resource, where="test", check=no_faults)
    assert isinstance(policy, Policy), policy
    return policy


def problems(resource: Resource) -> tuple[Problem, ...]:
    found = policy_from(resource, where="test", check=no_faults)
    assert not isinstance(found, Policy), found
    return found


def test_the_smallest_resource_gets_every_default() -> None:
    policy = valid(MINIMAL)
    assert policy.key == ServiceKey("shop", "web")
    assert policy.name == "web-policy"
    assert policy.target == TargetRef("apps/v1", "Deployment", "web")
    assert policy.triggers == (Trigger("prometheus", (("query", "up"), ("threshold", "0.5"))),)
    assert (policy.min_replicas, policy.cooldown) == (1, timedelta(minutes=15))
    assert (policy.wake_replicas, policy.mode, policy.zero_guard) == (WakeReplicas.MIN, Mode.FULL, ZeroGuard.NONE)
    assert (policy.guard_timeout, policy.start_timeout) == (timedelta(seconds=60), timedelta(minutes=30))
    assert (policy.period, policy.autoscaler, policy.pause) == (None, None, None)


def test_every_field_is_read() -> None:
    resource = deepcopy(MINIMAL)
    spec = resource["spec"]
    assert isinstance(spec, dict)
    spec |= {
        "minTargetReplicas": 3,
        "cooldownPeriod": 604_800,
        "autoscaler": {"type": "KEDA", "name": "web-scaler"},
        "enabledPeriod": {"schedule": "0 9 * * 1-5", "duration": "8h"},
        "probeResponse": [{"path": {"type": "Exact", "value": "/healthz"}, "response": {"status": 200}}],
        "zeroGuard": "resolver",
        "zeroGuardTimeout": "90s",
        "wakeReplicas": "previous",
        "mode": "observe",
        "startTimeout": "1h",
    }
    resource["metadata"] = {
        "name": "web-policy",
        "namespace": "shop",
        "uid": "1b4e28ba",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "annotations": {PAUSED: "all", PAUSED_UNTIL: "2026-02-01T10:00:00.123456+02:00"},
    }
    policy = valid(resource)
    assert (policy.uid, policy.created_at) == ("1b4e28ba", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert (policy.min_replicas, policy.cooldown) == (3, timedelta(days=7))
    assert policy.autoscaler == Autoscaler("keda", "web-scaler")
    assert policy.period == parse_period(schedule="0 9 * * 1-5", duration="8h")
    assert (policy.zero_guard, policy.guard_timeout) == (ZeroGuard.RESOLVER, timedelta(seconds=90))
    assert (policy.wake_replicas, policy.mode) == (WakeReplicas.PREVIOUS, Mode.OBSERVE)
    assert policy.start_timeout == timedelta(hours=1)
    assert policy.pause == Pause(PauseKind.ALL, datetime(2026, 2, 1, 8, 0, 0, 123000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("written", "kind"),
    [("deployments", "Deployment"), ("rollouts", "Rollout"), ("StatefulSet", "StatefulSet"), ("CloneSet", "CloneSet")],
)
def test_legacy_kinds_and_any_kind_with_a_scale_subresource_are_taken(written: str, kind: str) -> None:
    assert valid(changed("spec/scaleTargetRef/kind", written)).target.kind == kind


@pytest.mark.parametrize("version", ["apps/v1", "argoproj.io/v1alpha1", "apps.kruise.io/v1beta1", "v1"])
def test_any_group_and_version_is_taken(version: str) -> None:
    assert valid(changed("spec/scaleTargetRef/apiVersion", version)).target.api_version == version


@pytest.mark.parametrize(("seconds", "cooldown"), [(None, 900), (0, 900), (1, 1), (604_800, 604_800)])
def test_a_cooldown_of_zero_or_none_is_fifteen_minutes(seconds: int | None, cooldown: int) -> None:
    assert valid(changed("spec/cooldownPeriod", seconds)).cooldown == timedelta(seconds=cooldown)


def test_metadata_keys_match_in_any_case_and_values_become_text() -> None:
    metadata = {
        "Query": "up",
        "THRESHOLD": 0.5,
        "serverAddress": None,
        "window": 30,
        "ignoreNaN": True,
        "more": {"b": [1], "a": 2},
        "Headers": {"X-Scope-OrgID": "shop", "Authorization": "Bearer x"},
    }
    trigger = valid(changed("spec/triggers/0/metadata", metadata)).triggers[0]
    assert trigger.named() == {
        "query": "up",
        "threshold": "0.5",
        "window": "30",
        "ignorenan": "true",
        "more": '{"a":2,"b":[1]}',
    }
    assert trigger.headers == (("Authorization", "Bearer x"), ("X-Scope-OrgID", "shop"))


@pytest.mark.parametrize("triggers", [None, []])
def test_a_policy_without_triggers_wakes_but_never_sleeps(triggers: object) -> None:
    resource = changed("spec/triggers", triggers)
    assert valid(resource).mode is Mode.WAKE_ONLY
    assert valid(changed("spec/mode", "observe", resource)).mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("sleep", Pause(PauseKind.SLEEP)),
        ("true", Pause(PauseKind.SLEEP)),
        ("ALL", Pause(PauseKind.ALL)),
        ("false", None),
        ("", None),
    ],
)
def test_the_pause_annotation_is_read(text: str, pause: Pause | None) -> None:
    assert valid(changed("metadata/annotations", {PAUSED: text})).pause == pause


def test_an_absent_half_of_an_enabled_period_gets_its_default() -> None:
    assert valid(changed("spec/enabledPeriod", {})).period == parse_period(schedule="0 0 * * *", duration="24h")
    only_length = valid(changed("spec/enabledPeriod", {"duration": "1h"})).period
    assert isinstance(only_length, EnabledPeriod)
    assert only_length.duration == timedelta(hours=1)


@pytest.mark.parametrize(
    "period", [{"schedule": "0 25 * * *"}, {"schedule": ""}, {"duration": "0h"}, {"duration": 24}, {"schedule": 5}]
)
def test_an_unreadable_enabled_period_is_part_of_a_valid_policy(period: dict[str, object]) -> None:
    read = valid(changed("spec/enabledPeriod", period)).period
    assert isinstance(read, InvalidPeriod)
    assert read.problem


def test_a_resource_without_uid_and_age_is_old_and_keeps_one_identity() -> None:
    policy = valid(MINIMAL)
    assert policy.created_at == LONG_AGO
    assert policy.uid == valid(changed("spec/cooldownPeriod", 5)).uid
    assert policy.uid != valid(changed("metadata/name", "other")).uid
    assert policy.uid != valid(changed("metadata/namespace", "other")).uid


def test_the_hash_is_of_what_a_policy_says() -> None:
    policy = valid(MINIMAL)
    assert valid(changed("metadata/uid", "other")).hash == policy.hash
    assert valid(changed("spec/cooldownPeriod", 900)).hash == policy.hash
    assert valid(changed("spec/scaleTargetRef/kind", "deployments")).hash == policy.hash
    changes: list[tuple[str, object]] = [
        ("spec/cooldownPeriod", 5),
        ("spec/triggers", None),
        ("spec/enabledPeriod", {}),
    ]
    for path, value in changes:
        assert valid(changed(path, value)).hash != policy.hash


def test_the_hash_does_not_depend_on_a_headers_value_but_on_its_presence() -> None:
    def hashed(headers: dict[str, str]) -> str:
        return valid(changed("spec/triggers/0/metadata/headers", headers)).hash

    assert hashed({"Authorization": "one"}) == hashed({"Authorization": "two"})
    assert hashed({"Authorization": "one"}) != hashed({})


def test_the_hash_can_be_had_from_the_policy_itself() -> None:
    policy = valid(changed("spec/enabledPeriod", {}))
    assert content_hash(policy) == policy.hash
    assert len(policy.hash) == 64


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("apiVersion", "v1", "kind"),
        ("kind", "Deployment", "kind"),
        ("metadata", "web", "metadata"),
        ("metadata/name", "Web", "metadata.name"),
        ("metadata/namespace", None, "metadata.namespace"),
        ("metadata/namespace", "a.b", "metadata.namespace"),
        ("metadata/creationTimestamp", "yesterday", "metadata.creationTimestamp"),
        ("metadata/creationTimestamp", "2026-01-02T03:04:05", "metadata.creationTimestamp"),
        ("spec", None, "spec.service"),
        ("spec/service", "", "spec.service"),
        ("spec/service", "Web", "spec.service"),
        ("spec/service", "w" * 64, "spec.service"),
        ("spec/service", 5, "spec.service"),
        ("spec/scaleTargetRef", None, "spec.scaleTargetRef.name"),
        ("spec/scaleTargetRef/kind", "statefulsets", "spec.scaleTargetRef.kind"),
        ("spec/scaleTargetRef/kind", 5, "spec.scaleTargetRef.kind"),
        ("spec/scaleTargetRef/apiVersion", "apps", "spec.scaleTargetRef.apiVersion"),
        ("spec/scaleTargetRef/name", "a/b", "spec.scaleTargetRef.name"),
        ("spec/minTargetReplicas", 0, "spec.minTargetReplicas"),
        ("spec/minTargetReplicas", True, "spec.minTargetReplicas"),
        ("spec/minTargetReplicas", 2**31, "spec.minTargetReplicas"),
        ("spec/cooldownPeriod", -1, "spec.cooldownPeriod"),
        ("spec/cooldownPeriod", 604_801, "spec.cooldownPeriod"),
        ("spec/cooldownPeriod", "900", "spec.cooldownPeriod"),
        ("spec/cooldownPeriod", 1.5, "spec.cooldownPeriod"),
        ("spec/triggers", {"type": "x"}, "spec.triggers"),
        ("spec/triggers", ["x"], "spec.triggers"),
        ("spec/triggers/0/type", None, "spec.triggers[0].type"),
        ("spec/triggers/0/metadata", "x", "spec.triggers[0].metadata"),
        ("spec/triggers/0/metadata/headers", "x", "spec.triggers[0].metadata.headers"),
        ("spec/triggers/0/metadata/headers", {"X-Tenant": 5}, "spec.triggers[0].metadata.headers.X-Tenant"),
        ("spec/autoscaler", {"type": "vpa", "name": "a"}, "spec.autoscaler.type"),
        ("spec/autoscaler", {"type": "keda"}, "spec.autoscaler.name"),
        ("spec/enabledPeriod", "always", "spec.enabledPeriod"),
        ("spec/zeroGuard", "maybe", "spec.zeroGuard"),
        ("spec/zeroGuardTimeout", "1", "spec.zeroGuardTimeout"),
        ("spec/zeroGuardTimeout", "0s", "spec.zeroGuardTimeout"),
        ("spec/startTimeout", 30, "spec.startTimeout"),
        ("spec/wakeReplicas", "max", "spec.wakeReplicas"),
        ("spec/mode", "half", "spec.mode"),
        ("spec/cooldownperiod", 30, "spec.cooldownperiod"),
        ("metadata/annotations", {PAUSED: "maybe"}, f"metadata.annotations.{PAUSED}"),
        ("metadata/annotations", {PAUSED: "all", PAUSED_UNTIL: "soon"}, f"metadata.annotations.{PAUSED_UNTIL}"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(path: str, value: object, field: str) -> None:
    found = problems(changed(path, value))
    assert field in [problem.field for problem in found]
    assert all(
        "write" in problem.message or "put" in problem.message or "begin" in problem.message for problem in found
    )


def test_everything_that_is_wrong_is_told_at_once() -> None:
    resource = changed("spec/mode", "half", changed("spec/service", "Web", changed("spec/cooldownPeriod", -1)))
    assert [problem.field for problem in problems(resource)] == ["spec.service", "spec.mode", "spec.cooldownPeriod"]


def test_a_field_of_a_newer_version_is_no_problem() -> None:
    assert valid(changed("spec/somethingNew", {"a": 1})) == valid(MINIMAL)


def test_a_triggers_faults_are_told_in_the_spelling_of_the_resource() -> None:
    def faulty(trigger: Trigger) -> Sequence[tuple[str, str]]:
        assert trigger.type == "prometheus"
        return [("type", "unknown"), ("metadata.threshold", "not a number"), ("query", "a typo"), ("window", "missing")]

    resource = changed("spec/triggers/0/metadata", {"Query": "up(", "threshold": "x"})
    found = policy_from(resource, where="test", check=faulty)
    assert isinstance(found, tuple)
    assert [problem.field for problem in found] == [
        "spec.triggers[0].type",
        "spec.triggers[0].metadata.threshold",
        "spec.triggers[0].metadata.Query",
        "spec.triggers[0].metadata.window",
    ]


def test_a_problem_says_where_it_is() -> None:
    asked: list[FieldPath] = []

    def locate(path: FieldPath) -> str:
        asked.append(path)
        return f"file:{len(asked)}"

    found = policy_from(changed("spec/mode", "half"), where=locate, check=no_faults)
    assert isinstance(found, tuple)
    assert str(found[0]) == 'file:1: spec.mode: can not be "half"; write full or wake-only or observe'
    assert asked == [("spec", "mode")]


def test_a_long_value_is_cut_in_messages() -> None:
    assert len(problems(changed("spec/mode", "x" * 500))[0].message) < 150


def test_the_service_of_an_invalid_resource_is_known_when_it_names_one() -> None:
    assert key_of(changed("spec/mode", "half")) == ServiceKey("shop", "web")
    assert key_of(without("spec/service")) is None
    assert key_of({"spec": 5}) is None


def test_what_is_shared_of_a_resource_holds_everything_but_secrets() -> None:
    metadata = {"serverAddress": "http://me:hunter2@host:1", "Headers": {"Authorization": "hunter2", "X": "hunter2"}}
    resource = changed("status", {"mode": "proxy"}, changed("spec/triggers/0/metadata", metadata))
    text = shareable(changed("spec/probeResponse", [{"response": {"status": 200}}], resource))
    assert b"hunter2" not in text.spec
    assert (text.name, json.loads(text.status)) == ("web-policy", {"mode": "proxy"})
    spec = json.loads(text.spec)
    assert spec["probeResponse"] == [{"response": {"status": 200}}]
    assert spec["triggers"][0]["metadata"] == {
        "serverAddress": "http://********@host:1",
        "Headers": {"Authorization": "********", "X": "********"},
    }


def test_what_is_shared_of_an_odd_resource_is_still_readable() -> None:
    text = shareable({"metadata": 5, "status": 5})
    assert (text.name, json.loads(text.spec), json.loads(text.status)) == ("", None, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
SPEC_FIELDS = ("service", "scaleTargetRef", "minTargetReplicas", "cooldownPeriod", "triggers", "autoscaler")
OUR_FIELDS = ("enabledPeriod", "zeroGuard", "zeroGuardTimeout", "wakeReplicas", "mode", "startTimeout", "headers")
METADATA = ("name", "namespace", "uid", "creationTimestamp", "annotations", PAUSED, PAUSED_UNTIL, "metadata", "type")


@given(
    st.sampled_from(["spec", "metadata", "spec/scaleTargetRef", "spec/triggers/0", "spec/triggers/0/metadata"]),
    st.sampled_from([*SPEC_FIELDS, *OUR_FIELDS, *METADATA]) | st.text(max_size=5).filter(lambda name: "/" not in name),
    JSON,
)
def test_whatever_a_field_holds_the_answer_is_a_policy_or_problems(place: str, name: str, value: object) -> None:
    found = policy_from(changed(f"{place}/{name}", value), where="test", check=no_faults)
    assert found
    if isinstance(found, Policy):
        assert found.hash == content_hash(found)
    assert shareable(changed(f"{place}/{name}", value)).spec
