"""The metadata of a trigger are read as KubeElasti reads them, and what is wrong is said in full."""

import pytest

from consumer.core.policy import Trigger
from consumer.core.readings import Question, Source
from consumer.scalers.contract import Defaults
from consumer.scalers.metadata import DEFAULT_UPTIME_FILTER, FaultyTriggerError, PrometheusTrigger, read
from tests.scalers.bed import SERVER, asking, trigger

DEFAULTS = Defaults(SERVER, (("Authorization", "Bearer default"),))


def faults(of: Trigger, defaults: Defaults = DEFAULTS) -> dict[str, str]:
    try:
        read(of, defaults)
    except FaultyTriggerError as faulty:
        return dict(faulty.faults)
    return {}


def test_a_whole_trigger_is_read() -> None:
    found = read(asking("sum(load)", "0.5", uptimeFilter='job="prometheus"'), Defaults())
    assert found == PrometheusTrigger(Question(Source(SERVER), "sum(load)"), 0.5, 'job="prometheus"')


def test_server_and_headers_come_from_the_installation_where_the_trigger_has_none() -> None:
    found = read(trigger(query="sum(load)", threshold="1"), DEFAULTS)
    assert found.question.source == Source(SERVER, (("Authorization", "Bearer default"),))
    assert found.uptime_filter == DEFAULT_UPTIME_FILTER


def test_a_header_of_the_trigger_wins_over_the_installations_in_any_case() -> None:
    mine = trigger("prometheus", (("authorization", "Bearer mine"), ("X-Scope", "a")), query="load", threshold="1")
    assert read(mine, DEFAULTS).question.source.headers == (("authorization", "Bearer mine"), ("X-Scope", "a"))


def test_a_password_in_the_address_becomes_a_header_and_is_not_shown() -> None:
    source = read(trigger(query="load", threshold="1", serverAddress="http://me:p%40ss@host:9090/prom/"), Defaults())
    assert source.question.source == Source("http://host:9090/prom", (("Authorization", "Basic bWU6cEBzcw=="),))
    assert "p%40ss" not in repr(source)


@pytest.mark.parametrize("text", ["0", "0.5", "1e-2", "-1", "5E+3", "-0.0"])
def test_a_threshold_is_any_json_number(text: str) -> None:
    assert read(asking("load", text), DEFAULTS).threshold == float(text)


@pytest.mark.parametrize(
    "text", ["", "abc", "NaN", "Inf", "-Infinity", " 0.5", "0.5 ", "1_000", ".5", "+1", "01", "1e999", "٣"]
)
def test_any_other_threshold_is_refused_with_what_to_write(text: str) -> None:
    assert faults(asking("load", text))["metadata.threshold"].endswith('write it like "0.5"')


def test_a_missing_threshold_is_refused_since_the_service_could_never_be_idle() -> None:
    assert "never be idle" in faults(trigger(query="load", serverAddress=SERVER))["metadata.threshold"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "missing"),
        ("  ", "missing"),
        ("sum(load", "line 1, column 4: unclosed left parenthesis"),
        ('"text"', "write one that gives one number"),
        ("load[5m]", "write one that gives one number"),
        ("load\r", "write one that gives one number"),
    ],
)
def test_a_query_that_can_give_no_number_is_refused(query: str, told: str) -> None:
    assert told in faults(asking(query))["metadata.query"]


@pytest.mark.parametrize("query", ["load", "1", "sum(rate(load[5m])) or vector(0)", "load{a=~`\\d`} # note"])
def test_a_query_that_can_give_a_number_is_taken(query: str) -> None:
    assert faults(asking(query)) == {}


@pytest.mark.parametrize(
    "address",
    [
        "prometheus:9090",
        "ftp://host",
        "http:///path",
        "http://host:port",
        "http://host:0",
        "http://[::1",
        "http://h/?q=1",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    told = faults(trigger(query="load", threshold="1", serverAddress=address))
    assert list(told) == ["metadata.serverAddress"]
    assert address not in told["metadata.serverAddress"]


def test_an_address_is_needed_from_somewhere() -> None:
    told = faults(trigger(query="load", threshold="1"), Defaults())
    assert "ELASTI_PROMETHEUS_ADDRESS" in told["metadata.serverAddress"]


@pytest.mark.parametrize("wrong", ["job=", 'job="a"}) or vector(1) or (up{', "a b", 'job="a"}[5m'])
def test_an_uptime_filter_holds_matchers_and_nothing_else(wrong: str) -> None:
    assert "list of label matchers" in faults(asking("load", uptimeFilter=wrong))["metadata.uptimeFilter"]


@pytest.mark.parametrize("right", ['job="a"', 'job=~"a|b", container!="x"', ""])
def test_an_uptime_filter_of_matchers_is_taken(right: str) -> None:
    assert faults(asking("load", uptimeFilter=right)) == {}


@pytest.mark.parametrize(("name", "value"), [("bad name", "x"), ("", "x"), ("X-Token", "secret\nvalue")])
def test_a_header_that_can_not_be_sent_is_refused_without_its_value(name: str, value: str) -> None:
    told = faults(trigger("prometheus", ((name, value),), query="load", threshold="1"))
    assert list(told) == ["metadata.headers"]
    assert "secret" not in told["metadata.headers"]


def test_every_fault_is_told_at_once() -> None:
    told = faults(trigger(query="sum(", threshold="abc", uptimeFilter="x y"), Defaults())
    assert list(told) == ["metadata.serverAddress", "metadata.query", "metadata.threshold", "metadata.uptimeFilter"]
