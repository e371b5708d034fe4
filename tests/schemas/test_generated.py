"""What other languages read of our messages is what the models say now."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas.generate import MESSAGES, asyncapi, render
from schemas.topics import TOPICS, Topic

GENERATED = Path(schemas.__file__).parent / "generated"
DOCUMENT = asyncapi()
SPECS = {spec.topic: spec for spec in TOPICS}


def test_the_committed_documents_are_current() -> None:
    committed = {file.name: file.read_bytes() for file in GENERATED.iterdir()}
    assert committed == dict(render()), "run: elasti schema --out schemas/generated"


def test_every_topic_has_its_message() -> None:
    assert [message.topic for message in MESSAGES] == list(Topic)


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for name, content in part.items():
            if name == "$ref":
                yield content
            yield from references(content)
    elif isinstance(part, list):
        for content in part:
            yield from references(content)


def resolved(reference: str, document: Any) -> object:  # noqa: ANN401 - JSON
    assert reference.startswith("#/")
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@pytest.mark.parametrize("name", sorted(render()))
def test_every_reference_leads_somewhere_in_its_document(name: str) -> None:
    document = json.loads(render()[name])
    for reference in references(document):
        assert resolved(reference, document) is not None


def test_the_document_is_asyncapi_3_and_says_who_it_is() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_a_channel_has_the_address_and_the_settings_of_its_topic(message: Any) -> None:  # noqa: ANN401
    spec, channel = SPECS[message.topic], DOCUMENT["channels"][message.name]
    kafka = channel["bindings"]["kafka"]
    assert channel["address"] == kafka["topic"] == message.topic.under("elasti.")
    assert kafka["topicConfiguration"]["cleanup.policy"] == [spec.config()["cleanup.policy"]]
    assert kafka.get("partitions") == (None if spec.keyed else 1)
    assert kafka["x-keyed-by-service"] is spec.keyed
    assert list(channel["messages"]) == [message.name]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_a_message_has_a_key_headers_and_a_payload(message: Any) -> None:  # noqa: ANN401
    described = DOCUMENT["components"]["messages"][message.name]
    assert described["bindings"]["kafka"]["key"]["type"] == "string"
    assert "payload" in described
    headers = described["headers"]
    properties = resolved(headers["$ref"], DOCUMENT) if "$ref" in headers else headers
    assert isinstance(properties, dict)
    assert properties["type"] == "object"


def test_an_operation_sends_or_receives_a_message_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")
    assert {"workerReceivesRequestCount", "workerSendsScaleCommand", "handlerReceivesScaleCommand"} <= set(
        DOCUMENT["operations"]
    )


def test_outputs_always_have_all_their_fields_and_inputs_need_few() -> None:
    command = json.loads(render()["scale-command.schema.json"])
    assert set(command["required"]) == set(command["properties"])
    assert json.loads(render()["request-count.schema.json"])["required"] == ["svc", "namespace"]
    assert json.loads(render()["host.schema.json"])["required"] == ["Namespace", "SourceService"]


@pytest.mark.parametrize("name", sorted(render()))
def test_no_word_is_used_that_asyncapi_understands_otherwise(name: str) -> None:
    assert b'"discriminator"' not in render()[name]
