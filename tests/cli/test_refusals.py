"""What a command refuses, with which exit code, and that no secret is ever part of it."""

import socket
from pathlib import Path

import pytest

from consumer.settings import environment_name, flag_name
from tests.cli.conftest import Elasti

CANARY = "canary-5f0e1c"

TALKS_TO_KAFKA = [
    ("topics", "create"),
    ("topics", "verify"),
    ("send", "request-count", "shop/web"),
    ("send", "host", "shop/web", "--traffic-allowed"),
    ("tail", "results"),
    ("explain", "shop/web"),
    ("diff",),
]


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(
        "apiVersion: elasti.truefoundry.com/v1alpha1\n"
        "kind: ElastiService\n"
        "metadata: {name: web, namespace: shop}\n"
        "spec:\n"
        "  service: web\n"
        "  minTargetReplicas: 1\n"
        "  cooldownPeriod: 900\n"
        "  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n"
        "  triggers:\n"
        "    - {type: prometheus, metadata: {query: up, threshold: '1', serverAddress: 'http://p:9090'}}\n"
    )
    return path


@pytest.mark.parametrize("words", TALKS_TO_KAFKA, ids=" ".join)
def test_without_a_kafka_the_setting_is_named(elasti: Elasti, words: tuple[str, ...]) -> None:
    said = elasti(*words)
    assert (said.code, said.out) == (2, "")
    assert "ELASTI_KAFKA_BOOTSTRAP or --kafka-bootstrap" in said.err


@pytest.mark.parametrize("words", TALKS_TO_KAFKA, ids=" ".join)
def test_a_kafka_that_is_away_is_named_and_no_secret(
    elasti: Elasti, words: tuple[str, ...], nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTI_KAFKA_SASL_PASSWORD", CANARY)
    monkeypatch.setenv("ELASTI_PROMETHEUS_AUTHORIZATION", f"Bearer {CANARY}")
    said = elasti(*words, "--kafka-bootstrap", nobody, "--kafka-sasl-username", "me")
    assert (said.code, said.out) == (3, "")
    assert nobody in said.err
    assert "Traceback" not in said.err
    assert CANARY not in said.err


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [("kafka_bootstrap", "kafka"), ("kafka_security_protocol", "TELNET"), ("kafka_sasl_mechanism", "WINK")],
)
@pytest.mark.parametrize("words", TALKS_TO_KAFKA, ids=" ".join)
def test_a_wrong_setting_is_named_wherever_it_stands(
    elasti: Elasti, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], setting: str, wrong: str
) -> None:
    name = environment_name(setting)
    by_flag = elasti(*words, flag_name(setting), wrong)
    monkeypatch.setenv("ELASTI_KAFKA_SASL_PASSWORD", CANARY)
    monkeypatch.setenv(name, wrong)
    by_environment = elasti(*words)
    for said in (by_flag, by_environment):
        assert (said.code, said.out) == (2, "")
        assert name in said.err
        assert CANARY not in said.err


@pytest.mark.parametrize("words", [*TALKS_TO_KAFKA, ("run",), ("demo",)], ids=" ".join)
def test_a_password_without_its_user_is_asked_for_by_name_only(
    elasti: Elasti, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ELASTI_KAFKA_SASL_PASSWORD", CANARY)
    monkeypatch.setenv("ELASTI_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    said = elasti(*words)
    assert said.code == 2
    assert "ELASTI_KAFKA_SASL_USERNAME" in said.err
    assert CANARY not in said.err + said.out


@pytest.mark.parametrize("words", [("topics", "verify"), ("run",)], ids=" ".join)
def test_no_flag_takes_a_secret(elasti: Elasti, words: tuple[str, ...]) -> None:
    said = elasti(*words, "--kafka-sasl-password", CANARY)
    assert said.code == 2
    assert "No such option" in said.err
    assert CANARY not in said.err + said.out


def test_run_says_everything_that_is_missing(elasti: Elasti) -> None:
    said = elasti("run")
    assert said.code == 2
    for name in ("ELASTI_KAFKA_BOOTSTRAP", "ELASTI_CLUSTER_ACCESS", "ELASTI_POLICIES", "--dev"):
        assert name in said.err


def test_run_without_a_cluster_names_its_setting_alone(elasti: Elasti, nobody: str, policy: Path) -> None:
    said = elasti("run", "--kafka-bootstrap", nobody, "--policies", policy)
    assert said.code == 2
    assert "ELASTI_CLUSTER_ACCESS" in said.err
    assert "ELASTI_KAFKA_BOOTSTRAP" not in said.err


@pytest.mark.parametrize(
    ("access", "says"),
    [(("kubeconfig", "--kubeconfig", "nowhere.yaml"), "nowhere.yaml"), (("in-cluster",), "ELASTI_CLUSTER_ACCESS")],
)
def test_run_says_why_a_cluster_can_not_be_entered(
    elasti: Elasti, nobody: str, policy: Path, access: tuple[str, ...], says: str
) -> None:
    said = elasti(
        "run", "--kafka-bootstrap", nobody, "--policies", policy, "--http-port", 0, "--cluster-access", *access
    )
    assert (said.code, said.out) == (3, "")
    assert says in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nonsense",), "No such command"),
        (("run", "--roles", "cook"), "worker,handler,gateway"),
        (("run", "--roles", ","), "worker,handler,gateway"),
        (("demo", "--for", "60"), "60"),
        (("demo", "--for", "0s"), "above zero"),
        (("demo", "--picture", "screen.png"), ".svg or .txt"),
        (("demo", "--picture", "nowhere/screen.svg"), "nowhere"),
        (("tail", "everything"), "decisions"),
        (("send", "request-count", "web", "--kafka-bootstrap", "k:1"), "web"),
        (("send", "request-count", "shop/web", "--count", "-1"), "--count"),
        (("explain", "web", "--kafka-bootstrap", "k:1"), "web"),
        (("explain", "shop/web", "--at", "yesterday"), "2026-01-31T09:30:00Z"),
        (("check", "nowhere.yaml"), "nowhere.yaml"),
        (("schema", "nosuch.json"), "elasti schema"),
        (("topics", "verify", "--config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(elasti: Elasti, words: tuple[str, ...], says: str) -> None:
    said = elasti(*words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert "Traceback" not in said.err
