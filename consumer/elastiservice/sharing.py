"""What of a resource may be shown to anyone."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.core.readings import CREDENTIALS_IN_URL
from consumer.elastiservice.fields import Node, Report, to_json


@dataclass(frozen=True, slots=True)
class ResourceText:
    """A resource as JSON, for those who read more of it than we do; without secrets."""

    name: str
    spec: bytes
    status: bytes


def shareable(resource: Mapping[str, object]) -> ResourceText:
    """Return what of a resource may be shown to anyone: all but the values of headers."""
    root = Node(resource, (), Report("", []))
    status = resource.get("status")
    return ResourceText(
        name=root.child("metadata").text("name") or "",
        spec=to_json(_without_headers(resource.get("spec"))),
        status=to_json(status if isinstance(status, Mapping) else {}),
    )


def _without_headers(value: object) -> object:
    match value:
        case Mapping():
            return {
                name: dict.fromkeys(inner, "********")
                if str(name).lower() == "headers" and isinstance(inner, Mapping)
                else _without_headers(inner)
                for name, inner in value.items()
            }
        case list():
            return [_without_headers(item) for item in value]
        case str():
            return CREDENTIALS_IN_URL.sub("********", value)
        case _:
            return value
