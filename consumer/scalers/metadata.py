"""The metadata of a `prometheus` trigger: read with every fault at once, in words for the policy's author."""

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from consumer.core.policy import Trigger
from consumer.core.readings import Question, Source
from consumer.scalers.contract import Defaults
from consumer.scalers.credentials import header_name_fault, headers_from, headers_from_fault, tls_fault, tls_from
from consumer.scalers.fault import explained
from consumer.scalers.promql import Kind, PromqlError, is_selector, kind_of, parse

DEFAULT_UPTIME_FILTER: Final = 'container="prometheus"'
"""KubeElasti's default, right for a Prometheus that scrapes itself as a container of that name."""

# A JSON number, since Go's encoding/json reads the threshold as a float that is carried in a string.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class PrometheusTrigger:
    """A trigger that passed its check: what is asked, where, and from which value on it is busy."""

    question: Question
    threshold: float
    uptime_filter: str


class FaultyTriggerError(ValueError):
    """The trigger has these faults: (field, what to write instead)."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in faults))
        self.faults = faults


def read(trigger: Trigger, defaults: Defaults, namespace: str = "") -> PrometheusTrigger:
    """Return the trigger's content; raises FaultyTriggerError with all of its faults.

    Secrets that it names are those of `namespace`, its policy's own: it can not reach for anybody else's.
    """
    named = trigger.named()
    faults = [
        (field, message)
        for field, fault in (
            ("metadata.serverAddress", _server_fault(_server(named, defaults))),
            ("metadata.query", _query_fault(named.get("query", ""))),
            ("metadata.threshold", _threshold_fault(named.get("threshold"))),
            ("metadata.uptimeFilter", _filter_fault(_filter(named))),
            ("metadata.headers", _headers_fault(trigger.headers)),
            ("metadata.headersFrom", headers_from_fault(named.get("headersfrom"))),
            ("metadata.tls", tls_fault(named.get("tls"), _server(named, defaults))),
        )
        if (message := fault) is not None
    ]
    if faults:
        raise FaultyTriggerError(faults)
    source = replace(
        _source(_server(named, defaults), defaults.headers + trigger.headers),
        headers_from=headers_from(named.get("headersfrom"), namespace),
        tls=tls_from(named.get("tls"), namespace),
    )
    return PrometheusTrigger(Question(source, named["query"]), float(named["threshold"]), _filter(named))


def _server(named: Mapping[str, str], defaults: Defaults) -> str:
    return named.get("serveraddress", "").strip() or (defaults.server or "").strip()


def _filter(named: Mapping[str, str]) -> str:
    return named.get("uptimefilter", "").strip() or DEFAULT_UPTIME_FILTER


def _source(address: str, headers: tuple[tuple[str, str], ...]) -> Source:
    """Later headers win; a name and password in the address become a header, so that no message can show them."""
    parts = urlsplit(address)
    held = {name.lower(): (name, value) for name, value in headers}
    user, at, place = parts.netloc.rpartition("@")
    if at:
        basic = "Basic " + b64encode(unquote(user).encode()).decode()
        held.setdefault("authorization", ("Authorization", basic))
    return Source(parts._replace(netloc=place).geturl().rstrip("/"), tuple(held[name] for name in sorted(held)))


def _server_fault(address: str) -> str | None:
    if not address:
        return (
            'missing, and the installation has no default; write "http://prometheus.monitoring:9090" here, or set '
            "ELASTI_PROMETHEUS_ADDRESS"
        )
    if _is_usable(address):
        return None
    # The address itself may hold a password: it is not repeated here.
    return 'not an address; write "http://prometheus.monitoring:9090", with nothing behind the path'


def _is_usable(address: str) -> bool:
    try:
        parts = urlsplit(address)
        named = parts.hostname is not None and parts.port != 0
    except ValueError:
        return False
    return named and parts.scheme in {"http", "https"} and not (parts.query or parts.fragment)


def _query_fault(query: str) -> str | None:
    if not query.strip():
        return 'missing; write a query that gives one number, for example "sum(rate(requests_total[1m])) or vector(0)"'
    try:
        parse(query)
    except PromqlError as error:
        return explained(query, str(error))
    if kind_of(query) is Kind.OTHER:
        return "gives a range of samples, a text or holds control characters; write one that gives one number"
    return None


def _threshold_fault(text: str | None) -> str | None:
    if text is None:
        return 'missing, so the service could never be idle; write the value from which on it is busy, such as "0.5"'
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return f'must be a finite number, got "{text[:40]}"; write it like "0.5"'
    return None


def _filter_fault(uptime_filter: str) -> str | None:
    if is_selector(f"up{{{uptime_filter}}}"):
        return None
    return f"is no list of label matchers: {uptime_filter[:80]!r}; write it like {DEFAULT_UPTIME_FILTER}"


def _headers_fault(headers: tuple[tuple[str, str], ...]) -> str | None:
    for name, value in headers:
        if (fault := header_name_fault(name)) is not None:
            return fault
        if any(character in value for character in "\r\n\0"):
            # The value is a secret: only its name is shown.
            return f"the value of {name} holds a line break; write it in one line"
    return None
