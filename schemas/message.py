"""What all outputs share: camelCase JSON, frozen values, tolerant reading, strict writing, one form of time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

MAX_LABEL = 63
LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def utc_milliseconds(moment: datetime) -> datetime:
    """Return the moment in UTC, cut to the milliseconds that Kafka keeps; ValueError when it has no zone."""
    if moment.tzinfo is None:
        msg = "a time needs a zone; write it in UTC, as in 2026-01-31T09:30:00.000Z"
        raise ValueError(msg)
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as overflow:
        msg = "the time is outside the years 1 to 9999 once it is in UTC"
        raise ValueError(msg) from overflow
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    """Write a moment the one way all outputs do: UTC, exactly three decimals, `Z`."""
    # Most moments are in UTC already, and isoformat cuts by itself.
    utc = moment if moment.tzinfo is UTC else utc_milliseconds(moment)
    return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


Timestamp = Annotated[
    datetime,
    AfterValidator(utc_milliseconds),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        mode="serialization",
    ),
]
"""Aware, UTC, whole milliseconds; in JSON `2026-01-31T09:30:00.000Z`."""

Whole = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What an integer of 64 bits holds: JSON has no bound, and whoever reads or writes it next may not know larger ones."""

Name = Annotated[str, StringConstraints(max_length=512)]
"""A name or an identity of something in a cluster, which allows 253 characters: what is kept of it is bounded."""

Label = Annotated[str, StringConstraints(strict=True, max_length=MAX_LABEL, pattern=LABEL_PATTERN)]
"""A DNS-1123 label, as Kubernetes demands of the names of namespaces and Services."""


class Message(BaseModel):
    """An output: unknown fields are ignored when read, every field is written.

    `cluster` names the Kubernetes cluster that the message speaks of.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        from_attributes=True,
        ser_json_inf_nan="strings",
        json_schema_serialization_defaults_required=True,
    )

    cluster: str

    def encode(self) -> bytes:
        """Return the JSON bytes; equal messages give equal bytes."""
        return to_json(self, by_alias=True, inf_nan_mode="strings")


class Part(BaseModel):
    """A piece of an output, under the same rules."""

    model_config = Message.model_config
