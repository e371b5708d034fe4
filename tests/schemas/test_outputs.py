"""Outputs are written one strict way, read tolerantly, and never change their form unnoticed."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.codec import Undecodable, decode
from schemas.control import Control, Freeze
from schemas.decision import Decision
from schemas.host import Host
from schemas.message import Message, Timestamp, rfc3339
from schemas.parts import Autoscaler, CycleCause, KnownTarget, PolicyRef, Reason, RecordCause, TargetRef
from schemas.request_count import RequestCount
from schemas.scale_command import Direction, Expect, ScaleCommand
from schemas.scale_result import Phase, ResultCause, ResultError, ScaleResult
from schemas.service_status import ServiceStatus
from schemas.state import ServiceState

GOLDEN = Path(__file__).parents[1] / "golden"
OUTPUTS: dict[str, type[Message]] = {
    "scale-command": ScaleCommand,
    "scale-result": ScaleResult,
    "service-status": ServiceStatus,
    "control": Control,
    "decision": Decision,
    "service-state": ServiceState,
}
T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def example_of(model: type[Message]) -> bytes:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return json.dumps(examples[0]).encode()


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_form_that_its_readers_know(name: str) -> None:
    message = decode(OUTPUTS[name], example_of(OUTPUTS[name]))
    assert isinstance(message, OUTPUTS[name]), message
    assert message.encode() + b"\n" == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("request-count", RequestCount(1, "web", "shop")),
        ("host", Host(incoming_host="web.shop", namespace="shop", source_service="web", traffic_allowed=True)),
    ],
)
def test_an_input_is_written_as_kubeelasti_writes_it(name: str, message: RequestCount | Host) -> None:
    assert message.encode() + b"\n" == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_reads_back_as_itself(name: str) -> None:
    raw = (GOLDEN / f"{name}.json").read_bytes()
    message = decode(OUTPUTS[name], raw)
    assert isinstance(message, OUTPUTS[name]), message
    assert decode(OUTPUTS[name], message.encode()) == message


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_reader_ignores_what_a_newer_writer_added(name: str) -> None:
    raw = (GOLDEN / f"{name}.json").read_bytes()
    newer = json.dumps({**json.loads(raw), "moodSwings": {"today": 3}}).encode()
    assert decode(OUTPUTS[name], newer) == decode(OUTPUTS[name], raw)


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output_names_its_cluster(name: str) -> None:
    without = json.loads((GOLDEN / f"{name}.json").read_bytes())
    del without["cluster"]
    read = decode(OUTPUTS[name], json.dumps(without).encode())
    assert isinstance(read, Undecodable)
    assert read.cause.startswith("cluster: Field required")


@pytest.mark.parametrize("name", OUTPUTS)
@given(raw=st.binary(max_size=100))
def test_no_bytes_raise(name: str, raw: bytes) -> None:
    assert isinstance(decode(OUTPUTS[name], raw), Undecodable)


@given(st.sampled_from(list(OUTPUTS)), st.data())
def test_a_damaged_output_never_raises(name: str, data: st.DataObject) -> None:
    fields = json.loads((GOLDEN / f"{name}.json").read_bytes())
    field = data.draw(st.sampled_from(sorted(fields)))
    fields[field] = data.draw(
        st.sampled_from([None, -1, 1.5, True, "x", "", [], {}, {"kind": "yes"}, "0001-01-01T00:00:00+14:00", 10**30])
    )
    read = decode(OUTPUTS[name], json.dumps(fields).encode())
    assert isinstance(read, (OUTPUTS[name], Undecodable))


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_message_says_so(raw: bytes | None) -> None:
    read = decode(ScaleCommand, raw)
    assert isinstance(read, Undecodable)
    assert read.cause
    assert read.raw is raw


T = TypeVar("T", bound=BaseModel)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
NATURALS = st.integers(0, 2**53)


def built(model: type[T], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    """Return messages of these fields and no others; `st.builds` would see the camelCase names beside them."""
    return st.fixed_dictionaries(fields).map(model.model_validate)


REASONS = built(
    Reason,
    code=TEXTS,
    message=TEXTS,
    facts=st.dictionaries(
        TEXTS, TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(), max_size=3
    ),
)
CAUSES = built(RecordCause, topic=TEXTS, partition=NATURALS, offset=NATURALS) | built(CycleCause, cycle=TEXTS)
COMMANDS = built(
    ScaleCommand,
    cluster=TEXTS,
    id=TEXTS,
    seq=NATURALS,
    namespace=LABELS,
    service=LABELS,
    target=built(TargetRef, api_version=TEXTS, kind=TEXTS, name=TEXTS),
    direction=st.just(Direction.ZERO),
    replicas=st.just(0),
    expect=built(Expect, uid=TEXTS, generation=NATURALS, replicas=NATURALS),
    reason=REASONS,
    autoscaler=st.none() | built(Autoscaler, type=TEXTS, name=TEXTS),
    policy=built(PolicyRef, uid=TEXTS, hash=TEXTS),
    triggered_at=MOMENTS,
    decided_at=MOMENTS,
    cause=CAUSES,
)
RESULTS = built(
    ScaleResult,
    cluster=TEXTS,
    id=TEXTS,
    command_id=st.none() | TEXTS,
    namespace=LABELS,
    service=LABELS,
    target=built(KnownTarget, api_version=TEXTS, kind=TEXTS, name=TEXTS, uid=st.none() | TEXTS),
    phase=st.sampled_from(Phase),
    replicas=NATURALS,
    ready_replicas=NATURALS,
    error=st.none() | built(ResultError, code=TEXTS, message=TEXTS, retryable=st.booleans()),
    cause=st.sampled_from(ResultCause),
    manager=st.none() | TEXTS,
    attempts=NATURALS,
    triggered_at=st.none() | MOMENTS,
    decided_at=st.none() | MOMENTS,
    at=MOMENTS,
)


@given(COMMANDS | RESULTS)
def test_what_is_written_is_read_again(message: Message) -> None:
    assert decode(type(message), message.encode()) == message


@given(COMMANDS)
def test_equal_messages_have_equal_bytes(command: ScaleCommand) -> None:
    again = decode(ScaleCommand, command.encode())
    assert isinstance(again, ScaleCommand)
    assert again.encode() == command.encode()


def control_at(at: Timestamp) -> Control:
    return Control(cluster="default", scope="*", by="maria", at=at, why="sale")


def test_a_time_is_written_in_utc_with_three_decimals() -> None:
    there = (T0 + timedelta(microseconds=123_987)).astimezone(timezone(timedelta(hours=2)))
    assert b'"at":"2026-01-31T09:30:00.123Z"' in control_at(there).encode()
    assert rfc3339(there) == "2026-01-31T09:30:00.123Z"
    assert control_at(there).at == T0 + timedelta(milliseconds=123)
    assert control_at(there).at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="a time needs a zone"):
        control_at(datetime(2026, 1, 31))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("scope", ["*", "shop/*", "shop/web"])
def test_a_scope_is_everything_a_namespace_or_a_service(scope: str) -> None:
    assert control_at(T0).model_copy(update={"scope": scope}).scope == scope
    assert isinstance(decode(Control, Control(cluster="c", scope=scope, by="m", at=T0, why="w").encode()), Control)


@pytest.mark.parametrize("scope", ["", "shop", "*/web", "shop/", "shop/web/x", "Shop/web", "**", "*\n"])
def test_any_other_scope_is_refused(scope: str) -> None:
    with pytest.raises(ValidationError):
        Control(cluster="c", scope=scope, by="m", at=T0, why="w")


def test_a_freeze_may_have_an_end() -> None:
    frozen = control_at(T0).model_copy(update={"freeze": Freeze(by="maria", at=T0, why="sale", until=T0)})
    read = decode(Control, frozen.encode())
    assert isinstance(read, Control)
    assert read.freeze == frozen.freeze


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"direction": "up", "replicas": 0}, "an up needs at least 1 replica"),
        ({"direction": "zero", "replicas": 1, "expect": {"uid": "u", "generation": 1, "replicas": 1}}, "asks for 0"),
        ({"direction": "zero", "replicas": 0, "expect": None}, "a zero needs what it expects"),
        ({"replicas": "1"}, "replicas: Input should be a valid integer"),
        ({"direction": "sideways"}, "direction: Input should be 'up', 'zero' or 'prepare'"),
    ],
)
def test_a_command_that_could_do_harm_is_refused(change: dict[str, object], problem: str) -> None:
    read = decode(ScaleCommand, json.dumps({**json.loads(example_of(ScaleCommand)), **change}).encode())
    assert isinstance(read, Undecodable)
    assert problem in read.cause
