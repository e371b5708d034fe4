"""The headers say what an output is, where a record came from, and why a letter is dead."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import CloudEvent, EventType, header, source, trace_of
from schemas.codec import MAX_CAUSE
from schemas.dead_letter import DeadLetter, said_of
from schemas.origin import ORIGIN_OFFSET, ORIGIN_TOPIC, Origin, origin_of
from schemas.topics import MAX_VALUE_BYTES

AT = datetime(2026, 1, 31, 9, 30, 0, 100_000, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def command(trace: str | None = None) -> CloudEvent:
    return CloudEvent(
        EventType.SCALE_COMMAND, "1f", source("default", "worker"), subject="shop/web", time=AT, trace=trace
    )


def test_an_output_is_a_cloudevent_in_binary_mode() -> None:
    assert command().headers() == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1f"),
        ("ce_source", b"/elasti/default/worker"),
        ("ce_type", b"elasti.scale-command.v1"),
        ("ce_subject", b"shop/web"),
        ("ce_time", b"2026-01-31T09:30:00.100Z"),
        ("content-type", b"application/json"),
    )


def test_a_trace_passes_through() -> None:
    assert trace_of(command(TRACE).headers()) == TRACE
    assert trace_of(command().headers()) is None


@pytest.mark.parametrize("value", [b"", b"00-zz", b"\xff" * 55, TRACE.encode() + b"\n", TRACE.upper().encode()])
def test_what_is_no_traceparent_is_not_passed_on(value: bytes) -> None:
    assert trace_of((("traceparent", value),)) is None


def test_a_clusters_name_can_not_break_the_source() -> None:
    assert source("eu west/1", "handler") == "/elasti/eu%20west%2F1/handler"


def test_of_a_repeated_header_the_last_counts() -> None:
    assert header((("a", b"1"), ("a", b"2"), ("b", b"3")), "a") == b"2"


def test_an_origin_survives_its_headers() -> None:
    origin = Origin("elasti.request-counts", 3, 1042, AT)
    assert origin_of(origin.headers()) == origin


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in Origin("t", 0, 0, AT).headers()]), st.binary())))
def test_foreign_headers_never_raise(headers: list[tuple[str, bytes]]) -> None:
    assert origin_of(headers) is None or isinstance(origin_of(headers), Origin)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ORIGIN_OFFSET, b"-1"),
        (ORIGIN_OFFSET, b"9" * 5000),
        (ORIGIN_OFFSET, "\u0663".encode()),
        ("elasti_origin_time", b"2026-01-31T09:30:00"),
        ("elasti_origin_time", b"0001-01-01T00:00:00+14:00"),
        (ORIGIN_TOPIC, b"\xff"),
        (ORIGIN_TOPIC, b""),
    ],
)
def test_an_origin_that_is_not_in_our_form_is_none(name: str, value: bytes) -> None:
    headers = dict(Origin("t", 1, 2, AT).headers()) | {name: value}
    assert origin_of(headers.items()) is None


def test_an_origin_in_another_zone_is_the_same_moment() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5)))
    assert origin_of(Origin("t", 1, 2, there).headers()) == Origin("t", 1, 2, AT)


def test_a_dead_letter_keeps_its_bytes_and_says_why() -> None:
    letter = DeadLetter("count: negative", "elasti.request-counts", 3, 1042, AT, b"{bad")
    assert letter.value() == b"{bad"
    assert said_of(letter.headers()) == {
        "cause": "count: negative",
        "topic": "elasti.request-counts",
        "partition": "3",
        "offset": "1042",
        "time": "2026-01-31T09:30:00.100Z",
    }


@pytest.mark.parametrize(("size", "cut"), [(MAX_VALUE_BYTES, None), (MAX_VALUE_BYTES + 1, str(MAX_VALUE_BYTES + 1))])
def test_a_dead_letter_that_is_too_large_is_cut_and_says_so(size: int, cut: str | None) -> None:
    letter = DeadLetter("too large", "t", 0, 0, AT, b"x" * size)
    assert len(letter.value()) == MAX_VALUE_BYTES
    assert said_of(letter.headers()).get("cut") == cut


def test_a_dead_letters_cause_is_bounded_and_always_text() -> None:
    letter = DeadLetter("\ud800" * 10_000, "t", 0, 0, AT, None)
    assert said_of(letter.headers())["cause"] == "?" * MAX_CAUSE
    assert letter.value() == b""
