"""KubeElasti's resolver, byte by byte: what its v0.1.30 puts on the wire, as recorded, and what it is answered."""

import asyncio
from dataclasses import replace

import orjson

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.elastiservice import ResourceText
from tests.gateway.bed import BODY, WEB, AwayPublisher, Caller, Direct, SharedResources, ports, recorded, running

INCOMING = (
    b"POST /informer/incoming-request HTTP/1.1\r\n"
    b"Host: op.elasti.svc.cluster.local:43491\r\n"
    b"User-Agent: Go-http-client/1.1\r\n"
    b"Content-Length: 42\r\n"
    b"Content-Type: application/json\r\n"
    b"Accept-Encoding: gzip\r\n"
    b"\r\n"
    b'{"count":1,"svc":"web","namespace":"shop"}'
)
CRD_CACHE = (
    b"GET /crd-cache HTTP/1.1\r\n"
    b"Host: op.elasti.svc.cluster.local:43491\r\n"
    b"User-Agent: Go-http-client/1.1\r\n"
    b"Accept-Encoding: gzip\r\n"
    b"\r\n"
)


async def exchanged(caller: Caller, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send requests over one connection, as the resolver's pool does, and read the answer to each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
    answers = []
    for request in requests:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        # What has no length is chunked, which a Go client reads as well; ours always have one.
        body = await reader.readexactly(int(headers["content-length"]))
        answers.append((int(head[0].split()[1]), headers, body))
    writer.close()
    await writer.wait_closed()
    return answers


async def test_a_request_is_recorded_and_answered_with_the_words_that_the_operator_uses(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        first, second = await exchanged(caller, INCOMING, INCOMING)
    for status, headers, body in (first, second):
        assert (status, headers["content-type"]) == (200, "application/json")
        assert body == b'{"message":"Request received successfully!"}'
    assert [record.value for record in await recorded(log)] == [BODY, BODY]


async def test_while_kafka_is_away_it_is_answered_the_same(log: MemoryLog) -> None:
    direct = Direct()
    async with running(replace(ports(AwayPublisher()), direct=direct)) as caller:
        ((status, _, body),) = await exchanged(caller, INCOMING)
    assert (status, body) == (200, b'{"message":"Request received successfully!"}')
    assert direct.asked == [(WEB, None)]


async def test_what_is_refused_is_refused_in_the_operators_words(log: MemoryLog) -> None:
    bad = INCOMING.replace(b'"count":1', b'"count":x')
    wrong = INCOMING.replace(b"POST", b"PUT", 1)
    async with running(ports(MemoryPublisher(log))) as caller:
        answers = await exchanged(caller, bad, wrong)
    assert [(status, body) for status, _, body in answers] == [
        (400, b"Invalid request body\n"),
        (405, b"Invalid request method\n"),
    ]
    for _, headers, _ in answers:
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert headers["x-content-type-options"] == "nosniff"


async def test_the_resources_come_as_the_resolver_decodes_them(log: MemoryLog) -> None:
    spec = b'{"service":"web","probeResponse":[{"response":{"status":200,"body":"{}"}}]}'
    shared = SharedResources({WEB: ResourceText("web-policy", spec, b'{"mode":"proxy"}')})
    shared.read.set()
    async with running(replace(ports(MemoryPublisher(log)), resources=shared)) as caller:
        ((status, headers, body),) = await exchanged(caller, CRD_CACHE)
    assert (status, headers["content-type"]) == (200, "application/json")
    entry = {"name": "web-policy", "spec": orjson.loads(spec), "status": {"mode": "proxy"}}
    assert orjson.loads(body) == {"services": {"shop/web": entry}}
