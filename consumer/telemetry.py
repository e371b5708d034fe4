"""What the system tells of itself: the names of all metrics, how they are rendered, and how log lines look."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

import structlog
from aioprometheus.collectors import Counter, Gauge, Histogram, Registry
from aioprometheus.renderer import render

from consumer.core.outcome import Action
from consumer.core.readings import CREDENTIALS_IN_URL
from consumer.core.reasons import Code
from consumer.core.service import Direction, Phase, ServiceKey, TargetRef
from schemas.topics import Topic

MAX_SERVICES: Final = 1_000
"""Rendering a series costs up to 8 µs of the event loop: so many services have their own, the rest share `other`."""
OTHER: Final = "other"

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAKE: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Up to the half hour after which a start counts as failed."""


class WakeStage(StrEnum):
    """A part of the way from a request to a ready pod: each begins where the one before ended.

    `answered` is the way from the request to the published answer, `total` that to the ready pod.
    """

    CONSUMED = "consumed"
    DECIDED = "decided"
    ACCEPTED = "accepted"
    READY = "ready"
    ANSWERED = "answered"
    TOTAL = "total"


class RequestResult(StrEnum):
    """How a Prometheus request ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    REFUSED = "refused"
    HTTP_ERROR = "http-error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


class DeadLetterCause(StrEnum):
    """Why a record went to the dead letters."""

    UNDECODABLE = "undecodable"
    MISROUTED = "misrouted"
    TOO_LARGE = "too-large"


class TransactionResult(StrEnum):
    """How a partition's transaction ended."""

    COMMITTED = "committed"
    FENCED = "fenced"
    FAILED = "failed"


class Presence(StrEnum):
    """What a service is at the moment."""

    AWAKE = "awake"
    WAKING = "waking"
    ASLEEP = "asleep"
    UNKNOWN = "unknown"


class Intake(StrEnum):
    """How a resolver's call at the gateway ended."""

    LOGGED = "logged"
    WOKEN_DIRECTLY = "woken-directly"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, type and labels are public API."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = FAST


SCALES = Metric(
    "elasti_operator_scale_counter",
    "counter",
    "Scale calls for requests, unchanged targets included, as in KubeElasti; error is success or a closed code.",
    ("service_name", "namespace", "target", "error"),
)
PROXY_MODE = Metric(
    "elasti_operator_mode",
    "gauge",
    "1 while the resolver takes the traffic of the service, 0 while it goes to the pods, as in KubeElasti.",
    ("crd_name",),
)
BUILD = Metric("elasti_build_info", "gauge", "Always 1; the version is in the label.", ("version",))
LAG = Metric("elasti_consumer_lag", "gauge", "Records appended but not processed yet.", ("topic", "partition"))
REQUESTS = Metric("elasti_requests_total", "counter", "Requests reported by RequestCount records.")
EVALUATION = Metric("elasti_evaluation_seconds", "histogram", "Duration of one evaluation cycle of one partition.")
DECISIONS = Metric("elasti_decisions_total", "counter", "Logged decisions.", ("action", "reason"))
SENT = Metric("elasti_commands_sent_total", "counter", "Commands written to the log.", ("direction",))
COMMANDS = Metric("elasti_commands_total", "counter", "Commands by what came of them.", ("direction", "result"))
WAKES = Metric(
    "elasti_wake_seconds",
    "histogram",
    "Wake latency: produced to consumed, to decided, to accepted, to ready; answered and total from the request on.",
    ("stage",),
    WAKE,
)
OBSERVED = Metric("elasti_observations_total", "counter", "Results that no command asked for.", ("phase",))
CALLS = Metric("elasti_cluster_calls_total", "counter", "Calls that scale or look at targets.", ("result",))
CALL = Metric("elasti_cluster_call_seconds", "histogram", "Duration of one call to the cluster.")
WRITES = Metric(
    "elasti_cluster_writes_total",
    "counter",
    "Calls beside the scaling: to autoscalers, events, status and finalizers; result is ok, dropped or a closed code.",
    ("what", "result"),
)
UNPUBLISHED = Metric("elasti_results_unpublished_total", "counter", "Results that the log did not take at once.")
PROMETHEUS = Metric("elasti_prometheus_requests_total", "counter", "Requests to Prometheus servers.", ("result",))
DEAD_LETTERS = Metric("elasti_dead_letters_total", "counter", "Records given up.", ("topic", "cause"))
FORWARDS = Metric("elasti_forwards_total", "counter", "Records moved to their right partition.", ("topic",))
TRANSACTIONS = Metric("elasti_transactions_total", "counter", "Transactions by their end.", ("result",))
TRANSACTION = Metric("elasti_transaction_seconds", "histogram", "Duration of one transaction.")
SERVICES = Metric("elasti_services", "gauge", "Services of the owned partitions.", ("status",))
POLICIES = Metric("elasti_policies", "gauge", "Policies read, by whether they are valid.", ("status",))
INTAKE = Metric("elasti_gateway_requests_total", "counter", "Resolvers' calls by how they ended.", ("result",))

METRICS: Final = (
    *(SCALES, PROXY_MODE, BUILD, LAG, REQUESTS, EVALUATION, DECISIONS, SENT, COMMANDS, WAKES),
    *(OBSERVED, CALLS, CALL, WRITES, UNPUBLISHED, PROMETHEUS),
    *(DEAD_LETTERS, FORWARDS, TRANSACTIONS, TRANSACTION, SERVICES, POLICIES, INTAKE),
)
"""All of them; `cluster` is a label of each."""


class Telemetry:
    """The metrics of one process. An addition costs 5 µs, so batches are added up before they come here."""

    def __init__(self, cluster: str, version: str) -> None:
        self._registry = Registry()
        labels = {"cluster": _escaped(cluster)}
        self._counters = {m.name: Counter(m.name, m.help, labels, self._registry) for m in _of("counter")}
        self._gauges = {m.name: Gauge(m.name, m.help, labels, self._registry) for m in _of("gauge")}
        self._histograms = {
            m.name: Histogram(m.name, m.help, labels, self._registry, m.buckets) for m in _of("histogram")
        }
        self._known: set[ServiceKey] = set()
        self._gauge(BUILD, 1, version)
        for metric in (REQUESTS, UNPUBLISHED):
            self._count(metric, 0)

    def render(self, accept: Sequence[str] = ()) -> tuple[bytes, Mapping[str, str]]:
        """Return the scrape and its HTTP headers."""
        content, headers = render(self._registry, list(accept))
        return content, headers

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how far behind the end an owned partition is."""
        self._gauge(LAG, records, topic, str(partition))

    def lag_gone(self, topic: str, partition: int) -> None:
        """Forget a partition that passed to another owner."""
        self._forget(LAG, topic, str(partition))

    def requests(self, count: int) -> None:
        """Add requests that a batch of RequestCounts reported."""
        self._count(REQUESTS, count)

    def evaluated(self, took: timedelta) -> None:
        """Observe one evaluation cycle."""
        self._observe(EVALUATION, took)

    def decided(self, action: Action, code: Code, count: int = 1) -> None:
        """Add logged decisions."""
        self._count(DECISIONS, count, action, code)

    def sent(self, direction: Direction, count: int = 1) -> None:
        """Add commands that became durable."""
        self._count(SENT, count, direction)

    def answered(self, direction: Direction, phase: Phase, since_trigger: timedelta) -> None:
        """Count a command by its published result; of an accepted wake observe how long its request waited for it."""
        self._count(COMMANDS, 1, direction, phase)
        if direction is Direction.UP and phase is Phase.ACCEPTED:
            self.woke(WakeStage.ANSWERED, since_trigger)

    def observed(self, phase: Phase) -> None:
        """Count a result that no command asked for."""
        self._count(OBSERVED, 1, phase)

    def became_ready(self, since_accepted: timedelta) -> None:
        """Observe how long a woken target took to its first ready replica."""
        self.woke(WakeStage.READY, since_accepted)

    def called(self, result: str, took: timedelta) -> None:
        """Count a call to the cluster: `ok`, or the code of its TargetError."""
        self._count(CALLS, 1, result)
        self._observe(CALL, took)

    def wrote(self, what: str, result: str) -> None:
        """Count a call beside the scaling."""
        self._count(WRITES, 1, what, result)

    def dead_lettered(self) -> None:
        """Count a command that could not be read."""
        self.dead_letter(Topic.SCALE_COMMANDS, DeadLetterCause.UNDECODABLE)

    def unpublished(self) -> None:
        """Count a result that the log did not take at once."""
        self._count(UNPUBLISHED, 1)

    def scaled(self, service: ServiceKey, target: TargetRef, error: str = "success") -> None:
        """Count one scale call for a request; `error` is `success` or the code of a TargetError."""
        if self._has_series(service):
            self._count(SCALES, 1, service.name, service.namespace, f"{target.kind}-{target.name}", error)
        else:
            self._count(SCALES, 1, OTHER, OTHER, OTHER, error)

    def path(self, service: ServiceKey, *, resolver: bool) -> None:
        """Set whether the resolver takes a service's traffic."""
        if self._has_series(service):
            self._gauge(PROXY_MODE, int(resolver), str(service))

    def service_gone(self, service: ServiceKey) -> None:
        """Forget a service's own series, except what only ever grows."""
        self._forget(PROXY_MODE, str(service))

    def woke(self, stage: WakeStage, took: timedelta) -> None:
        """Observe one stage of one wake."""
        self._observe(WAKES, took, stage)

    def prometheus(self, result: RequestResult, count: int = 1) -> None:
        """Add requests to Prometheus."""
        self._count(PROMETHEUS, count, result)

    def dead_letter(self, topic: str, cause: DeadLetterCause, count: int = 1) -> None:
        """Add records that were given up."""
        self._count(DEAD_LETTERS, count, topic, cause)

    def forwarded(self, topic: str, count: int = 1) -> None:
        """Add records that were moved to their right partition."""
        self._count(FORWARDS, count, topic)

    def transaction(self, result: TransactionResult, took: timedelta) -> None:
        """Count one transaction and observe how long it took."""
        self._count(TRANSACTIONS, 1, result)
        self._observe(TRANSACTION, took)

    def services(self, counts: Mapping[Presence, int]) -> None:
        """Set the numbers of services of all owned partitions; what is not named is none."""
        for presence in Presence:
            self._gauge(SERVICES, counts.get(presence, 0), presence)

    def policies(self, *, valid: int, invalid: int) -> None:
        """Set the numbers of policies."""
        self._gauge(POLICIES, valid, "valid")
        self._gauge(POLICIES, invalid, "invalid")

    def intake(self, result: Intake, count: int = 1) -> None:
        """Add resolvers' calls."""
        self._count(INTAKE, count, result)

    def _has_series(self, service: ServiceKey) -> bool:
        if service not in self._known and len(self._known) < MAX_SERVICES:
            self._known.add(service)
        return service in self._known

    def _count(self, metric: Metric, count: int, *values: str) -> None:
        self._counters[metric.name].add(_labels(metric, values), count)

    def _gauge(self, metric: Metric, value: int, *values: str) -> None:
        self._gauges[metric.name].set(_labels(metric, values), value)

    def _observe(self, metric: Metric, took: timedelta, *values: str) -> None:
        # A clock that was set back must not make a duration negative.
        self._histograms[metric.name].observe(_labels(metric, values), max(took.total_seconds(), 0.0))

    def _forget(self, metric: Metric, *values: str) -> None:
        self._gauges[metric.name].values.pop(_labels(metric, values), None)


def _of(kind: str) -> Iterator[Metric]:
    return (metric for metric in METRICS if metric.kind == kind)


def _labels(metric: Metric, values: Sequence[str]) -> dict[str, str]:
    return {name: _escaped(value) for name, value in zip(metric.labels, values, strict=True)}


def _escaped(value: str) -> str:
    # The library writes label values as they are: one quote would make the whole scrape unreadable.
    return str(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_SECRET_NAME: Final = re.compile(r"password|passwd|secret|token|authorization|credential|api.?key", re.IGNORECASE)
_SECRET_TEXT: Final = (
    (CREDENTIALS_IN_URL, "********"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/._~=-]{6,}", re.IGNORECASE), r"\1 ********"),
)


def configure_logging(form: Literal["auto", "console", "json"], level: str) -> None:
    """Send our log lines, and those of the libraries, to standard error in one form, without secrets."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # As plain text: the console's own form shows local variables, passwords among them.
                structlog.processors.format_exc_info,
                without_secrets,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A library's own chatter is of interest only when it complains.
    for noisy in ("aiohttp.access", "watchfiles", "aioprometheus", "kubernetes_asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # aiokafka cries "error" at every retry that then succeeds; what does not succeed reaches our own lines.
    logging.getLogger("aiokafka").setLevel(root.level if root.level <= logging.DEBUG else logging.CRITICAL)


def without_secrets(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Mask fields whose names speak of secrets, and credentials inside of texts."""
    for name, value in event.items():
        if _SECRET_NAME.search(name) and value:
            event[name] = "********"
        elif isinstance(value, str):
            event[name] = _masked(value)
    return event


def _masked(text: str) -> str:
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text
