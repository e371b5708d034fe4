"""RequestCount: a producer saw requests for a service; the message that wakes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import orjson
from pydantic import ConfigDict, Field, WithJsonSchema

from schemas.message import Label

# What an int holds in every language; sums of such counts stay far below 64 bits.
MAX_COUNT = 2**31 - 1

Count = Annotated[
    int,
    Field(strict=True, ge=0, le=MAX_COUNT),
    WithJsonSchema({"type": ["integer", "null"], "minimum": 0, "maximum": MAX_COUNT, "default": 1, "title": "Count"}),
]


@dataclass(frozen=True, slots=True)
class RequestCount:
    """`count` requests for the Service `svc` of `namespace`; 0 says "heard from, no traffic" and does not wake.

    Readers take the keys in any case (an exactly lower-case key wins, of several others the last), ignore unknown
    keys, and take a missing or null `count` as 1.

    Example: `{"count": 1, "svc": "web", "namespace": "shop"}`
    """

    count: Count
    svc: Label
    namespace: Label

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "required": ["svc", "namespace"],
            "examples": [{"count": 1, "svc": "web", "namespace": "shop"}],
        }
    )

    def encode(self) -> bytes:
        """Return the JSON bytes, in the form that all KubeElasti resolvers send."""
        return orjson.dumps({"count": self.count, "svc": self.svc, "namespace": self.namespace})
