"""RequestCounts are read tolerantly, one wrong record never hides another, and each says what is wrong with it."""

import json
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codec import MAX_CAUSE, Undecodable, decode_request_count, decode_request_counts
from schemas.message import LABEL_PATTERN
from schemas.request_count import MAX_COUNT, RequestCount

GOOD: Final = b'{"count":2,"svc":"web","namespace":"shop"}'


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (GOOD, 2),
        (b'{"svc":"web","namespace":"shop"}', 1),
        (b'{"count":null,"svc":"web","namespace":"shop"}', 1),
        (b'{"count":0,"svc":"web","namespace":"shop"}', 0),
        (b'{"COUNT":3,"Svc":"web","nameSpace":"shop"}', 3),
        (b'{"COUNT":3,"svc":"web","namespace":"shop"}', 3),
        (b'{"Count":3,"count":4,"COUNT":5,"svc":"web","namespace":"shop"}', 4),
        (b'{"Count":3,"COUNT":5,"svc":"web","namespace":"shop"}', 5),
        (b'{"Count":3,"COUNT":null,"svc":"web","namespace":"shop"}', 1),
        (b'{"count":null,"COUNT":5,"svc":"web","namespace":"shop"}', 1),
        (b'{"count":2,"svc":"web","namespace":"shop","Count":"x","zone":{"a":[1]}}', 2),
        (b' {"count":2,"count":7,"svc":"web","namespace":"shop"} ', 7),
        (f'{{"count":{MAX_COUNT},"svc":"web","namespace":"shop"}}'.encode(), MAX_COUNT),
    ],
)
def test_what_any_producer_may_send_is_read(raw: bytes, count: int) -> None:
    assert decode_request_count(raw) == RequestCount(count, "web", "shop")


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (None, "no value (a tombstone)"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"\xef\xbb\xbf" + GOOD, "not JSON"),
        (GOOD + b"x", "not JSON"),
        (GOOD + GOOD, "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "not JSON"),
        (b'{"count":NaN,"svc":"web","namespace":"shop"}', "not JSON"),
        (b"null", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b"[" + GOOD + b"]", "not a JSON object"),
        (b"{}", "svc: Field required (and 1 more)"),
        (b'{"svc":null,"namespace":"shop"}', "svc: Field required"),
        (b'{"svc":["web"],"namespace":"shop"}', "svc: Input should be a valid string"),
        (b'{"svc":"","namespace":"shop"}', "svc: String should match pattern"),
        (b'{"svc":"Web","namespace":"shop"}', "svc: String should match pattern"),
        (b'{"svc":"web\\n","namespace":"shop"}', "svc: String should match pattern"),
        (b'{"svc":"-web","namespace":"shop"}', "svc: String should match pattern"),
        (b'{"svc":"web","namespace":"a.b"}', "namespace: String should match pattern"),
        (b'{"svc":"web","namespace":"shop/x"}', "namespace: String should match pattern"),
        (b'{"svc":"' + b"w" * 64 + b'","namespace":"shop"}', "svc: String should have at most 63"),
        (b'{"count":-1,"svc":"web","namespace":"shop"}', "count: Input should be greater than or equal to 0"),
        (b'{"count":3.0,"svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (b'{"count":1.5,"svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (b'{"count":1e2,"svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (b'{"count":"3","svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (b'{"count":true,"svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (b'{"COUNT":false,"svc":"web","namespace":"shop"}', "count: Input should be a valid integer"),
        (f'{{"count":{MAX_COUNT + 1},"svc":"web","namespace":"shop"}}'.encode(), "count: Input should be less"),
        (b'{"count":1' + b"0" * 400 + b',"svc":"web","namespace":"shop"}', "not JSON"),
    ],
)
def test_what_is_wrong_says_so_and_keeps_its_bytes(raw: bytes | None, cause: str) -> None:
    read = decode_request_count(raw)
    assert isinstance(read, Undecodable)
    assert read.cause.startswith(cause)
    assert len(read.cause) <= MAX_CAUSE
    assert read.raw is raw


def test_a_label_of_63_characters_is_the_longest() -> None:
    longest = "w" * 63
    assert decode_request_count(RequestCount(1, longest, longest).encode()) == RequestCount(1, longest, longest)


def test_one_bad_record_costs_nobody_else_its_place() -> None:
    values = [GOOD, b"{", None, b'{"SVC":"web","namespace":"shop"}', b'{"svc":"web"}', GOOD]
    read = decode_request_counts(values)
    assert [isinstance(one, Undecodable) for one in read] == [False, True, True, False, True, False]
    assert [one.cause for one in read if isinstance(one, Undecodable)] == [
        "not JSON: unexpected end of data: line 1 column 2 (char 1)",
        "no value (a tombstone)",
        "namespace: Field required",
    ]


def test_a_record_can_not_inject_another_one() -> None:
    read = decode_request_counts([GOOD + b"," + GOOD, GOOD])
    assert len(read) == 2
    assert isinstance(read[0], Undecodable)


def test_an_empty_batch_is_an_empty_batch() -> None:
    assert decode_request_counts([]) == []


LABELS = st.from_regex(LABEL_PATTERN, fullmatch=True).filter(lambda text: len(text) <= 63)
SPELLINGS = st.sampled_from(["count", "Count", "svc", "SVC", "namespace", "Namespace", "\u017fvc", "zone"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["web", "shop", "Web", "a" * 64, ""])
    | st.text(max_size=5)
)
JSONISH = st.dictionaries(SPELLINGS, SCALARS | LABELS, max_size=6).map(lambda it: json.dumps(it).encode())


@given(st.lists(JSONISH | st.binary(max_size=40) | st.none() | st.just(GOOD), max_size=8))
@example([GOOD, b'{"count":1}', GOOD])
def test_a_batch_reads_each_record_as_if_it_came_alone(values: list[bytes | None]) -> None:
    assert decode_request_counts(values) == [decode_request_count(value) for value in values]


@given(st.binary(max_size=200) | JSONISH)
def test_no_bytes_raise(raw: bytes) -> None:
    read = decode_request_count(raw)
    assert isinstance(read, RequestCount) or read.raw == raw


@given(st.integers(0, MAX_COUNT), LABELS, LABELS)
def test_what_is_written_is_read_again(count: int, svc: str, namespace: str) -> None:
    written = RequestCount(count, svc, namespace)
    assert decode_request_count(written.encode()) == written
