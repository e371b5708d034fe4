"""How values of the core are spelled in JSON and read again, derived from their types: no field is listed twice."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson
from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from consumer.core.answers import Answer
from consumer.core.inputs import Cause, CycleCause, Event, RecordCause
from consumer.core.policy import InvalidPeriod, Trigger
from consumer.core.readings import CREDENTIALS_IN_URL
from consumer.core.reasons import Code, Fact, Reason
from consumer.core.schedule import EnabledPeriod, Schedule, parse_schedule
from consumer.core.sentences import sentence
from schemas.message import rfc3339

T = TypeVar("T")
Json = dict[str, Any]
Reader = Callable[[Any], Any]

KIND = "kind"
"""Tells the members of a union apart where their fields can not."""

_TAGGED = frozenset((*get_args(Answer), *get_args(Event), EnabledPeriod, InvalidPeriod))
_FACTS = frozenset(get_args(Fact))
_SPANS = TypeAdapter(timedelta)
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_CONFIG = ConfigDict(alias_generator=to_camel, populate_by_name=True, arbitrary_types_allowed=True)


def spelled(value: object) -> bytes:
    """Return the JSON of a core value: camelCase, no nulls, RFC 3339 with milliseconds, ISO 8601 spans."""
    return orjson.dumps(value, default=_spell, option=_OPTIONS)


def json_of(value: object) -> Json:
    """Return the same as parsed JSON, for a message to take in."""
    return cast("Json", orjson.loads(spelled(value)))


class Shape(Generic[T]):
    """How one type of the core is read; made once, since making it takes a while."""

    def __init__(self, kind: Any) -> None:  # noqa: ANN401 - a type or a union of types
        self._read = _reader(kind)
        # Dataclasses inherit a config from what contains them; a bare one would refuse it, hence the `| None`.
        self._adapter: TypeAdapter[T] = TypeAdapter(cast("type[T]", kind | None), config=_CONFIG)

    def value_of(self, json: Json) -> T:
        """Build the value from parsed JSON, which is used up.

        Raises ValueError (pydantic's is one), TypeError, AttributeError or KeyError when it is none. Times come back
        in `UTC` itself: comparing times in two zones that are merely equal takes the core 15 times as long.
        """
        return self._adapter.validate_python(self._read(json) if self._read else json)


@cache
def field_names(kind: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - a dataclass
    """Return (name, camelCase name) of a dataclass's fields, in their order."""
    return tuple((field.name, to_camel(field.name)) for field in fields(kind))


def tag(kind: type) -> str:
    """Return what stands under `KIND` for a type: its name, in camelCase like all of JSON."""
    return kind.__name__[0].lower() + kind.__name__[1:]


def _spell(value: object) -> object:
    """Spell one level of what the encoder does not know; it comes back for the levels below."""
    match value:
        case datetime():
            return rfc3339(value)
        case Reason():
            return {"code": value.code, "message": sentence(value), "facts": dict(value.facts)}
        case CycleCause():
            return {"cycle": f"{value.owner}#{value.counter}"}
        case Schedule():
            return str(value)
        case Trigger():
            # The values of headers are secrets, and so is who one is to a server: they are in no record of ours.
            names = [name for name, _ in value.headers]
            metadata = {name: CREDENTIALS_IN_URL.sub("********", text) for name, text in value.metadata}
            return {"type": value.type, "metadata": metadata, "headers": names}
        case timedelta():
            return _SPANS.dump_python(value, mode="json")
        case _:
            return _spell_fields(value)


def _spell_fields(value: object) -> Json:
    kind: Any = type(value)
    json: Json = {KIND: tag(kind)} if kind in _TAGGED else {}
    for name, alias in field_names(kind):
        if (content := getattr(value, name)) is not None:
            json[alias] = content
    return json


def _reader(kind: Any) -> Reader | None:  # noqa: ANN401 - a type as typing spells it
    """Return what turns parsed JSON into what pydantic takes for `kind`; None when it takes it as it is."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    members = tuple(member for member in _members(kind) if member is not NoneType)
    if members == get_args(Cause):
        return _cause
    if len(members) > 1:
        return _union_reader(members)
    if get_origin(members[0]) is tuple:
        return _tuple_reader(get_args(members[0])[0])
    if members[0] is not kind:
        return _reader(members[0])
    return _fields_reader(kind) if is_dataclass(kind) else None


def _members(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type as typing spells it
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _fields_reader(kind: Any) -> Reader | None:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind)
    readers = tuple((alias, read) for name, alias in field_names(kind) if (read := _reader(hints[name])))
    # Times are read in place: there are ten to a state, and a call for each would be felt in a restore.
    moments = tuple(alias for alias, read in readers if read is _moment)
    others = tuple((alias, read) for alias, read in readers if read is not _moment)

    def read_fields(json: Json) -> Json:
        for alias in moments:
            if (text := json.get(alias)) is not None:
                json[alias] = moment = datetime.fromisoformat(text)
                if moment.tzinfo is not UTC:
                    raise _not_utc(text)
        for alias, read in others:
            if (content := json.get(alias)) is not None:
                json[alias] = read(content)
        return json

    return read_fields if readers else None


def _tuple_reader(item: type) -> Reader | None:
    read = _reader(item)
    return (lambda items: tuple([read(one) for one in items])) if read else None


def _union_reader(members: tuple[type, ...]) -> Reader | None:
    if not all(is_dataclass(member) for member in members):
        return None
    shapes: dict[str, Shape[Any]] = {tag(member): Shape(member) for member in members}
    return lambda json: shapes[json[KIND]].value_of(json)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not UTC:
        raise _not_utc(text)
    return moment


def _not_utc(text: str) -> ValueError:
    return ValueError(f"{text} is not in UTC; write it with a Z")


def _cause(json: Json) -> Cause:
    if "cycle" in json:
        owner, _, counter = json["cycle"].rpartition("#")
        return CycleCause(owner, int(counter))
    topic, partition, offset = json["topic"], json["partition"], json["offset"]
    if not (type(topic) is str and type(partition) is int and type(offset) is int):
        msg = f"a cause is a topic, a partition and an offset, not {topic!r}, {partition!r}, {offset!r}"
        raise ValueError(msg)
    return RecordCause(topic, partition, offset)


def _reason(json: Json) -> Reason:
    facts = json["facts"]
    if not _FACTS.issuperset(map(type, facts.values())):
        msg = "a reason's facts are texts, numbers and truths"
        raise ValueError(msg)
    return Reason(Code(json["code"]), tuple(facts.items()))


def _trigger(json: Json) -> Json:
    headers = tuple((name, "") for name in json.get("headers", ()))
    return {"type": json["type"], "metadata": tuple(json["metadata"].items()), "headers": headers}


_LEAVES: dict[Any, Reader] = {datetime: _moment, Reason: _reason, Schedule: parse_schedule, Trigger: _trigger}
