"""All settings: their names, defaults and sources; the only module that reads the environment."""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from consumer.core.readings import CREDENTIALS_IN_URL
from consumer.core.reasons import span
from consumer.core.schedule import parse_go_duration
from consumer.core.service import Mode
from schemas.message import LABEL_PATTERN, MAX_LABEL
from schemas.topics import DEFAULT_PREFIX

ENV_PREFIX = "ELASTI_"
DEFAULT_POLLING_INTERVAL = timedelta(seconds=30)
DEFAULT_HTTP_PORT = 8013
"""Where KubeElasti's resolvers expect the operator."""

INVALID_INTERVAL = "Invalid POLLING_INTERVAL value, using default 30s"
NEGATIVE_INTERVAL = "POLLING_INTERVAL must be positive, using default 30s"

_MASK = "********"
_MAX_PORT = 65535

_KUBEELASTI = {
    "PROMETHEUS_TRIGGER_SERVER_ADDRESS": "prometheus_address",
    "PROMETHEUS_TRIGGER_AUTHORIZATION_HEADER": "prometheus_authorization",
    "WATCH_NAMESPACES": "watch_namespaces",
    "ELASTI_OPERATOR_PORT": "http_port",
}
"""KubeElasti's variables and the settings they fill; `POLLING_INTERVAL` has rules of its own."""


class SettingsError(ValueError):
    """The settings can not be used; one line for each, naming the setting and what to write."""


class Role(StrEnum):
    """A part of the system that one process can run."""

    WORKER = "worker"
    HANDLER = "handler"
    GATEWAY = "gateway"


ALL_ROLES = frozenset(Role)


class ClusterAccess(StrEnum):
    """Which Kubernetes cluster is scaled, and how it is reached."""

    IN_CLUSTER = "in-cluster"
    KUBECONFIG = "kubeconfig"
    SIMULATED = "simulated"


def _duration(value: object) -> object:
    return parse_go_duration(value) if isinstance(value, str) else value


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part for part in (part.strip() for part in value.split(",")) if part)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        msg = 'must be above zero; write a Go duration like "30s"'
        raise ValueError(msg)
    return value


def _is_port(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) <= _MAX_PORT


def _brokers(value: tuple[str, ...]) -> tuple[str, ...]:
    for broker in value:
        host, _, port = broker.rpartition(":")
        if not (host and _is_port(port)):
            msg = f'"{broker}" is not a broker; write host:port, like kafka-1:9092'
            raise ValueError(msg)
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        msg = f'"{value}" is not an address; write one like http://elasti-handler.elasti:8013'
        raise ValueError(msg)
    return value


def _prefix(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{0,200}", value):
        msg = f'"{value}" can not begin the name of a topic; write letters, digits, ".", "_" and "-", like elasti.'
        raise ValueError(msg)
    return value


def _tenants(value: tuple[str, ...]) -> tuple[str, ...]:
    for namespace in value:
        if len(namespace) > MAX_LABEL or not re.match(LABEL_PATTERN, namespace):
            msg = f'"{namespace}" is no namespace; write names as kubectl shows them, like shop,bank'
            raise ValueError(msg)
    # In one order, whoever wrote them in which: the name of the workers' group hangs on it.
    return tuple(sorted(set(value)))


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
Brokers = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_brokers)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Url = Annotated[str, AfterValidator(_url)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Tenants = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_tenants)]
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]
Port = Annotated[int, Field(ge=0, le=_MAX_PORT)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Settings(BaseSettings):
    """Every setting once: flags win over `ELASTI_…` variables, these over the file, the file over the defaults.

    KubeElasti's own variables come right after ours. Lengths of time are Go durations (`30s`, `1h30m`).
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    config: Path | None = Field(None, description="file with settings, TOML or YAML")
    notices: tuple[str, ...] = Field((), exclude=True, description="what was read but not taken; not to be set")

    kafka_bootstrap: Brokers = Field((), description="brokers, as host:port, separated by commas")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how the user proves itself, with a SASL protocol"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_tls_ca: Path | None = Field(None, description="CA certificates, PEM (absent: the system's)")
    kafka_tls_cert: Path | None = Field(None, description="client certificate, PEM")
    kafka_tls_key: Path | None = Field(None, description="key of the client certificate, PEM")
    kafka_session_timeout: Duration = Field(
        timedelta(seconds=6), description="after this silence a member's partitions pass on"
    )
    kafka_transaction_timeout: Duration = Field(
        timedelta(seconds=10), description="after this the broker aborts a transaction that a dead worker left open"
    )
    topic_prefix: Prefix = Field(DEFAULT_PREFIX, description="in front of every topic's name")
    partitions: int = Field(12, ge=1, description="partitions of every keyed topic, when topics are created")
    replication_factor: int = Field(
        -1, ge=-1, description="copies of every partition, when topics are created (-1: the broker's default)"
    )
    tenants: Tenants = Field((), description="namespaces whose requests have a topic of their own, by commas")
    worker_group: Text = Field("worker", description="consumer group of the workers, behind the prefix")
    handler_group: Text = Field("handler", description="consumer group of the handlers, behind the prefix")

    cluster: Text = Field("default", description="name of the Kubernetes cluster in outputs and metrics")
    cluster_access: ClusterAccess | None = Field(None, description="which cluster is scaled, and how it is reached")
    kubeconfig: Path | None = Field(None, description="kubeconfig file (absent: where kubectl looks)")
    kube_context: str | None = Field(None, description="context of the kubeconfig (absent: its current one)")
    namespace: Text = Field("elasti", description="namespace that this installation runs in")
    handler_url: Url | None = Field(None, description="where gateways without a handler ask for a direct wake")
    beside_kubeelasti: bool = Field(default=False, description="KubeElasti's operator runs beside us")
    watch_namespaces: Names = Field((), description="only these namespaces, separated by commas (empty: all)")
    policies: Paths = Field((), description="files or directories with ElastiService resources, by commas")
    mode: Mode = Field(Mode.FULL, description="how much is carried out")

    polling_interval: Duration = Field(DEFAULT_POLLING_INTERVAL, description="one evaluation of every service per")
    max_request_age: Duration = Field(timedelta(minutes=10), description="an older request does not wake")
    prometheus_address: str | None = Field(None, description="server of triggers that name none")
    prometheus_authorization: SecretStr | None = Field(None, description="Authorization header for that server")
    prometheus_concurrency: int = Field(8, ge=1, description="requests to one server at a time")
    prometheus_deadline: Duration = Field(timedelta(seconds=5), description="longest wait for one request")

    handler_parallelism: int = Field(64, ge=1, description="targets that are scaled at a time")
    http_host: str = Field("0.0.0.0", description="address of the HTTP server")  # noqa: S104 - resolvers call from other pods
    http_port: Port = Field(DEFAULT_HTTP_PORT, description="port of the HTTP server (0: any free one)")
    http_token: SecretStr | None = Field(
        None, min_length=8, description="bearer token that callers of the HTTP server must show"
    )
    http_tls_cert: Path | None = Field(None, description="certificate of the HTTP server, PEM (absent: no TLS)")
    http_tls_key: Path | None = Field(None, description="key of that certificate, PEM")
    log_format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least important to be logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first."""
        return init_settings, env_settings, _KubeElastiEnv(settings_cls), _ConfigFile(settings_cls)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sasl = self.kafka_security_protocol.startswith("SASL_")
        if sasl and (self.kafka_sasl_username is None or self.kafka_sasl_password is None):
            why = f"{self.kafka_security_protocol} needs a user and a password"
            raise ValueError(_both("kafka_sasl_username", "kafka_sasl_password", why))
        if (self.kafka_tls_key is None) != (self.kafka_tls_cert is None):
            raise ValueError(_both("kafka_tls_cert", "kafka_tls_key", "a client certificate needs its key"))
        if (self.http_tls_key is None) != (self.http_tls_cert is None):
            raise ValueError(_both("http_tls_cert", "http_tls_key", "the certificate of the HTTP server needs its key"))
        return self

    def missing_for_run(self, roles: Collection[Role] = ALL_ROLES) -> tuple[str, ...]:
        """Say, one sentence each, what `run` can not do without in these roles; empty when nothing is missing."""
        missing = []
        if not self.kafka_bootstrap:
            missing.append(_missing("kafka_bootstrap", "no Kafka to run on", "kafka-1:9092,kafka-2:9092"))
        if Role.HANDLER in roles and self.cluster_access is None:
            choices = " or ".join(access.value for access in ClusterAccess)
            missing.append(_missing("cluster_access", "no cluster to scale", choices))
        from_cluster = self.cluster_access in (ClusterAccess.IN_CLUSTER, ClusterAccess.KUBECONFIG)
        if not (self.policies or from_cluster) and not {Role.WORKER, Role.HANDLER}.isdisjoint(roles):
            missing.append(_missing("policies", "no policies to follow", "/etc/elasti/policies"))
        return tuple(missing)

    def describe(self) -> Mapping[str, str]:
        """Return every setting as text that can be shown to anyone: secrets are masked."""
        return {name: _shown(getattr(self, name)) for name in type(self).model_fields if name != "notices"}


def load(flags: Mapping[str, object] | None = None) -> Settings:
    """Read all sources; flags that are None were not given. Raises SettingsError with a line per fault."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # what flags hold is checked like any source
    except ValidationError as error:
        raise SettingsError("\n".join(_fault(fault) for fault in error.errors())) from None


def environment_name(setting: str) -> str:
    """Return the variable that sets it."""
    return f"{ENV_PREFIX}{setting.upper()}"


def flag_name(setting: str) -> str:
    """Return the flag that sets it."""
    return f"--{setting.replace('_', '-')}"


def is_secret(setting: str) -> bool:
    """Tell whether a setting is never shown, and never a flag: the list of processes shows everybody's flags."""
    return SecretStr in (annotation := Settings.model_fields[setting].annotation, *get_args(annotation))


def polling_interval(text: str) -> tuple[timedelta, str | None]:
    """Read `POLLING_INTERVAL` as KubeElasti does: what can not be used gives the default, and its warning."""
    if not text:
        return DEFAULT_POLLING_INTERVAL, None
    try:
        interval = parse_go_duration(text)
    except ValueError:
        return DEFAULT_POLLING_INTERVAL, INVALID_INTERVAL
    if interval <= timedelta():
        return DEFAULT_POLLING_INTERVAL, NEGATIVE_INTERVAL
    return interval, None


class _KubeElastiEnv(PydanticBaseSettingsSource):
    """The variables that KubeElasti's chart sets, so that its deployments go on as they are."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:  # noqa: ARG002
        """Fields are not asked for one by one."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        found: dict[str, object] = {name: os.environ[key] for key, name in _KUBEELASTI.items() if os.environ.get(key)}
        text = os.environ.get("POLLING_INTERVAL", "")
        if text and "polling_interval" not in self.current_state:
            found["polling_interval"], warning = polling_interval(text)
            found |= {"notices": (warning,)} if warning else {}
        return found


class _ConfigFile(PydanticBaseSettingsSource):
    """The settings file that the sources before it name; sections are joined, `kafka.bootstrap` = `kafka_bootstrap`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:  # noqa: ARG002
        """Fields are not asked for one by one."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        named = self.current_state.get("config")
        return _flat(_read(Path(str(named)))) if named else {}


def _read(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: can not be read ({error}); name a TOML or YAML file") from error
    try:
        content: object = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f'{path}: must hold settings by name; write lines like `kafka_bootstrap: "kafka:9092"`')
    return content


def _flat(content: Mapping[str, object], section: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in content.items():
        name = section + str(key).replace("-", "_")
        flat |= _flat(value, f"{name}_") if isinstance(value, dict) else {name: value}
    return flat


def _names(setting: str) -> str:
    return environment_name(setting) if is_secret(setting) else f"{environment_name(setting)} ({flag_name(setting)})"


def _both(one: str, other: str, why: str) -> str:
    return f"{why}; set {_names(one)} and {environment_name(other)}"


def _missing(setting: str, what: str, example: str) -> str:
    return f"{what}: set {environment_name(setting)} or {flag_name(setting)}, for example to {example}"


def _fault(fault: ErrorDetails) -> str:
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return text
    name = str(fault["loc"][0])
    if name not in Settings.model_fields:
        return f"{name}: there is no such setting; `elasti run --help` lists them"
    if fault["type"] != "value_error" and not is_secret(name):
        text = f'{text.replace("Input should be", "must be")}, got "{fault["input"]}"'
    return f"{_names(name)}: {text}"


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return _MASK
        case timedelta():
            return span(value)
        case tuple():
            return ",".join(_shown(part) for part in value)
        case _:
            return CREDENTIALS_IN_URL.sub(_MASK, str(value))
