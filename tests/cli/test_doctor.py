"""`elasti doctor`: what it looks at, how it tells it, and how it ends."""

import json
from datetime import timedelta

import pytest

from consumer.app.places import UnnamedError
from consumer.insight.rights import OPERATOR
from consumer.ports import (
    Guarded,
    LogError,
    LogForbiddenError,
    LogSetupError,
    Operation,
    Others,
    Permit,
    Right,
    TargetBusyError,
    TargetForbiddenError,
)
from schemas.topics import Topic
from tests.cli.conftest import Elasti
from tests.cli.installation import Installation

EVERYTHING = ["Kafka", "Kubernetes", "rights", "definition", "clock", "ElastiServices", "Prometheus"]
PROMETHEUS = ("--prometheus-address", "http://p:9090")


@pytest.fixture
def here() -> Installation:
    made = Installation()
    made.deploy("web", replicas=1, ready=1)
    return made


def test_an_installation_that_is_well(elasti: Elasti, here: Installation) -> None:
    said = elasti("doctor", *PROMETHEUS, places=here)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "looked at: Kafka, Kubernetes, rights, definition, clock, ElastiServices,",
        "           Prometheus",
        "0 errors, 0 warnings, 0 hints",
    ]


def test_its_probe_of_the_time_switches_nothing(elasti: Elasti, here: Installation) -> None:
    elasti("freeze", "--why", "sale", places=here)
    elasti("doctor", places=here)
    (_, probe) = here.records(Topic.CONTROL)
    assert (probe.key, probe.value) == (b"/clock", None)
    assert list(here.book().freezes) == ["*"]


def test_findings_come_with_their_cure_within_80_columns(elasti: Elasti, here: Installation) -> None:
    here.problems = ["topic elasti.hosts does not exist; run `elasti topics create`"]
    here.rights.forbidden = {Right("patch", "apps", "deployments", "scale")}
    said = elasti("doctor", places=here)
    assert said.code == 1
    assert max(len(line) for line in said.out.splitlines()) <= 80
    assert said.out.splitlines()[:3] == [
        "ERROR    Kafka",
        "  topic elasti.hosts does not exist",
        "  → run `elasti topics create`",
    ]
    assert "may not patch deployments/scale" in said.out


def test_rights_are_asked_where_they_are_needed(elasti: Elasti, here: Installation) -> None:
    elasti("doctor", "--watch-namespaces", "shop,bank", "--installed-in", "ops", places=here)
    assert {right.namespace for right in here.rights.asked if right.resource == "configmaps"} == {"ops"}
    assert {right.namespace for right in here.rights.asked if right.resource != "configmaps"} == {"shop", "bank"}
    assert {(right.verb, right.resource) for right in here.rights.asked} == {
        (right.verb, right.resource) for right in OPERATOR
    }


def test_hints_alone_are_no_failure(elasti: Elasti, here: Installation) -> None:
    said = elasti("doctor", "--mode", "observe", places=here)
    assert said.code == 0
    assert "HINT     shop/web" in said.out


def test_what_is_away_is_a_finding_and_the_rest_is_looked_at(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka at k:9092: reading failed (refused); see that it runs and can be reached")
    here.survey.behind = timedelta(seconds=30)
    said = elasti("doctor", "--output", "json", *PROMETHEUS, places=here)
    assert said.code == 1
    told = json.loads(said.out)
    assert told["lookedAt"] == EVERYTHING
    kafka, clock = told["findings"]
    assert kafka == {
        "severity": "error",
        "subject": "Kafka",
        "what": "Kafka at k:9092: reading failed (refused)",
        "cure": "see that it runs and can be reached",
    }
    assert clock["subject"] == "clock"
    assert "ahead of the clock of the API server" in clock["what"]


def test_an_acl_that_hides_topics_says_what_to_allow(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogSetupError("Kafka does not show us elasti.hosts; allow Describe, Read and Write on them")
    said = elasti("doctor", places=here)
    assert said.code == 1
    assert "  → allow Describe, Read and Write on them" in said.out


def test_policies_that_may_not_be_listed_do_not_hide_the_rest(elasti: Elasti, here: Installation) -> None:
    here.survey.failure = TargetForbiddenError("elastiservices is forbidden")
    said = elasti("doctor", places=here)
    assert said.code == 1
    assert "elastiservices is forbidden\n  → grant that right to whoever asks" in said.out
    assert "rights" in said.out


def test_a_server_that_is_not_known_here_is_said_and_no_finding(elasti: Elasti, here: Installation) -> None:
    said = elasti("doctor", places=here)
    assert said.code == 0
    assert "not looked at: Prometheus for 1 policy that names none; set" in said.out
    assert "ELASTI_PROMETHEUS_ADDRESS" in said.out


def test_a_place_that_is_not_named_is_said(elasti: Elasti, here: Installation) -> None:
    here.cluster_trouble = UnnamedError("no cluster is named; set ELASTI_CLUSTER_ACCESS")
    said = elasti("doctor", places=here)
    assert said.code == 0
    assert "not looked at: no cluster is named; set ELASTI_CLUSTER_ACCESS" in said.out
    assert "looked at: Kafka\n0 errors" in said.out


def test_without_any_place_there_is_nothing_to_look_at(elasti: Elasti) -> None:
    said = elasti("doctor")
    assert (said.code, said.out) == (2, "")
    assert "ELASTI_KAFKA_BOOTSTRAP" in said.err
    assert "ELASTI_CLUSTER_ACCESS" in said.err


def test_a_cluster_that_is_away_is_a_finding(elasti: Elasti, here: Installation) -> None:
    here.cluster_trouble = TargetBusyError("the API did not answer GET /version in time")
    said = elasti("doctor", places=here)
    assert said.code == 1
    assert "the API did not answer GET /version in time" in said.out


def test_somebody_who_may_not_see_the_autoscalers_of_others_sees_the_rest(elasti: Elasti, here: Installation) -> None:
    here.survey.hidden = TargetForbiddenError("horizontalpodautoscalers is forbidden")
    said = elasti("doctor", *PROMETHEUS, places=here)
    assert said.code == 0
    assert "not looked at: autoscalers of others: horizontalpodautoscalers is forbidden" in said.out
    assert "Prometheus" in said.out


def test_somebody_who_may_not_write_to_kafka_is_told_that_its_time_is_not_known(
    elasti: Elasti, here: Installation
) -> None:
    here.unwritable = LogError("not allowed to write to elasti.control")
    said = elasti("doctor", *PROMETHEUS, places=here)
    assert said.code == 0
    assert "not looked at: Kafka's time: not allowed to write to elasti.control" in said.out


def test_acls_that_are_missing_come_with_the_command_that_gives_them(elasti: Elasti, here: Installation) -> None:
    writing = Permit(Guarded.TOPIC, "elasti.decisions", Operation.WRITE)
    owning = Permit(Guarded.TRANSACTIONAL_ID, "elasti.worker-", Operation.WRITE, prefixed=True)
    here.forbidden_permits = {writing, owning}
    said = elasti("doctor", "--rights", "worker", "--kafka-bootstrap", "k:9093", "--output", "json", places=here)
    assert said.code == 1
    assert [(one["subject"], one["what"], one["cure"]) for one in json.loads(said.out)["findings"]] == [
        (
            "Kafka ACLs of worker",
            "User:ANONYMOUS may not Write topic elasti.decisions",
            "kafka-acls --bootstrap-server k:9093 --add --allow-principal User:ANONYMOUS "
            "--operation Write --topic elasti.decisions",
        ),
        (
            "Kafka ACLs of worker",
            "User:ANONYMOUS may not Write transactional id elasti.worker-*",
            "kafka-acls --bootstrap-server k:9093 --add --allow-principal User:ANONYMOUS "
            "--operation Write --transactional-id elasti.worker- --resource-pattern-type prefixed",
        ),
    ]


def test_acls_of_others_are_no_finding(elasti: Elasti, here: Installation) -> None:
    here.forbidden_permits = {Permit(Guarded.TOPIC, "elasti.decisions", Operation.WRITE)}
    assert elasti("doctor", "--rights", "gateway", *PROMETHEUS, places=here).code == 0


def test_a_part_that_may_not_see_how_topics_are_kept_is_no_worse_for_it(elasti: Elasti, here: Installation) -> None:
    here.hidden = LogForbiddenError("Kafka at k: User:worker may not DescribeConfigs topic elasti.hosts; allow it: x")
    said = elasti("doctor", "--rights", "worker", *PROMETHEUS, places=here)
    assert said.code == 0
    assert "not looked at: topics: Kafka at k: User:worker may not DescribeConfigs topic" in said.out


def test_workers_that_are_set_to_other_tenants_are_found(elasti: Elasti, here: Installation) -> None:
    here.others = Others(groups=("elasti.worker-1f0e",))
    said = elasti("doctor", "--tenants", "bank,shop", "--output", "json", *PROMETHEUS, places=here)
    assert said.code == 1
    (finding,) = json.loads(said.out)["findings"]
    assert (finding["severity"], finding["subject"]) == ("error", "tenants")
    assert "workers are at work in group elasti.worker-1f0e" in finding["what"]
    assert (
        "(ELASTI_TENANTS=bank,shop): what a gateway with these settings writes for a tenant may wake nobody"
        in (finding["what"])
    )
    assert "give ELASTI_TENANTS one value in all workers and gateways" in finding["cure"]


def test_a_topic_of_a_namespace_that_is_no_tenant_is_found(elasti: Elasti, here: Installation) -> None:
    here.others = Others(topics=("elasti.request-counts.shop",))
    said = elasti("doctor", "--output", "json", *PROMETHEUS, places=here)
    assert said.code == 1
    (finding,) = json.loads(said.out)["findings"]
    assert (finding["severity"], finding["subject"]) == ("warning", "tenants")
    assert "the topic elasti.request-counts.shop is none of these settings (no ELASTI_TENANTS)" in finding["what"]
    assert "add its namespace to ELASTI_TENANTS of all workers and gateways" in finding["cure"]


def test_whoever_may_not_see_the_workers_group_is_told_what_was_not_looked_at(
    elasti: Elasti, here: Installation
) -> None:
    here.others = LogForbiddenError("Kafka at k: User:handler may not Describe group elasti.worker-*; allow it: x")
    said = elasti("doctor", "--rights", "handler", *PROMETHEUS, places=here)
    assert said.code == 0
    assert "not looked at: who reads the requests: Kafka at k: User:handler may not Describe" in said.out
