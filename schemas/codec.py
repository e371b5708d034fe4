"""From bytes to messages: what can not be read comes back as a value that says why; nothing here raises on data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import orjson
from pydantic import FailFast, TypeAdapter, ValidationError

from schemas.host import Host
from schemas.message import Message
from schemas.request_count import RequestCount

MAX_CAUSE = 300
"""Longer causes are cut: they travel in a header and are shown in a line."""

M = TypeVar("M", bound=Message)

# The first problem sends the batch the long way, so there is no use in finding the others here.
_BATCH = TypeAdapter(Annotated[list[RequestCount], FailFast()])
_REQUEST_COUNT = TypeAdapter(RequestCount)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that are not the message they should be; `cause` says which field and what is wrong with it."""

    cause: str
    raw: bytes | None


def decode(model: type[M], raw: bytes | None) -> M | Undecodable:
    """Read an output of ours; unknown fields are ignored, everything else must be exactly right."""
    if raw is None:
        return _tombstone()
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        return Undecodable(cause_of(error), raw)


def decode_request_count(raw: bytes | None) -> RequestCount | Undecodable:
    """Read one RequestCount."""
    return decode_request_counts((raw,))[0]


def decode_request_counts(values: Sequence[bytes | None]) -> list[RequestCount | Undecodable]:
    """Read a batch of RequestCounts, at under 2 µs each; the result has one entry per value, in order.

    The payloads are parsed one by one, since a joined array would let one record inject several; what they hold is
    validated in one go. Only a batch with an odd record in it is looked at record by record.
    """
    try:
        return [*_BATCH.validate_python([orjson.loads(value) for value in values])]  # type: ignore[arg-type]
    except (orjson.JSONDecodeError, ValidationError):
        return [_request_count(value) for value in values]


def decode_host(raw: bytes | None) -> Host | Undecodable:
    """Read one Host."""
    parsed = _object(raw)
    if isinstance(parsed, Undecodable):
        return parsed
    try:
        return Host.model_validate(_fold(parsed, _HOST_KEYS))
    except ValidationError as error:
        return Undecodable(cause_of(error), raw)


def _request_count(raw: bytes | None) -> RequestCount | Undecodable:
    parsed = _object(raw)
    if isinstance(parsed, Undecodable):
        return parsed
    if None in map(parsed.get, _REQUEST_COUNT_NAMES):
        parsed = {"count": 1, **_fold(parsed, _REQUEST_COUNT_KEYS)}
    try:
        return _REQUEST_COUNT.validate_python(parsed)
    except ValidationError as error:
        return Undecodable(cause_of(error), raw)


def _object(raw: bytes | None) -> dict[str, object] | Undecodable:
    """Parse one payload that must be a JSON object."""
    if raw is None:
        return _tombstone()
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Undecodable(f"not JSON: {error}"[:MAX_CAUSE], raw)
    if not isinstance(parsed, dict):
        return Undecodable("not a JSON object", raw)
    return parsed


def _keys(names: Iterable[str]) -> dict[str, str]:
    return {name.casefold(): name for name in names}


_REQUEST_COUNT_NAMES = ("count", "svc", "namespace")
_REQUEST_COUNT_KEYS = _keys(_REQUEST_COUNT_NAMES)
_HOST_KEYS = _keys(field.alias or name for name, field in Host.model_fields.items())


def _fold(parsed: dict[str, object], keys: dict[str, str]) -> dict[str, object]:
    """Give known keys their own spelling and drop nulls, as Go's decoder does.

    Of several spellings the exact one counts, else the last: so the quick path, which sees exact keys only, agrees.
    """
    folded = {}
    for spelling, value in parsed.items():
        name = keys.get(spelling.casefold())
        if name is not None and (spelling == name or name not in parsed):
            folded[name] = value
    return {name: value for name, value in folded.items() if value is not None}


def _tombstone() -> Undecodable:
    return Undecodable("no value (a tombstone)", None)


def cause_of(error: ValidationError) -> str:
    """Say which field is wrong and how; of several problems the first, with the number of the others."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    where = ".".join(str(step) for step in first["loc"])
    text = f"{where}: {first['msg']}" if where else first["msg"]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return text[: MAX_CAUSE - len(more)] + more
