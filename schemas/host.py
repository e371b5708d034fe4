"""Host: a resolver says whether the requests for one incoming host pass it now."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StrictBool, StringConstraints
from pydantic.alias_generators import to_pascal
from pydantic_core import to_json

from schemas.message import Label

# A DNS name has at most 253 characters, a port adds a colon and five digits.
HostName = Annotated[str, StringConstraints(strict=True, max_length=253 + 6)]
Url = Annotated[str, StringConstraints(strict=True, max_length=1024)]


class Host(BaseModel):
    """What a KubeElasti resolver knows of one host; `TrafficAllowed` is the news in it.

    Readers take the keys in any case, ignore unknown keys, and take what is missing or null as Go's zero value:
    an empty string, false. Only `Namespace` and `SourceService` must be there: they are the service.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_pascal,
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "IncomingHost": "web.shop.svc.cluster.local",
                    "Namespace": "shop",
                    "SourceService": "web",
                    "TargetService": "elasti-web-pvt-0123456789",
                    "SourceHost": "http://web.shop.svc.cluster.local",
                    "TargetHost": "http://elasti-web-pvt-0123456789.shop.svc.cluster.local",
                    "TrafficAllowed": True,
                    "TrafficDisableScheduled": False,
                }
            ]
        },
    )

    incoming_host: HostName = ""
    namespace: Label
    source_service: Label
    target_service: HostName = ""
    source_host: Url = ""
    target_host: Url = ""
    traffic_allowed: StrictBool = False
    traffic_disable_scheduled: StrictBool = False

    def encode(self) -> bytes:
        """Return the JSON bytes with Go's field names."""
        return to_json(self, by_alias=True)
