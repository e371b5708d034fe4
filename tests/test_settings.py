"""Settings: where they come from, which source wins, and what is said when they can not be used."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.core.service import Mode
from consumer.settings import (
    DEFAULT_POLLING_INTERVAL,
    INVALID_INTERVAL,
    NEGATIVE_INTERVAL,
    ClusterAccess,
    Role,
    Settings,
    SettingsError,
    environment_name,
    flag_name,
    is_secret,
    load,
    polling_interval,
)

SECRET = "hunter2-very-secret"  # noqa: S105 - a secret to look for where it must not be
SetEnv = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    """Give each test an environment without settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    for name in ("POLLING_INTERVAL", "WATCH_NAMESPACES", "ELASTI_OPERATOR_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    return monkeypatch.setenv


def config_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    tmp_path: Path, set_env: SetEnv
) -> None:
    path = config_file(tmp_path, "elasti.toml", 'http_port = 1\npartitions = 24\ncluster = "file"\n')
    set_env("ELASTI_CONFIG", str(path))
    set_env("ELASTI_HTTP_PORT", "2")
    set_env("ELASTI_CLUSTER", "environment")
    settings = load({"cluster": "flag", "partitions": None})
    assert (settings.cluster, settings.http_port, settings.partitions) == ("flag", 2, 24)
    assert settings.prometheus_concurrency == 8


def test_a_flag_names_the_file_and_the_file_may_have_sections(tmp_path: Path) -> None:
    text = "kafka:\n  bootstrap: a:9092, b:9092\n  session-timeout: 7s\npolicies: [one, two]\nmode: observe\n"
    settings = load({"config": config_file(tmp_path, "elasti.yaml", text)})
    assert settings.kafka_bootstrap == ("a:9092", "b:9092")
    assert settings.kafka_session_timeout == timedelta(seconds=7)
    assert settings.policies == (Path("one"), Path("two"))
    assert settings.mode is Mode.OBSERVE


def test_kubeelastis_variables_are_understood_and_ours_win_over_them(set_env: SetEnv) -> None:
    set_env("PROMETHEUS_TRIGGER_SERVER_ADDRESS", "http://prometheus:9090")
    set_env("PROMETHEUS_TRIGGER_AUTHORIZATION_HEADER", f"Bearer {SECRET}")
    set_env("WATCH_NAMESPACES", " shop, ,till ")
    set_env("ELASTI_OPERATOR_PORT", "8014")
    set_env("ELASTI_OPERATOR_NAMESPACE", "scaling")
    set_env("POLLING_INTERVAL", "15s")
    settings = load()
    assert settings.prometheus_address == "http://prometheus:9090"
    assert settings.prometheus_authorization is not None
    assert settings.prometheus_authorization.get_secret_value() == f"Bearer {SECRET}"
    assert settings.watch_namespaces == ("shop", "till")
    assert settings.http_port == 8014
    assert settings.polling_interval == timedelta(seconds=15)
    set_env("ELASTI_POLLING_INTERVAL", "20s")
    set_env("ELASTI_HTTP_PORT", "8015")
    assert load().polling_interval == timedelta(seconds=20)
    assert load().http_port == 8015


@pytest.mark.parametrize(
    ("text", "interval", "warning"),
    [
        ("", 30, None),
        ("10s", 10, None),
        ("30s", 30, None),
        ("1m", 60, None),
        ("2m30s", 150, None),
        ("1s", 1, None),
        ("5m", 300, None),
        ("10m", 600, None),
        ("invalid", 30, INVALID_INTERVAL),
        ("30", 30, INVALID_INTERVAL),
        ("abc", 30, INVALID_INTERVAL),
        ("   ", 30, INVALID_INTERVAL),
        ("-10s", 30, NEGATIVE_INTERVAL),
        ("0s", 30, NEGATIVE_INTERVAL),
    ],
)
def test_polling_interval_is_read_as_kubeelasti_does(
    text: str, interval: int, warning: str | None, set_env: SetEnv
) -> None:
    assert polling_interval(text) == (timedelta(seconds=interval), warning)
    set_env("POLLING_INTERVAL", text)
    settings = load()
    assert settings.polling_interval == timedelta(seconds=interval)
    assert settings.notices == ((warning,) if warning else ())


def test_a_similar_name_is_not_the_polling_interval(set_env: SetEnv) -> None:
    set_env("POLLING_VARIABLE", "15s")
    assert load().polling_interval == DEFAULT_POLLING_INTERVAL


def test_the_warnings_are_kubeelastis_own() -> None:
    assert INVALID_INTERVAL == "Invalid POLLING_INTERVAL value, using default 30s"
    assert NEGATIVE_INTERVAL == "POLLING_INTERVAL must be positive, using default 30s"


def test_an_overridden_polling_interval_warns_of_nothing(set_env: SetEnv) -> None:
    set_env("POLLING_INTERVAL", "rubbish")
    assert load({"polling_interval": "5s"}).notices == ()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"kafka_bootstrap": "kafka:99999"}, ("ELASTI_KAFKA_BOOTSTRAP", '"kafka:99999"', "host:port")),
        ({"handler_url": "elasti-handler:8013"}, ("ELASTI_HANDLER_URL", '"elasti-handler:8013"', "http://")),
        ({"handler_url": "http://:8013"}, ("ELASTI_HANDLER_URL", "http://elasti-handler")),
        ({"handler_url": "http://handler:99999"}, ("ELASTI_HANDLER_URL", "http://elasti-handler")),
        ({"kafka_bootstrap": "kafka:0"}, ("ELASTI_KAFKA_BOOTSTRAP", '"kafka:0"', "host:port")),
        ({"topic_prefix": "shop/ "}, ("ELASTI_TOPIC_PREFIX", '"shop/ "', "letters, digits")),
        ({"kafka_bootstrap": "kafka"}, ("ELASTI_KAFKA_BOOTSTRAP (--kafka-bootstrap)", '"kafka"', "host:port")),
        ({"http_port": "70000"}, ("ELASTI_HTTP_PORT (--http-port)", "70000", "65535")),
        ({"polling_interval": "5"}, ("ELASTI_POLLING_INTERVAL", "number with a unit")),
        ({"polling_interval": "-5s"}, ("ELASTI_POLLING_INTERVAL", "above zero")),
        ({"tenants": "shop,Shop"}, ("ELASTI_TENANTS (--tenants)", '"Shop"', "as kubectl shows them")),
        ({"tenants": "a" * 64}, ("ELASTI_TENANTS", "is no namespace")),
        ({"mode": "half"}, ("ELASTI_MODE (--mode)", "'full', 'wake-only' or 'observe'", '"half"')),
        ({"partitons": 3}, ("partitons", "no such setting")),
        ({"kafka_security_protocol": "SASL_SSL"}, ("SASL_SSL", "ELASTI_KAFKA_SASL_USERNAME", "ELASTI_KAFKA_SASL_PASS")),
        ({"http_tls_cert": "a.pem"}, ("ELASTI_HTTP_TLS_CERT", "ELASTI_HTTP_TLS_KEY", "needs its key")),
        ({"http_token": "short"}, ("ELASTI_HTTP_TOKEN", "at least 8")),
        ({"kafka_tls_cert": "a.pem"}, ("ELASTI_KAFKA_TLS_CERT", "ELASTI_KAFKA_TLS_KEY", "needs its key")),
        ({"kafka_tls_key": "a.pem"}, ("ELASTI_KAFKA_TLS_CERT", "ELASTI_KAFKA_TLS_KEY")),
        ({"config": "/nowhere/elasti.toml"}, ("/nowhere/elasti.toml", "can not be read")),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_settings_name(
    flags: dict[str, object], said: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags)
    assert [part for part in said if part not in str(refused.value)] == []


def test_tenants_have_one_order_whoever_wrote_them_in_which() -> None:
    assert load({"tenants": "shop, bank,shop"}).tenants == load({"tenants": "bank,shop"}).tenants == ("bank", "shop")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"http_port": "x", "partitions": 0, "mode": "y"})
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "x = = 1", "a.toml"),
        ("a.yaml", "x: [", "a.yaml"),
        ("b.yaml", "- a list", "must hold settings by name"),
        ("c.yaml", "colour: red", "colour: there is no such setting"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load({"config": str(config_file(tmp_path, name, text))})


def test_a_sasl_connection_with_user_and_password_is_complete() -> None:
    flags = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "me", "kafka_sasl_password": SECRET}
    settings = load({**flags, "kafka_tls_cert": "a.pem", "kafka_tls_key": "b.pem"})
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == SECRET


def test_run_names_every_missing_setting_by_variable_and_flag() -> None:
    kafka, cluster, policies = load().missing_for_run()
    assert "ELASTI_KAFKA_BOOTSTRAP or --kafka-bootstrap" in kafka
    assert "ELASTI_CLUSTER_ACCESS or --cluster-access" in cluster
    assert "ELASTI_POLICIES or --policies" in policies


@pytest.mark.parametrize(
    ("roles", "flags", "missing"),
    [
        ({Role.GATEWAY}, {"kafka_bootstrap": "k:1"}, 0),
        ({Role.WORKER}, {"kafka_bootstrap": "k:1"}, 1),
        ({Role.WORKER}, {"kafka_bootstrap": "k:1", "policies": "p"}, 0),
        ({Role.HANDLER}, {"kafka_bootstrap": "k:1", "policies": "p"}, 1),
        ({Role.HANDLER}, {"kafka_bootstrap": "k:1", "cluster_access": "simulated"}, 1),
        ({Role.HANDLER}, {"kafka_bootstrap": "k:1", "cluster_access": "in-cluster"}, 0),
        (set(Role), {"kafka_bootstrap": "k:1", "cluster_access": "kubeconfig"}, 0),
    ],
)
def test_each_role_needs_what_it_uses(roles: set[Role], flags: dict[str, object], missing: int) -> None:
    assert len(load(flags).missing_for_run(roles)) == missing


def test_secrets_are_never_shown() -> None:
    settings = load(
        {
            "kafka_sasl_password": SECRET,
            "prometheus_authorization": f"Bearer {SECRET}",
            "prometheus_address": f"http://user:{SECRET}@prometheus:9090",
            "cluster_access": ClusterAccess.SIMULATED,
            "policies": "a,b",
        }
    )
    shown = settings.describe()
    assert SECRET not in str(shown)
    assert shown["prometheus_address"] == "http://********@prometheus:9090"
    assert shown["kafka_sasl_password"] == "********"  # noqa: S105 - the mask
    assert (shown["policies"], shown["polling_interval"], shown["kafka_tls_ca"]) == ("a,b", "30s", "")


def test_a_secret_of_the_wrong_type_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"kafka_sasl_password": [SECRET]})
    assert SECRET not in str(refused.value)
    assert "ELASTI_KAFKA_SASL_PASSWORD" in str(refused.value)
    assert "--kafka" not in str(refused.value)


def test_the_documentation_lists_every_setting_as_it_is() -> None:
    text = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `ELASTI_") and line.count("|") == 5]
    defaults = load().describe()
    assert rows == [
        f"| `{environment_name(name)}` | {'–' if is_secret(name) else f'`{flag_name(name)}`'} "
        f"| {f'`{defaults[name]}`' if defaults[name] else '–'} | {Settings.model_fields[name].description} |"
        for name in defaults
    ]
