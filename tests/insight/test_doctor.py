"""Every finding of the doctor, and that what is well is no finding."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumer.core.answers import Answers, Evidence, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, Trigger
from consumer.core.service import Autoscaler, Mode, ServiceKey, TargetRef
from consumer.insight.doctor import (
    Finding,
    Severity,
    of_answers,
    of_clock,
    of_definition,
    of_evaluation,
    of_policies,
    of_rights,
    of_scalers,
    of_sharing,
    of_targets,
    ordered,
    refused,
    told,
)
from consumer.ports import (
    Definition,
    ForeignScaler,
    Holding,
    ResourceRef,
    Right,
    TargetBusyError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetKey,
    TargetView,
)

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
REF = TargetRef("apps/v1", "Deployment", "web")
TARGET = TargetKey("shop", REF)
POLICY = Policy(
    key=ServiceKey("shop", "web"),
    name="web",
    uid="u",
    hash="h",
    created_at=T0,
    target=REF,
    triggers=(Trigger("prometheus", (("query", "up"), ("threshold", "0.5"))),),
)
WEB = Holding(ResourceRef("shop", "web", "u"), "web", TARGET, 1, None, None, held=True, policy=POLICY)
FIELDS = frozenset({"service", "scaleTargetRef", "triggers", "zeroGuard", "wakeReplicas", "mode", "cooldownPeriod"})


def with_policy(**changes: object) -> Holding:
    return replace(WEB, policy=replace(POLICY, **changes))  # type: ignore[arg-type]


def only(findings: object) -> Finding:
    (finding,) = list(findings)  # type: ignore[call-overload]
    assert isinstance(finding, Finding)
    assert finding.cure
    return finding


def test_an_installation_that_is_well_has_no_findings() -> None:
    view = TargetView(TARGET, "u", 1, "1", 1, 1, T0)
    assert [
        *of_rights([], "handler"),
        *of_definition(Definition(("v1alpha1",), FIELDS)),
        *of_clock(timedelta(milliseconds=300), "Kafka", uncertainty=timedelta()),
        *of_sharing([WEB]),
        *of_scalers([WEB], []),
        *of_targets([WEB], {TARGET: view}),
        *of_policies([WEB], Mode.FULL),
        *of_evaluation("http://p:9090", timedelta(minutes=1), [POLICY]),
    ] == []


def test_a_message_with_its_cure_is_parted() -> None:
    assert told("topic x does not exist; run `elasti topics create`", "Kafka") == Finding(
        Severity.ERROR, "Kafka", "topic x does not exist", "run `elasti topics create`"
    )
    assert told("it broke off", "Kafka").what == "it broke off"


def test_missing_rights_are_told_as_the_rule_that_grants_them() -> None:
    missing = [Right("get", "apps", "deployments", "scale"), Right("patch", "apps", "deployments", "scale")]
    finding = only(of_rights(missing, "handler"))
    assert finding.what == "may not get, patch deployments/scale"
    assert 'apiGroups: ["apps"], resources: ["deployments/scale"], verbs: [get, patch]' in finding.cure
    named = only(of_rights([Right("watch", "", "configmaps", name="elasti-switches")], "worker"))
    assert "resourceNames: [elasti-switches]" in named.cure


def test_fields_that_may_not_be_seen_are_no_finding() -> None:
    assert list(of_definition(Definition(("v1alpha1",), None))) == []


def test_what_may_not_be_seen_is_a_right_to_be_granted() -> None:
    finding = refused(TargetForbiddenError("configmaps is forbidden"), "Kubernetes")
    assert (finding.what, finding.cure[:16]) == ("configmaps is forbidden", "grant that right")
    assert refused(TargetBusyError("it broke off; try again"), "Kubernetes").cure == "try again"


@pytest.mark.parametrize(
    ("definition", "severity", "what"),
    [
        (None, Severity.ERROR, "no definition"),
        (Definition(("v1",), FIELDS), Severity.ERROR, "serves v1, not v1alpha1"),
        (Definition(("v1alpha1",), FIELDS - {"zeroGuard"}), Severity.WARNING, "does not know zeroGuard"),
    ],
)
def test_a_definition_that_is_not_ours(definition: Definition | None, severity: Severity, what: str) -> None:
    finding = only(of_definition(definition))
    assert finding.severity is severity
    assert what in finding.what


def test_a_clock_is_wrong_beyond_a_second_and_what_the_measurement_leaves_open() -> None:
    half = timedelta(milliseconds=500)
    assert list(of_clock(timedelta(seconds=1.5), "Kafka", uncertainty=half)) == []
    beyond = timedelta(seconds=1, milliseconds=501)
    assert "1.501s behind the clock of Kafka" in only(of_clock(beyond, "Kafka", uncertainty=half)).what
    assert "1.501s ahead of the clock of Kafka" in only(of_clock(-beyond, "Kafka", uncertainty=half)).what


def test_two_policies_on_one_target() -> None:
    other = replace(WEB, resource=ResourceRef("shop", "again", "u2"), service="front")
    finding = only(of_sharing([WEB, other]))
    assert (finding.subject, finding.what) == (
        "shop/Deployment/web",
        "several ElastiServices are about it: again, web",
    )
    assert list(of_sharing([WEB, replace(other, leaving=True)])) == []


def test_two_policies_on_one_service() -> None:
    elsewhere = TargetKey("shop", TargetRef("apps/v1", "Deployment", "other"))
    other = replace(WEB, resource=ResourceRef("shop", "again", "u2"), target=elsewhere)
    assert only(of_sharing([WEB, other])).subject == "shop/web"


def test_a_scaled_object_that_the_policy_does_not_name() -> None:
    keda = ForeignScaler("keda", "web-so", TARGET, 0)
    finding = only(of_scalers([WEB], [keda]))
    assert finding.severity is Severity.ERROR
    assert "spec.autoscaler: {type: keda, name: web-so}" in finding.cure
    assert list(of_scalers([with_policy(autoscaler=Autoscaler("keda", "web-so"))], [keda])) == []
    assert only(of_scalers([with_policy(autoscaler=Autoscaler("keda", "old"))], [keda])).severity is Severity.ERROR


def test_an_hpa_is_worth_knowing_unless_it_is_kedas_own() -> None:
    assert only(of_scalers([WEB], [ForeignScaler("hpa", "web", TARGET, 2)])).severity is Severity.HINT
    assert list(of_scalers([WEB], [ForeignScaler("hpa", "keda-hpa-web-so", TARGET, 1)])) == []
    elsewhere = TargetKey("bank", REF)
    assert list(of_scalers([WEB], [ForeignScaler("hpa", "web", elsewhere, 2)])) == []


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (TargetGoneError("there is none"), "its target shop/Deployment/web is not there"),
        (TargetInvalidError("it has no scale subresource; name another kind"), "it has no scale subresource"),
        (TargetForbiddenError("may not get it"), "may not get it"),
        (TargetBusyError("broke off"), "broke off"),
    ],
)
def test_a_target_that_can_not_be_woken(error: TargetGoneError, what: str) -> None:
    finding = only(of_targets([WEB], {TARGET: error}))
    assert finding.severity is Severity.ERROR
    assert what in finding.what


@pytest.mark.parametrize(
    ("changes", "severity", "what"),
    [
        ({"triggers": ()}, Severity.WARNING, "no triggers"),
        ({"triggers": (Trigger("prometheus", (("threshold", "0"),)),)}, Severity.WARNING, "prometheus#0 would have to"),
        ({"triggers": (Trigger("request-count", (("threshold", "-1"),)),)}, Severity.WARNING, "request-count#0"),
        ({"period": InvalidPeriod("no such hour")}, Severity.ERROR, "no such hour"),
        ({"pause": Pause(PauseKind.ALL)}, Severity.HINT, "neither slept nor woken"),
        ({"pause": Pause(PauseKind.SLEEP)}, Severity.HINT, "never put to sleep"),
        ({"mode": Mode.WAKE_ONLY}, Severity.HINT, "mode wake-only"),
    ],
)
def test_a_policy_that_never_sleeps(changes: dict[str, object], severity: Severity, what: str) -> None:
    finding = only(of_policies([with_policy(**changes)], Mode.FULL))
    assert finding.severity is severity
    assert what in finding.what


def test_a_pause_with_an_end_and_a_small_threshold_are_no_findings() -> None:
    small = (Trigger("prometheus", (("threshold", "0.001"),)),)
    ending = Pause(PauseKind.ALL, T0)
    assert list(of_policies([with_policy(triggers=small, pause=ending)], Mode.FULL)) == []


def test_the_mode_of_the_installation_counts_too() -> None:
    assert "mode observe" in only(of_policies([WEB], Mode.OBSERVE)).what


def test_a_policy_that_is_invalid_says_each_problem() -> None:
    broken = replace(WEB, policy=None, problems=("ElastiService shop/web: spec.service: must be a name",))
    assert only(of_policies([broken], Mode.FULL)).what == "spec.service: must be a name"


def unknown(cause: UnknownCause, detail: str = "") -> Answers:
    answer = Unknown(cause, T0, detail)
    return Answers((TriggerAnswers("prometheus#0", answer, answer, answer),))


def test_triggers_that_can_not_be_measured_for_one_cause_are_one_finding() -> None:
    policies = {"shop/web": POLICY, "shop/cart": POLICY, "shop/till": POLICY}
    answers = {
        "shop/web": unknown(UnknownCause.UNREACHABLE, "http://p:9090 can not be reached"),
        "shop/cart": unknown(UnknownCause.UNREACHABLE, "http://p:9090 can not be reached"),
        "shop/till": unknown(UnknownCause.WINDOW_NOT_FULL),
    }
    finding = only(of_answers(policies, answers))
    assert finding.subject == "shop/web prometheus#0 and 1 more"
    assert finding.what == "can not be measured: unreachable: http://p:9090 can not be reached"


def test_triggers_that_answer_are_no_finding() -> None:
    yes = Yes(Evidence(0.0, 1.0), T0)
    assert list(of_answers({"shop/web": POLICY}, {"shop/web": Answers((TriggerAnswers("p#0", yes, yes, yes),))})) == []


def test_a_server_that_evaluates_too_seldom_for_a_cooldown() -> None:
    short = replace(POLICY, cooldown=timedelta(seconds=119))
    assert "evaluates every 1m00s" in only(of_evaluation("http://p:9090", timedelta(minutes=1), [short, POLICY])).what
    exact = replace(POLICY, cooldown=timedelta(seconds=120))
    assert list(of_evaluation("http://p:9090", timedelta(minutes=1), [exact])) == []


def test_the_worst_comes_first_and_nothing_twice() -> None:
    hint, error = Finding(Severity.HINT, "a", "x", "y"), Finding(Severity.ERROR, "b", "x", "y")
    warning = Finding(Severity.WARNING, "a", "x", "y")
    assert ordered([hint, warning, error, hint]) == [error, warning, hint]
