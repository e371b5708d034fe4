"""Describes every message for other languages: a JSON Schema each and one AsyncAPI 3 document, out of the models."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from schemas import cloudevents, dead_letter, origin
from schemas.codec import MAX_CAUSE
from schemas.control import Control
from schemas.decision import Decision
from schemas.host import Host
from schemas.request_count import RequestCount
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.service_status import ServiceStatus
from schemas.state import ServiceState
from schemas.topics import DEFAULT_PREFIX, TOPICS, Topic, TopicSpec

VERSION = "1.0.0"
"""The version of the contract: the first number moves when a reader that followed it would break."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
BINDING_VERSION = "0.5.0"

# A document for other tools, in their words: the one place where it is put together.
Document = dict[str, Any]
Mode = Literal["validation", "serialization"]


@dataclass(frozen=True, slots=True)
class Described:
    """One message: its topic and model, whether readers of it are as tolerant as ours, and who sends and receives."""

    topic: Topic
    name: str
    model: type | None
    summary: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]

    @property
    def mode(self) -> Mode:
        """An input is described as it may be read, an output as it is written."""
        return "validation" if self.model in (RequestCount, Host) else "serialization"


MESSAGES = (
    Described(Topic.REQUEST_COUNTS, "RequestCount", RequestCount, "Requests for a service", ("gateway",), ("worker",)),
    Described(Topic.HOSTS, "Host", Host, "Whether requests for a host pass the resolver", (), ("worker",)),
    Described(
        Topic.SCALE_COMMANDS, "ScaleCommand", ScaleCommand, "A change that is asked for", ("worker",), ("handler",)
    ),
    Described(
        Topic.SCALE_RESULTS, "ScaleResult", ScaleResult, "What came of it, or was seen", ("handler",), ("worker",)
    ),
    Described(
        Topic.SERVICE_STATUS,
        "ServiceStatus",
        ServiceStatus,
        "The present of one service",
        ("worker",),
        ("handler",),
    ),
    Described(Topic.CONTROL, "Control", Control, "What people switched", ("cli",), ("worker", "handler")),
    Described(Topic.DECISIONS, "Decision", Decision, "What was decided, and from what", ("worker",), ("insight",)),
    Described(Topic.STATE, "ServiceState", ServiceState, "What the worker remembers", ("worker",), ("worker",)),
    Described(Topic.DEAD_LETTER, "DeadLetter", None, "What could not be used", ("worker", "handler"), ()),
)


def render() -> Mapping[str, bytes]:
    """Return the content of every document by its file name."""
    schemas = {f"{_file(message.name)}.schema.json": _schema(message) for message in MESSAGES}
    return {name: _bytes(document) for name, document in {**schemas, "asyncapi.json": asyncapi()}.items()}


def asyncapi() -> Document:
    """Return the AsyncAPI document, complete in itself."""
    specs = {spec.topic: spec for spec in TOPICS}
    operations: Document = {}
    for message in MESSAGES:
        operations |= {f"{role}Sends{message.name}": _operation("send", message) for role in message.senders}
        operations |= {f"{role}Receives{message.name}": _operation("receive", message) for role in message.receivers}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "elasti",
            "version": VERSION,
            "description": "Event-driven scale-to-zero for Kubernetes services. The addresses carry the default "
            f"prefix `{DEFAULT_PREFIX}`; an installation may have another. All topics that are keyed by service have "
            "the same number of partitions, and a key belongs to `toPositive(murmur2(key)) % partitions`.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {message.name: _channel(message, specs[message.topic]) for message in MESSAGES},
        "operations": operations,
        "components": {
            "messages": {message.name: _message(message, specs[message.topic]) for message in MESSAGES},
            "schemas": {**_components(), "CloudEvent": _cloudevent(), "Origin": _origin()},
        },
    }


def _schema(message: Described) -> Document:
    if message.model is None:
        return {"$schema": DIALECT, **_dead_letter()}
    adapter: TypeAdapter[Any] = TypeAdapter(message.model)
    return {"$schema": DIALECT, **_plain(adapter.json_schema(mode=message.mode))}


def _components() -> Document:
    """Return the schemas of all messages with their parts shared between them."""
    inputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
        (message.name, message.mode, TypeAdapter(message.model)) for message in MESSAGES if message.model is not None
    ]
    _, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return {name: _plain(schema) for name, schema in sorted(shared["$defs"].items())}


def _plain(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out OpenAPI's `discriminator`: AsyncAPI means something else by it, and `oneOf` with constants says it."""
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "discriminator"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _channel(message: Described, spec: TopicSpec) -> Document:
    config = spec.config()
    numbers = {
        name: int(config[name])
        for name in ("retention.ms", "delete.retention.ms", "max.message.bytes")
        if name in config
    }
    binding = {
        "topic": spec.topic.under(DEFAULT_PREFIX),
        # How many partitions the keyed topics have is the installation's choice.
        **({} if spec.keyed else {"partitions": 1}),
        "topicConfiguration": {"cleanup.policy": [config["cleanup.policy"]], **numbers},
        "x-keyed-by-service": spec.keyed,
        "x-topic-configuration": dict(config),
        "bindingVersion": BINDING_VERSION,
    }
    return {
        "address": spec.topic.under(DEFAULT_PREFIX),
        "description": message.summary,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
        "bindings": {"kafka": binding},
    }


def _message(message: Described, spec: TopicSpec) -> Document:
    key = {"type": "string", "description": _key(spec)}
    return {
        "name": message.name,
        "summary": message.summary,
        "headers": _headers(message),
        "payload": {"description": "The bytes of the original record."}
        if message.model is None
        else {"$ref": f"#/components/schemas/{message.name}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}},
    }


def _key(spec: TopicSpec) -> str:
    if spec.topic is Topic.CONTROL:
        return "The scope: `*`, `namespace/*` or `namespace/service`."
    return "`namespace/service`, in UTF-8." if spec.keyed else "None."


def _headers(message: Described) -> Document:
    if message.model is None:
        return _dead_letter()
    return {"$ref": f"#/components/schemas/{'Origin' if message.mode == 'validation' else 'CloudEvent'}"}


def _operation(action: str, message: Described) -> Document:
    channel = f"#/channels/{message.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": message.summary,
        "messages": [{"$ref": f"{channel}/messages/{message.name}"}],
    }


def _text(description: str, **more: object) -> Document:
    return {"type": "string", "description": description, **more}


def _cloudevent() -> Document:
    attributes = {
        "ce_specversion": _text("CloudEvents 1.0, binary mode.", const="1.0"),
        "ce_id": _text("The id of the event."),
        "ce_source": _text("`/elasti/<cluster>/<role>`."),
        "ce_type": _text("What it is.", enum=[kind.value for kind in cloudevents.EventType]),
        "ce_subject": _text("The record's key."),
        "ce_time": _text("UTC, with milliseconds.", format="date-time"),
        cloudevents.PROGRAM: _text("On decisions: which version of the program decided, with which sentences."),
        cloudevents.CONTENT_TYPE: _text("Always JSON.", const="application/json"),
    }
    trace = {cloudevents.TRACEPARENT: _text("The W3C trace of the record that caused it, when it had one.")}
    return {"type": "object", "properties": {**attributes, **trace}, "required": list(attributes)}


def _origin() -> Document:
    properties = {
        origin.ORIGIN_TOPIC: _text("The topic in which a forwarded record first entered."),
        origin.ORIGIN_PARTITION: _text("Its partition there."),
        origin.ORIGIN_OFFSET: _text("Its offset there."),
        origin.ORIGIN_TIME: _text("Its append time there, UTC, with milliseconds.", format="date-time"),
        cloudevents.TRACEPARENT: _text("The W3C trace, passed on to command and result."),
    }
    return {"type": "object", "description": "No header is needed; these are understood.", "properties": properties}


def _dead_letter() -> Document:
    properties = {
        dead_letter.CAUSE: _text("Which field is wrong, and how.", maxLength=MAX_CAUSE),
        dead_letter.TOPIC: _text("The topic of the original record."),
        dead_letter.PARTITION: _text("Its partition."),
        dead_letter.OFFSET: _text("Its offset."),
        dead_letter.TIME: _text("Its append time, UTC, with milliseconds.", format="date-time"),
        dead_letter.CUT: _text("The size that the value had, when it was cut to fit."),
    }
    required = [name for name in properties if name != dead_letter.CUT]
    return {
        "title": "DeadLetter",
        "description": "The headers of a dead letter; its value is the original bytes.",
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _file(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("-")


def _bytes(document: Document) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
