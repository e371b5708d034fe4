"""What the manifests say, read from their files: rights, profiles, names that must fit each other."""

import re
from pathlib import Path

import pytest
import yaml

from consumer.insight.rights import HANDLER, KEDA, OPERATOR, POLICIES, WORKER
from consumer.settings import DEFAULT_HTTP_PORT, Role, Settings
from consumer.worker.settings import WorkerSettings
from tests.bed.manifests import Manifest
from tests.k8s.manifests import CHART, K8S, ROOT, granted, objects, pod_of, rights, written

KUSTOMIZATIONS = sorted([*K8S.rglob("kustomization.yaml"), *K8S.rglob("kustomization.yml")])
WORKLOADS = [each for each in written() if each["kind"] in {"Deployment", "StatefulSet", "Job"}]
OURS = [each for each in written(K8S / "workloads") if each["kind"] == "Deployment"]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def test_doctor_asks_for_exactly_what_the_manifests_grant() -> None:
    rollouts = {right for right in granted("handler") if right.group == "argoproj.io"}
    assert {(right.verb, right.subresource) for right in rollouts} == {
        *((verb, "") for verb in ("get", "list", "watch")),
        ("patch", "scale"),
    }
    assert granted("worker") == set(WORKER)
    assert granted("handler") - rollouts == {*HANDLER, *KEDA}
    assert granted("gateway") == set(POLICIES)
    (operator,) = [r for r in objects(K8S / "rights/roles/roles.yaml") if r["metadata"]["name"] == "elasti-operator"]
    assert set(rights(operator["rules"])) == set(OPERATOR)


def test_no_role_has_a_star_or_secrets_or_deletes() -> None:
    roles = [each for each in written() if each["kind"] in {"Role", "ClusterRole"}]
    assert roles
    for right in (right for role in roles for right in rights(role["rules"])):
        assert "*" not in str(right)
        assert right.resource != "secrets"
        assert right.verb in {"get", "list", "watch", "patch", "create"}


def test_bindings_of_a_namespace_are_those_of_the_cluster() -> None:
    def bound(file: Path) -> dict[str, object]:
        return {each["roleRef"]["name"]: each["subjects"] for each in objects(file)}

    assert bound(K8S / "rights/cluster/bindings.yaml") == bound(K8S / "rights/namespace/bindings.yaml")


@pytest.mark.parametrize("workload", WORKLOADS, ids=named)
def test_every_pod_keeps_to_the_restricted_profile(workload: Manifest) -> None:
    pod = pod_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("workload", OURS, ids=named)
def test_our_pods_write_nowhere_and_see_no_variables_of_services(workload: Manifest) -> None:
    pod = pod_of(workload)
    assert pod["enableServiceLinks"] is False
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "volumes" not in pod


@pytest.mark.parametrize("workload", OURS, ids=named)
def test_a_pod_runs_one_role_under_its_account_on_the_port_that_resolvers_know(workload: Manifest) -> None:
    role = Role(workload["metadata"]["labels"]["app.kubernetes.io/component"])
    pod = pod_of(workload)
    assert pod["containers"][0]["args"] == ["run", "--roles", role]
    assert pod["serviceAccountName"] == f"elasti-{role}"
    assert pod["containers"][0]["ports"] == [{"name": "http", "containerPort": DEFAULT_HTTP_PORT, "protocol": "TCP"}]
    accounts = {each["metadata"]["name"] for each in objects(K8S / "workloads/accounts.yaml")}
    assert pod["serviceAccountName"] in accounts


@pytest.mark.parametrize("workload", OURS, ids=named)
def test_a_pod_is_given_the_time_that_it_needs_to_stop(workload: Manifest) -> None:
    pod = pod_of(workload)
    before = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    # The pages end before the worker does.
    assert pod["terminationGracePeriodSeconds"] >= before + 5 + WorkerSettings().drain.total_seconds()


def test_every_selector_selects_the_pods_of_its_own_component() -> None:
    pods = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in OURS}
    for each in written(K8S / "workloads"):
        selector = {"Service": ("selector",), "PodDisruptionBudget": ("selector", "matchLabels")}.get(each["kind"])
        if selector:
            labels = each["spec"]
            for part in selector:
                labels = labels[part]
            assert labels == pods[each["metadata"]["name"]]


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=lambda file: str(file.parent.relative_to(K8S)))
def test_a_kustomization_names_what_is_there_and_settings_that_exist(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    for resource in content["resources"]:
        assert (file.parent / resource).exists()
    for generator in content.get("configMapGenerator", []):
        for literal in generator.get("literals", []):
            name = literal.partition("=")[0].removeprefix("ELASTI_").lower()
            assert name in Settings.model_fields


def test_the_settings_of_the_base_are_enough_to_run() -> None:
    (settings,) = yaml.safe_load((K8S / "workloads/kustomization.yaml").read_text())["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in settings["literals"])
    loaded = Settings(**{name.removeprefix("ELASTI_").lower(): value for name, value in given.items()})
    assert loaded.missing_for_run() == ()


def test_the_chart_has_the_settings_of_the_base() -> None:
    (settings,) = yaml.safe_load((K8S / "workloads/kustomization.yaml").read_text())["configMapGenerator"]
    given = dict(literal.removeprefix("ELASTI_").split("=", 1) for literal in settings["literals"])
    del given["HANDLER_URL"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert {name.upper(): str(value) for name, value in values["settings"].items()} == given


def test_the_image_runs_as_the_user_of_the_manifests() -> None:
    (user,) = re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {str(pod_of(each)["securityContext"]["runAsUser"]) for each in OURS} == {user}
