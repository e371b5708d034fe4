"""Ways to spoil a good run, one record at a time."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from consumer.checker import Record, Recording
from schemas.message import rfc3339

Json = dict[str, Any]
Chosen = Callable[[Record], bool]


def json_of(record: Record) -> Json:
    """The content of a record."""
    content = orjson.loads(record.value or b"{}")
    assert isinstance(content, dict)
    return content


def of(topic: str, service: str = "shop/web", **wanted: object) -> Chosen:
    """Records of a topic about a service, with this content at the top."""

    def chosen(record: Record) -> bool:
        if record.topic != topic or record.key != service.encode():
            return False
        content = json_of(record)
        return all(content.get(name) == value for name, value in wanted.items())

    return chosen


def found(recording: Recording, chosen: Chosen) -> list[Record]:
    """The records that are chosen; there is at least one."""
    records = [record for record in recording.records if chosen(record)]
    assert records
    return records


def without(recording: Recording, chosen: Chosen) -> Recording:
    """The run without these records."""
    found(recording, chosen)
    return Recording(tuple(record for record in recording.records if not chosen(record)), recording.partitions)


def replaced(recording: Recording, old: Record, new: Record) -> Recording:
    """The run with another record in the place of one."""
    assert any(record is old for record in recording.records)
    records = tuple(new if record is old else record for record in recording.records)
    return Recording(records, recording.partitions)


def edited(record: Record, *path: str | int, to: object) -> Record:
    """The record with one field of its content changed."""
    content = json_of(record)
    inner: Any = content
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return record._replace(value=orjson.dumps(content))


def also(recording: Recording, record: Record, **changes: object) -> Recording:
    """The run with one more record at the end of its partition, as that one but for these changes of its content."""
    ends = [one.offset for one in recording.records if (one.topic, one.partition) == (record.topic, record.partition)]
    content = orjson.dumps({**json_of(record), **changes}) if changes else record.value
    more = record._replace(offset=max(ends) + 1, value=content)
    return Recording((*recording.records, more), recording.partitions)


def later(record: Record, by: timedelta, *fields: str) -> Record:
    """The record, and these times in it, moved."""
    content = json_of(record)
    for field in fields:
        content[field] = rfc3339(datetime.fromisoformat(content[field]) + by)
    return record._replace(time=record.time + by, value=orjson.dumps(content))


def headed(record: Record, **headers: str) -> Record:
    """The record with these headers changed."""
    changed: Mapping[str, bytes] = {name: value.encode() for name, value in headers.items()}
    kept = tuple((name, changed.get(name, value)) for name, value in record.headers)
    return record._replace(headers=kept)
