"""Whatever stands in the environment or in a file of settings is settings, or one error that names each fault."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.settings import Settings, SettingsError, environment_name, load

NAMES = [environment_name(name) for name in Settings.model_fields if name not in ("config", "notices")]
KUBEELASTI = ["PROMETHEUS_TRIGGER_SERVER_ADDRESS", "WATCH_NAMESPACES", "ELASTI_OPERATOR_PORT", "POLLING_INTERVAL"]
_plain = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_odd = ("0", "-1", "1e999", "nan", "9" * 400, "true", "[]", "{}", "null", "30s", "-5m", "9999999h", ",", " , ", ":9092")
_texts = st.sampled_from((*_odd, "a:0,b:99999", "http://[::1", "ftp://x", "*", "\n", "٣", "SSL", "x" * 10_000))
values = _texts | st.text(_plain, max_size=12)


@given(st.dictionaries(st.sampled_from(NAMES + KUBEELASTI), values, max_size=4))
def test_any_environment_is_settings_or_one_error(environment: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        _loaded()


_lines = ("kafka:\n", "  bootstrap: ", "kafka_bootstrap: ", "partitions: ", "config: ", "&a ", "*a", "- ", "\n")
_nested = ("[" * 500, "a = " + "[" * 500, "{a: " * 500)
_files = st.one_of(
    st.lists(st.sampled_from(_lines) | values, max_size=12).map("".join),
    st.sampled_from((*_nested, "\x00", "\ufeff", "a: !!python/object:x {}", "[]", "1")),
)


@given(_files, st.sampled_from((".yaml", ".toml")))
def test_any_file_is_settings_or_one_error(text: str, kind: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_given, **_named: text)
        patch.setenv("ELASTI_CONFIG", f"/somewhere/elasti{kind}")
        _loaded()


def _loaded() -> None:
    try:
        settings = load()
    except SettingsError as error:
        told = str(error)
    else:
        told = "".join(f"{name} {text}" for name, text in settings.describe().items())
    assert told
