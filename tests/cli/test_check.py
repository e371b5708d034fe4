"""`elasti check`: what a policy would do, and what is wrong with it, where."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Elasti

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"


def resource(name: str = "web", query: str = "sum(up)", **spec: object) -> str:
    """A policy as one writes it; JSON is YAML too."""
    content = {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "service": name,
            "minTargetReplicas": 2,
            "cooldownPeriod": 900,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {"query": query, "threshold": "0.5", "serverAddress": "http://prometheus:9090"},
                }
            ],
            **spec,
        },
    }
    return json.dumps(content, indent=2)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(resource())
    return path


@pytest.fixture
def typo(tmp_path: Path) -> Path:
    path = tmp_path / "typo.yaml"
    path.write_text("---\n".join((f"{resource()}\n", resource("cart", query="sum(rate(up[5m])"))))
    return path


def test_a_valid_policy_is_told_in_plain_words(elasti: Elasti, good: Path) -> None:
    said = elasti("check", good)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "shop/web",
        "  sleeps (Deployment/web to 0) after 15m00s without a request, once prometheus#0 is below 0.5: sum(up)",
        "  wakes at a request, or when a trigger is not idle any more, to at least 2",
        "valid: 1, problems: 0",
    ]


def test_a_typo_in_promql_is_named_with_file_line_and_field(elasti: Elasti, typo: Path) -> None:
    said = elasti("check", typo)
    assert said.code == 1
    line = next(number for number, text in enumerate(typo.read_text().splitlines(), 1) if "sum(rate(up[5m])" in text)
    (problem,) = (text for text in said.out.splitlines() if "typo.yaml" in text)
    assert f"{typo}:{line}" in problem
    assert "spec.triggers[0].metadata.query" in problem
    # The one beside it is valid all the same.
    assert said.out.endswith("valid: 1, problems: 1\n")
    assert "Traceback" not in said.err


def test_where_no_prometheus_is_named_our_own_variable_is(elasti: Elasti, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(resource().replace("http://prometheus:9090", ""))
    said = elasti("check", path)
    assert said.code == 1
    assert "set ELASTI_PROMETHEUS_ADDRESS" in said.out
    assert "PROMETHEUS_TRIGGER_SERVER_ADDRESS" not in said.out


def test_the_same_as_json(elasti: Elasti, typo: Path) -> None:
    said = elasti("check", typo, "--json")
    assert (said.code, said.err) == (1, "")
    told = json.loads(said.out)
    assert list(told["services"]) == ["shop/web"]
    assert told["services"]["shop/web"]["answers"] == {}
    (problem,) = told["problems"]
    assert str(typo) in problem["where"]
    assert problem["field"] == "spec.triggers[0].metadata.query"
    assert problem["message"]


def test_what_is_no_yaml_is_said_with_its_line(elasti: Elasti, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("spec: [1, 2\nkind: x: y\n")
    said = elasti("check", path)
    assert said.code == 1
    assert f"{path}:2" in said.out
    assert "Traceback" not in said.err


def test_nothing_to_check_is_not_a_success(elasti: Elasti, tmp_path: Path) -> None:
    said = elasti("check", tmp_path)
    assert said.code == 1
    assert said.out == "there is no ElastiService resource in them\nvalid: 0, problems: 0\n"


def test_a_trigger_that_can_not_be_asked_says_why(elasti: Elasti, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(resource().replace("http://prometheus:9090", "http://127.0.0.1:1"))
    said = elasti("check", path, "--ask")
    assert said.code == 0
    assert "prometheus#0 now: unknown, unreachable" in said.out


def test_the_examples_are_valid(elasti: Elasti) -> None:
    said = elasti("check", EXAMPLES)
    assert said.code == 0
    assert said.out.endswith(", problems: 0\n")
