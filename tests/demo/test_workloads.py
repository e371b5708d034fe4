"""What the demo puts on a real cluster: every actor's workload, and the definitions that an installation has."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from consumer.demo.scenario import ACTORS
from consumer.demo.workloads import workloads_of

INSTALLED = Path(__file__).parents[2] / "k8s" / "crd"


def test_each_actor_has_a_deployment_and_a_service_whose_namespace_comes_before_them() -> None:
    seen: set[str] = set()
    made: list[tuple[str, str, str]] = []
    for each in yaml.safe_load_all(workloads_of(ACTORS)):
        if each["kind"] == "Namespace":
            seen.add(each["metadata"]["name"])
        else:
            assert each["metadata"]["namespace"] in seen
            made.append((each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]))
    wanted = [(kind, each.key.namespace, each.key.name) for each in ACTORS for kind in ("Deployment", "Service")]
    assert made == wanted


def test_pods_take_the_time_that_the_actor_says() -> None:
    deployments = [each for each in yaml.safe_load_all(workloads_of(ACTORS)) if each["kind"] == "Deployment"]
    annotations = [each["spec"]["template"]["metadata"]["annotations"] for each in deployments]
    assert [list(each.values()) for each in annotations][:2] == [["800ms"], ["600ms"]]


@pytest.mark.parametrize("name", [path.name for path in INSTALLED.glob("*.yaml")])
def test_the_package_carries_the_definitions_as_they_are_installed(name: str) -> None:
    carried = files("consumer.demo") / "crd" / name
    assert carried.read_bytes() == (INSTALLED / name).read_bytes(), f"run: cp k8s/crd/{name} consumer/demo/crd/"


def test_the_package_carries_no_definition_that_is_not_installed() -> None:
    carried = {each.name for each in (files("consumer.demo") / "crd").iterdir()}
    assert carried == {path.name for path in INSTALLED.glob("*.yaml")}
