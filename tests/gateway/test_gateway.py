"""The gateway over real sockets: what resolvers may send, what they are answered, and what is then in the log."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.gateway import serving
from schemas.partitioning import partition_for
from tests.gateway.bed import (
    AT_ONCE,
    BODY,
    INCOMING,
    PARTITIONS,
    SETTINGS,
    TRACE,
    WEB,
    AwayPublisher,
    Caller,
    Direct,
    HeldPublisher,
    calls,
    ports,
    recorded,
    running,
)


async def test_a_request_is_in_the_log_when_it_is_answered_as_kubeelasti_does(log: MemoryLog) -> None:
    given = ports(MemoryPublisher(log))
    async with running(given) as caller:
        status, text, headers = await caller.call(headers={"traceparent": TRACE})
    assert (status, text) == (200, '{"message":"Request received successfully!"}')
    assert headers["Content-Type"].split(";")[0] == "application/json"
    (record,) = await recorded(log)
    assert (record.key, record.value) == (b"shop/web", BODY)
    assert record.partition == partition_for("shop", "web", PARTITIONS)
    assert record.headers == (("content-type", b"application/json"), ("traceparent", TRACE.encode()))
    assert calls(given) == {"logged": 1}


async def test_a_request_goes_into_the_topic_of_its_namespace_where_that_has_one(log: MemoryLog) -> None:
    log.create("elasti.request-counts.shop", PARTITIONS)
    async with running(ports(MemoryPublisher(log)), replace(SETTINGS, tenants=("shop",))) as caller:
        assert (await caller.call())[0] == 200
        assert (await caller.call(body=b'{"svc":"web","namespace":"bank"}'))[0] == 200
    assert [record.key for record in log.records("elasti.request-counts.shop")] == [b"shop/web"]
    assert [record.key for record in await recorded(log)] == [b"bank/web"]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"Count":3,"SVC":"web","nameSpace":"shop","more":[1]}', b'{"count":3,"svc":"web","namespace":"shop"}'),
        (b'{"svc":"web","namespace":"shop"}', BODY),
        (b'{"count":null,"svc":"web","namespace":"shop"}', BODY),
        (b'{"count":0,"svc":"web","namespace":"shop"}', b'{"count":0,"svc":"web","namespace":"shop"}'),
        (b" " + BODY + b'\n{"count":2} rubbish', BODY),
        (b'{"svc":"web","namespace":"shop"}}', BODY),
    ],
)
async def test_what_kubeelasti_can_read_is_read(log: MemoryLog, body: bytes, value: bytes) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call(body=body))[0] == 200
    assert [record.value for record in await recorded(log)] == [value]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"nonsense",
        b"[1] {}",
        b'"text" more',
        b"\xff\xfe{}",
        b"[" * 5_000,
        b'{"a":' * 3_000,
        b'{"count":"1","svc":"web","namespace":"shop"}',
        b'{"count":1.0,"svc":"web","namespace":"shop"}',
        b'{"count":1.5,"svc":"web","namespace":"shop"} {}',
        b'{"count":-1,"svc":"web","namespace":"shop"}',
        b'{"count":true,"svc":"web","namespace":"shop"}',
        b'{"count":1,"svc":"Web","namespace":"shop"}',
        b'{"count":1,"svc":"web","namespace":"a/b"}',
    ],
)
async def test_a_bad_body_is_refused_and_not_recorded(log: MemoryLog, body: bytes) -> None:
    given = ports(MemoryPublisher(log))
    async with running(given) as caller:
        assert (await caller.call(body=body))[:2] == (400, "Invalid request body\n")
    assert await recorded(log) == []
    assert calls(given) == {"refused": 1}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_taken(log: MemoryLog, method: str) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        status, text, headers = await caller.call(method)
    assert (status, text, headers["Allow"]) == (405, "Invalid request method\n", "POST")


async def test_a_body_at_the_limit_is_read_and_a_larger_one_is_not(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call(body=BODY.ljust(SETTINGS.body_limit)))[0] == 200
        status, text, _ = await caller.call(body=BODY.ljust(SETTINGS.body_limit + 1))
    assert status == 413
    assert str(SETTINGS.body_limit) in text


async def test_a_body_that_is_not_encoded_as_it_says_is_refused(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
        head = f"POST {INCOMING} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(BODY)}\r\n\r\n"
        writer.write(head.encode() + BODY)
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert await recorded(log) == []


async def test_a_trace_that_is_none_is_not_passed_on(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        await caller.call(headers={"traceparent": "00-nothing"})
    assert [name for name, _ in (await recorded(log))[0].headers] == ["content-type"]


async def test_many_requests_at_once_are_all_recorded(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        bodies = [b'{"count":1,"svc":"web-%d","namespace":"shop"}' % number for number in range(200)]
        answers = await asyncio.gather(*(caller.call(body=body) for body in bodies))
    assert {status for status, _, _ in answers} == {200}
    records = await recorded(log)
    assert {record.value for record in records} == set(bodies)
    assert all(
        record.partition == partition_for(*(record.key or b"").decode().split("/"), PARTITIONS) for record in records
    )


async def test_without_a_log_and_a_direct_way_the_caller_is_told_to_come_back() -> None:
    given = ports(AwayPublisher())
    async with running(given) as caller:
        status, text, headers = await caller.call()
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "send it again" in text
    assert calls(given) == {"unavailable": 1}


async def test_without_a_log_the_direct_way_wakes() -> None:
    direct = Direct()
    given = replace(ports(AwayPublisher()), direct=direct)
    async with running(given) as caller:
        assert (await caller.call(headers={"traceparent": TRACE}))[0] == 200
    assert direct.asked == [(WEB, TRACE)]
    assert calls(given) == {"woken-directly": 1}


async def test_before_kafka_was_ever_reached_the_direct_way_wakes_at_once(log: MemoryLog) -> None:
    direct, publisher = Direct(), MemoryPublisher(log)
    async with running(replace(ports(publisher), partitions=lambda: None, direct=direct)) as caller:
        assert (await caller.call())[0] == 200
    async with running(replace(ports(publisher), partitions=lambda: None)) as caller:
        assert (await caller.call())[0] == 503
    assert direct.asked == [(WEB, None)]
    assert await recorded(log) == []


async def test_zero_requests_wake_nobody_directly() -> None:
    direct = Direct()
    async with running(replace(ports(AwayPublisher()), direct=direct)) as caller:
        assert (await caller.call(body=BODY.replace(b":1", b":0")))[0] == 503
    assert direct.asked == []


@pytest.mark.parametrize("direct", [Direct(busy=True), Direct(hangs=True)])
async def test_when_the_direct_way_fails_too_the_caller_is_told_to_come_back(direct: Direct) -> None:
    settings = replace(SETTINGS, direct_patience=timedelta(milliseconds=10))
    async with running(replace(ports(AwayPublisher()), direct=direct), settings) as caller:
        assert (await caller.call())[0] == 503
    assert direct.asked == [(WEB, None)]


async def test_a_record_that_is_late_is_not_called_back(log: MemoryLog) -> None:
    publisher = HeldPublisher(log)
    async with running(ports(publisher), AT_ONCE) as caller:
        assert (await caller.call())[0] == 503
        publisher.release.set()
        await publisher.done.wait()
    assert [record.value for record in await recorded(log)] == [BODY]


async def test_what_nobody_waits_for_does_not_hold_up_the_end(log: MemoryLog) -> None:
    async with running(ports(HeldPublisher(log)), AT_ONCE) as caller:
        assert (await caller.call())[0] == 503
    assert await recorded(log) == []


async def test_beyond_so_many_waiting_records_requests_are_refused_at_once(log: MemoryLog) -> None:
    publisher = HeldPublisher(log)
    async with running(ports(publisher), replace(SETTINGS, most_pending=1)) as caller, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(caller.call())
        await publisher.reached.wait()
        assert (await caller.call())[0] == 503
        publisher.release.set()
        assert (await waiting)[0] == 200
        assert (await caller.call())[0] == 200


async def test_a_request_that_is_being_answered_is_waited_for_at_the_end(log: MemoryLog) -> None:
    publisher = HeldPublisher(log)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        async with serving(ports(publisher), SETTINGS, host="127.0.0.1", port=0) as port:
            caller = Caller(session, f"http://127.0.0.1:{port}", port)
            waiting = tasks.create_task(caller.call())
            await publisher.reached.wait()
            asyncio.get_running_loop().call_soon(publisher.release.set)
        assert (await waiting)[0] == 200
    assert len(await recorded(log)) == 1


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(log: MemoryLog) -> None:
    settings = replace(SETTINGS, read_timeout=timedelta(milliseconds=10))
    async with running(ports(MemoryPublisher(log)), settings) as caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
        writer.write(f"POST {INCOMING} HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n".encode())
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_connection_that_never_sends_a_header_is_closed(log: MemoryLog) -> None:
    settings = replace(SETTINGS, keepalive=timedelta(milliseconds=20))
    async with running(ports(MemoryPublisher(log)), settings) as caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: ")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_headers_without_end_are_refused(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call(headers={"X-Long": "x" * 20_000}))[0] == 400
