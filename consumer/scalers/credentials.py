"""What a trigger says of Secrets: `headersFrom` and `tls`, read and checked; the values stay where they are."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from consumer.core.readings import SecretKey, Tls

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

_REFERENCE: Final = "secretKeyRef: {name: prometheus, key: token}"
_HEADERS_LIKE: Final = "write Authorization: {prefix: 'Bearer ', " + _REFERENCE + "} below it"
_REFERENCES: Final = ("caFrom", "certFrom", "keyFrom")


def header_name_fault(name: str) -> str | None:
    """Say what is wrong with a header's name."""
    if _HEADER_NAME.fullmatch(name):
        return None
    return f"{name[:40]!r} is no header's name; use letters, digits and dashes"


def headers_from(text: str | None, namespace: str) -> tuple[tuple[str, SecretKey], ...]:
    """Return which header is kept in which key of which Secret of the namespace, by name."""
    return tuple((name, _secret(content, namespace)) for name, content in sorted(_object(text).items()))


def headers_from_fault(text: str | None) -> str | None:
    """Say what is wrong with `headersFrom`."""
    if text is None:
        return None
    content = _object(text)
    if not content:
        return f"must be an object of headers' names; {_HEADERS_LIKE}"
    for name, reference in content.items():
        fault = header_name_fault(name) or _reference_fault(name, reference)
        if fault is not None:
            return fault
    return None


def tls_from(text: str | None, namespace: str) -> Tls | None:
    """Return whom to trust and who to be; None when nothing is said of it."""
    if text is None:
        return None
    content = _object(text)
    ca, certificate, key = (_secret(content[name], namespace) if name in content else None for name in _REFERENCES)
    file = content.get("caFile")
    return Tls(ca, file if isinstance(file, str) else None, certificate, key)


def tls_fault(text: str | None, server: str) -> str | None:
    """Say what is wrong with `tls`."""
    if text is None:
        return None
    content = _object(text)
    unknown = sorted({*content} - {*_REFERENCES, "caFile"})
    if unknown or not content:
        said = f"{unknown[0]!r} is not a field of it" if unknown else "must be an object"
        return f"{said}; write caFrom or caFile, and certFrom with keyFrom for a client certificate"
    for name in _REFERENCES:
        if name in content and (fault := _reference_fault(name, content[name])) is not None:
            return fault
    if "caFile" in content and not (isinstance(content["caFile"], str) and content["caFile"].startswith("/")):
        return 'caFile must be the path of a file in our pods, like "/etc/prometheus-ca/ca.crt"'
    if "caFile" in content and "caFrom" in content:
        return "names a CA twice; leave out caFile or caFrom"
    if ("certFrom" in content) is not ("keyFrom" in content):
        return "a client certificate needs both certFrom and keyFrom; write the missing one"
    return None if server.lower().startswith("https:") else "needs a serverAddress that begins with https://"


def _object(text: str | None) -> Mapping[str, object]:
    try:
        content: object = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _reference_fault(name: str, content: object) -> str | None:
    match content:
        case {"secretKeyRef": {"name": str(secret), "key": str(key)}, **more}:
            if not _OBJECT_NAME.fullmatch(secret) or not _KEY.fullmatch(key):
                return f"{name}: secretKeyRef needs the name of a Secret and a key in it; write {_REFERENCE}"
            if {*more} - {"prefix"} or not isinstance(more.get("prefix", ""), str):
                return f"{name}: beside secretKeyRef only prefix is known, a text; write {_REFERENCE}"
            return None
        case _:
            return f"{name}: names no Secret and key; write {_REFERENCE} below it"


def _secret(content: object, namespace: str) -> SecretKey:
    match content:
        case {"secretKeyRef": {"name": str(name), "key": str(key)}, **more}:
            return SecretKey(namespace, name, key, str(more.get("prefix", "")))
        case _:
            raise ValueError("a reference that did not pass its check")
