"""The records of the state topic: a service's state to bytes and back, exactly, at a restore's pace."""

import orjson
from pydantic import ValidationError

from consumer.core.state import ServiceState
from consumer.wire.shapes import Json, Shape, field_names, spelled
from schemas.codec import MAX_CAUSE, Undecodable, cause_of
from schemas.state import VERSION

_SHAPE = Shape[ServiceState](ServiceState)
_FIELDS = tuple(names for names in field_names(ServiceState) if names[0] != "key")


def state_to_bytes(state: ServiceState, cluster: str) -> bytes:
    """Return the value of the service's record in the state topic, as `schemas.state` describes it."""
    return spelled(state_shape(state, cluster))


def state_from_bytes(raw: bytes) -> ServiceState | Undecodable:
    """Read a record of the state topic; what a newer version wrote is Undecodable, as is everything foreign."""
    try:
        return state_from_json(orjson.loads(raw))
    except ValidationError as error:
        return Undecodable(f"not a state: {cause_of(error)}"[:MAX_CAUSE], raw)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return Undecodable(f"not a state: {error}"[:MAX_CAUSE], raw)


def state_shape(state: ServiceState, cluster: str) -> Json:
    """Return the record's content; the service's key is spelled as two fields, as in every message."""
    known = {alias: content for name, alias in _FIELDS if (content := getattr(state, name)) is not None}
    return {"cluster": cluster, "v": VERSION, "namespace": state.key.namespace, "service": state.key.name, **known}


def state_from_json(json: Json) -> ServiceState:
    """Build the state from parsed JSON, which is used up; raises as `Shape.value_of` does."""
    if json["v"] != VERSION:
        msg = f"its format is {json['v']}, this version knows {VERSION}"
        raise ValueError(msg)
    json["key"] = {"namespace": json["namespace"], "name": json["service"]}
    return _SHAPE.value_of(json)
