"""Whatever a caller sends is answered in HTTP or cut off; nothing of it ends the gateway, or is an error of ours."""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumer.adapters.clock import BrokerClock
from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.gateway import GatewayPorts, serving
from consumer.gateway.pages import RECEIVED
from consumer.telemetry import Telemetry
from schemas.topics import Topic
from tests.fuzz.poison import Shown, values
from tests.gateway.bed import BODY, PARTITIONS, SETTINGS, TOPIC, Direct

PATHS = (
    b"/informer/incoming-request",
    b"/internal/wake",
    b"/metrics",
    b"/healthz",
    b"/readyz",
    b"/crd-cache",
    b"/",
    b"*",
    b"//informer/../metrics",
    b"/%ff%00",
    b"/" + b"p" * 20_000,
    b"http://[::1",
    b"/metrics?a=%zz",
)
METHODS = (b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"post", b"M" * 100, b"\xff")
LINES = (
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"traceparent: \xff\xfe",
    b"traceparent: \xc3\xa9",
    b"traceparent: ",
    b"accept: \xff",
    b"accept: text/plain;q=zz,*/*;;=",
    b"accept: application/openmetrics-text; version=1.0.0",
    b"content-type: application/json; charset=nonsense",
    b"content-type: \x80",
    b"content-encoding: gzip",
    b"content-encoding: br",
    b"content-encoding: \xff",
    b"transfer-encoding: chunked",
    b"transfer-encoding: chunked, chunked",
    b"content-length: 5",
    b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"expect: 100-continue",
    b"upgrade: websocket\r\nconnection: upgrade",
    b"cookie: \xff=\xfe; ;;=",
    b"if-none-match: \xff",
    b"range: bytes=\xff",
    b"authorization: Bearer \xff",
    b"host: \xff",
    b"x: " + b"h" * 10_000,
    b"no colon",
    b": no name",
    b" folded",
)
SERVER_ERROR = b"HTTP/1.1 500"
# A whole body: of what it can not read the server repeats a part, and that may be these words.
TAKEN = b"\r\n\r\n" + RECEIVED


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as somebody may write it to a socket."""
    body = draw(values(Topic.REQUEST_COUNTS).map(lambda value: (value or b"")[:20_000]) | st.just(BOMB))
    lines = draw(st.lists(st.sampled_from(LINES) | st.binary(max_size=30), max_size=4))
    if draw(st.integers(0, 4)):
        lines.append(b"content-length: %d" % len(body))
    first = b"%b %b HTTP/%b" % (
        draw(st.sampled_from(METHODS) | st.just(b"POST")),
        draw(st.sampled_from(PATHS) | st.sampled_from(PATHS[:2])),
        draw(st.sampled_from((b"1.1", b"1.1", b"1.0", b"2", b"x"))),
    )
    return Shown(b"\r\n".join((first, b"host: gateway", *lines, b"", body)))


def _right(line: bytes) -> bytes:
    """A request as it should be, but for one line of its head."""
    first = b"POST /informer/incoming-request HTTP/1.1\r\nhost: gateway\r\ncontent-length: %d\r\n" % len(BODY)
    return Shown(first + line + b"\r\n\r\n" + BODY)


BOMB = gzip.compress(b" " * 5_000_000)


@settings(max_examples=max(settings().max_examples // 3, 1), suppress_health_check=[HealthCheck.too_slow])
@example([_right(line) for line in LINES])
@given(st.lists(requests() | st.binary(max_size=60).map(Shown), min_size=1, max_size=8))
def test_any_bytes_are_answered_or_cut_off_and_the_gateway_goes_on(sent: Sequence[bytes]) -> None:
    answers, records = asyncio.run(_answered([bytes(each) for each in sent]))
    assert not [answer for answer in answers if answer.startswith(SERVER_ERROR)]
    # Each that was told so is in the log, and what is in the log was asked for.
    taken = [answer for answer in answers if TAKEN in answer]
    assert len(taken) <= records


# Whatever is sent, its connection is closed by then.
HANGS = 60
# What never comes is not what these tests are about.
_SOON = timedelta(milliseconds=50)
BRIEF = replace(SETTINGS, read_timeout=_SOON, keepalive=_SOON, linger=_SOON)


async def _answered(sent: Sequence[bytes]) -> tuple[list[bytes], int]:
    log = MemoryLog(BrokerClock())
    log.create(TOPIC, PARTITIONS)
    ports = GatewayPorts(MemoryPublisher(log), Telemetry("test", "1"), lambda: PARTITIONS, handler=Direct())
    async with asyncio.timeout(HANGS), serving(ports, BRIEF, host="127.0.0.1", port=0) as port:
        answers = await asyncio.gather(*(_exchange(port, each) for each in sent))
        assert (await _exchange(port, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200")
    return answers, len(log.records(TOPIC))


async def _exchange(port: int, sent: bytes) -> bytes:
    """Send, and read to the end: whatever is still waited for then, is not waited for long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
