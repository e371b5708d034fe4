"""Telemetry: the scrape is what Prometheus can read, the documentation is complete, and log lines keep secrets."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from consumer.core.outcome import Action
from consumer.core.reasons import Code
from consumer.core.service import Direction, Phase, ServiceKey, TargetRef
from consumer.telemetry import (
    MAX_SERVICES,
    METRICS,
    OTHER,
    DeadLetterCause,
    Intake,
    Presence,
    RequestResult,
    Telemetry,
    TransactionResult,
    WakeStage,
    configure_logging,
)
from schemas.topics import Topic

Sample = tuple[str, frozenset[tuple[str, str]]]
WEB = ServiceKey("shop", "web")
TARGET = TargetRef("apps/v1", "Deployment", "web")
SECOND = timedelta(seconds=1)


def scraped(telemetry: Telemetry) -> dict[Sample, float]:
    """Read the scrape with another library's parser; the label that all samples have is checked and taken off."""
    content, headers = telemetry.render(["text/plain"])
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for family in text_string_to_metric_families(content.decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("cluster") == "test"
            samples[(sample.name, frozenset(labels.items()))] = float(sample.value)
    return samples


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return scraped(telemetry).get((name, frozenset(labels.items())))


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("test", "1.2.3")


def everything(telemetry: Telemetry) -> None:
    """Use every method once."""
    telemetry.lag("elasti.hosts", 3, 17)
    telemetry.requests(5)
    telemetry.evaluated(SECOND)
    telemetry.decided(Action.ZERO, Code.IDLE)
    telemetry.sent(Direction.UP, 2)
    telemetry.answered(Direction.UP, Phase.ACCEPTED, SECOND)
    telemetry.observed(Phase.OBSERVED)
    telemetry.became_ready(SECOND)
    telemetry.called("ok", SECOND)
    telemetry.dead_lettered()
    telemetry.unpublished()
    telemetry.wrote("event", "ok")
    telemetry.scaled(WEB, TARGET)
    telemetry.path(WEB, resolver=True)
    telemetry.woke(WakeStage.TOTAL, SECOND)
    telemetry.prometheus(RequestResult.TIMEOUT)
    telemetry.dead_letter(Topic.HOSTS, DeadLetterCause.TOO_LARGE, 3)
    telemetry.forwarded(Topic.HOSTS)
    telemetry.transaction(TransactionResult.COMMITTED, SECOND)
    telemetry.services({Presence.ASLEEP: 4})
    telemetry.policies(valid=2, invalid=1)
    telemetry.intake(Intake.LOGGED)


def test_every_metric_is_fed_and_readable(telemetry: Telemetry) -> None:
    everything(telemetry)
    content = telemetry.render()[0].decode()
    kinds = {family.name: family for family in text_string_to_metric_families(content)}
    for metric in METRICS:
        family = kinds[metric.name.removesuffix("_total")]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert family.samples, f"{metric.name} has no sample"
        labels = {name for sample in family.samples for name in sample.labels}
        assert labels - {"le"} == {*metric.labels, "cluster"}


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("elasti_build_info", {"version": "1.2.3"}, 1),
        ("elasti_consumer_lag", {"topic": "elasti.hosts", "partition": "3"}, 17),
        ("elasti_requests_total", {}, 5),
        ("elasti_evaluation_seconds_count", {}, 1),
        ("elasti_decisions_total", {"action": "zero", "reason": "idle"}, 1),
        ("elasti_commands_sent_total", {"direction": "up"}, 2),
        ("elasti_commands_total", {"direction": "up", "result": "accepted"}, 1),
        ("elasti_wake_seconds_sum", {"stage": "answered"}, 1),
        ("elasti_wake_seconds_bucket", {"stage": "ready", "le": "0.5"}, 0),
        ("elasti_wake_seconds_bucket", {"stage": "ready", "le": "1.0"}, 1),
        ("elasti_observations_total", {"phase": "observed"}, 1),
        ("elasti_cluster_calls_total", {"result": "ok"}, 1),
        ("elasti_results_unpublished_total", {}, 1),
        ("elasti_prometheus_requests_total", {"result": "timeout"}, 1),
        ("elasti_dead_letters_total", {"topic": "hosts", "cause": "too-large"}, 3),
        ("elasti_dead_letters_total", {"topic": "scale-commands", "cause": "undecodable"}, 1),
        ("elasti_forwards_total", {"topic": "hosts"}, 1),
        ("elasti_transactions_total", {"result": "committed"}, 1),
        ("elasti_services", {"status": "asleep"}, 4),
        ("elasti_services", {"status": "awake"}, 0),
        ("elasti_policies", {"status": "invalid"}, 1),
        ("elasti_gateway_requests_total", {"result": "logged"}, 1),
        ("elasti_operator_mode", {"crd_name": "shop/web"}, 1),
    ],
)
def test_each_method_feeds_its_metric(telemetry: Telemetry, name: str, labels: dict[str, str], expected: float) -> None:
    everything(telemetry)
    assert value(telemetry, name, **labels) == expected


def test_kubeelastis_counter_has_kubeelastis_name_and_labels(telemetry: Telemetry) -> None:
    telemetry.scaled(WEB, TARGET)
    content = telemetry.render()[0].decode()
    # The parser adds `_total` to counters; KubeElasti's dashboards ask for the name without.
    assert "\nelasti_operator_scale_counter{" in content
    labels = {"service_name": "web", "namespace": "shop", "target": "Deployment-web", "error": "success"}
    assert value(telemetry, "elasti_operator_scale_counter_total", **labels) == 1


def test_only_so_many_services_have_series_of_their_own(telemetry: Telemetry) -> None:
    for number in range(MAX_SERVICES + 2):
        telemetry.scaled(ServiceKey("shop", f"web-{number}"), TARGET)
    telemetry.path(ServiceKey("shop", "late"), resolver=True)
    series = [labels for name, labels in scraped(telemetry) if name == "elasti_operator_scale_counter_total"]
    assert len(series) == MAX_SERVICES + 1
    others = {"service_name": OTHER, "namespace": OTHER, "target": OTHER, "error": "success"}
    assert value(telemetry, "elasti_operator_scale_counter_total", **others) == 2
    assert value(telemetry, "elasti_operator_mode", crd_name="shop/late") is None


def test_what_is_gone_is_not_shown_any_more(telemetry: Telemetry) -> None:
    telemetry.lag("elasti.hosts", 3, 17)
    telemetry.path(WEB, resolver=False)
    assert value(telemetry, "elasti_operator_mode", crd_name="shop/web") == 0
    telemetry.lag_gone("elasti.hosts", 3)
    telemetry.lag_gone("elasti.hosts", 4)
    telemetry.service_gone(WEB)
    assert value(telemetry, "elasti_consumer_lag", topic="elasti.hosts", partition="3") is None
    assert value(telemetry, "elasti_operator_mode", crd_name="shop/web") is None


def test_an_accepted_sleep_is_no_wake_latency(telemetry: Telemetry) -> None:
    telemetry.answered(Direction.ZERO, Phase.ACCEPTED, SECOND)
    telemetry.answered(Direction.UP, Phase.UNCHANGED, SECOND)
    assert value(telemetry, "elasti_wake_seconds_count", stage="answered") is None


def test_a_negative_duration_counts_as_none_at_all(telemetry: Telemetry) -> None:
    telemetry.woke(WakeStage.CONSUMED, -SECOND)
    assert value(telemetry, "elasti_wake_seconds_sum", stage="consumed") == 0


@pytest.mark.parametrize("cluster", ['prod "eu"', "two\nlines", "back\\slash", 'all\\"\n'])
def test_any_cluster_name_gives_a_readable_scrape(cluster: str) -> None:
    content = Telemetry(cluster, "1").render()[0].decode()
    samples = [sample for family in text_string_to_metric_families(content) for sample in family.samples]
    assert {sample.labels["cluster"] for sample in samples} == {cluster}


def code(label: str) -> str:
    return f"`{label}`"


def test_the_documentation_lists_every_metric_as_it_is() -> None:
    text = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `elasti_")]
    assert rows == [
        f"| `{metric.name}` | {metric.kind} | {', '.join(map(code, metric.labels)) or '–'} | {metric.help} |"
        for metric in METRICS
    ]


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Give what came out on standard error, and leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def failing(message: str) -> None:
    raise ValueError(message)


def test_json_lines_carry_event_fields_level_logger_and_time(logged: Callable[[], str]) -> None:
    configure_logging("json", "info")
    structlog.get_logger("consumer.worker").info("decided", service="shop/web")
    structlog.get_logger("consumer.worker").debug("too small to be told")
    (line,) = lines(logged())
    assert (line["event"], line["service"], line["level"], line["logger"]) == (
        "decided",
        "shop/web",
        "info",
        "consumer.worker",
    )
    assert str(line["timestamp"]).endswith("Z")


def test_secrets_do_not_get_into_the_log(logged: Callable[[], str]) -> None:
    configure_logging("json", "debug")
    log = structlog.get_logger("test")
    url = "http://me:hunter2hunter2@prometheus:9090/"
    log.info("connecting", sasl_password="hunter2hunter2", url=url, nothing=None)  # noqa: S106
    log.info("calling", header="Bearer hunter2hunter2", api_key="")
    logging.getLogger("library").warning("refused %s", "https://me:hunter2hunter2@host")
    try:
        failing("Authorization: Basic hunter2hunter2")
    except ValueError:
        log.exception("failed")
    text = logged()
    assert "hunter2" not in text
    first, second, third, fourth = lines(text)
    assert (first["sasl_password"], first["url"]) == ("********", "http://********@prometheus:9090/")
    assert (second["header"], second["api_key"]) == ("Bearer ********", "")
    assert third["event"] == "refused https://********@host"
    assert "ValueError" in str(fourth["exception"])


def test_a_library_is_heard_only_when_it_complains(logged: Callable[[], str]) -> None:
    configure_logging("json", "info")
    logging.getLogger("watchfiles.main").info("chatter")
    logging.getLogger("watchfiles.main").warning("complaint")
    assert [line["event"] for line in lines(logged())] == ["complaint"]


@pytest.mark.parametrize(("level", "heard"), [("info", []), ("debug", ["coordinator dead"])])
def test_kafkas_client_is_heard_only_by_who_debugs(logged: Callable[[], str], level: str, heard: list[str]) -> None:
    configure_logging("json", level)
    logging.getLogger("aiokafka.consumer").error("coordinator dead")
    assert [line["event"] for line in lines(logged())] == heard


def test_auto_is_for_machines_when_nobody_looks(logged: Callable[[], str]) -> None:
    configure_logging("auto", "info")
    structlog.get_logger("test").info("hello", service="shop/web")
    assert lines(logged())[0]["service"] == "shop/web"


@pytest.mark.usefixtures("logged")
def test_auto_is_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging("auto", "info")
    structlog.get_logger("test").info("hello", service="shop/web")
    assert "hello" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_console_lines_show_exceptions_and_no_secrets(logged: Callable[[], str]) -> None:
    configure_logging("console", "warning")
    password = "hunter2hunter2"  # noqa: S105
    try:
        failing("oops")
    except ValueError:
        structlog.get_logger("test").exception("failed", token=password)
    text = logged()
    assert "oops" in text
    assert "hunter2" not in text
