"""Hosts are read as Go's decoder would, except that they must name a service."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Undecodable, decode_host
from schemas.host import Host

FROM_GO = (
    b'{"IncomingHost":"web.shop.svc","Namespace":"shop","SourceService":"web","TargetService":"elasti-web-pvt-1",'
    b'"SourceHost":"http://web.shop.svc:80","TargetHost":"http://elasti-web-pvt-1.shop.svc:80","TrafficAllowed":true}'
)


def test_the_resolvers_own_message_is_read() -> None:
    host = decode_host(FROM_GO)
    assert host == Host(
        incoming_host="web.shop.svc",
        namespace="shop",
        source_service="web",
        target_service="elasti-web-pvt-1",
        source_host="http://web.shop.svc:80",
        target_host="http://elasti-web-pvt-1.shop.svc:80",
        traffic_allowed=True,
        traffic_disable_scheduled=False,
    )


def test_keys_may_have_any_case_and_unknown_ones_are_ignored() -> None:
    raw = b'{"namespace":"shop","SOURCESERVICE":"web","trafficallowed":true,"trafficDisableScheduled":true,"x":1}'
    assert decode_host(raw) == Host(
        namespace="shop", source_service="web", traffic_allowed=True, traffic_disable_scheduled=True
    )


def test_the_exact_spelling_wins_else_the_last() -> None:
    both = decode_host(b'{"Namespace":"shop","namespace":"other","sourceservice":"a","SOURCESERVICE":"b"}')
    assert both == Host(namespace="shop", source_service="b")


def test_what_is_missing_or_null_is_gos_zero_value() -> None:
    raw = b'{"Namespace":"shop","SourceService":"web","TrafficAllowed":null,"IncomingHost":null}'
    assert decode_host(raw) == Host(namespace="shop", source_service="web")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"Namespace": None}, "Namespace: Field required"),
        ({"SourceService": "Web"}, "SourceService: String should match pattern"),
        ({"SourceService": ""}, "SourceService: String should match pattern"),
        ({"IncomingHost": "h" * 260}, "IncomingHost: String should have at most 259"),
        ({"SourceHost": "h" * 1025}, "SourceHost: String should have at most 1024"),
        ({"TrafficAllowed": 1}, "TrafficAllowed: Input should be a valid boolean"),
        ({"TrafficAllowed": "true"}, "TrafficAllowed: Input should be a valid boolean"),
        ({"IncomingHost": 7}, "IncomingHost: Input should be a valid string"),
    ],
)
def test_what_is_wrong_says_so(change: dict[str, object], cause: str) -> None:
    raw = json.dumps({**json.loads(FROM_GO), **change}).encode()
    host = decode_host(raw)
    assert isinstance(host, Undecodable)
    assert host.cause.startswith(cause)
    assert host.raw == raw


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"\xff", b"{", FROM_GO + b" x"])
def test_what_is_no_object_is_no_host(raw: bytes | None) -> None:
    assert isinstance(decode_host(raw), Undecodable)


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(decode_host(raw), (Host, Undecodable))


@given(st.text(max_size=259), st.booleans(), st.booleans())
def test_what_is_written_is_read_again(incoming: str, allowed: bool, scheduled: bool) -> None:
    host = Host(
        incoming_host=incoming,
        namespace="shop",
        source_service="web",
        traffic_allowed=allowed,
        traffic_disable_scheduled=scheduled,
    )
    assert decode_host(host.encode()) == host
