"""The gateway over real sockets: what resolvers may send, what they are answered, and what is then in the log."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumer.adapters.clock import BrokerClock
from consumer.adapters.memory import MemoryLog, MemoryPublisher, MemoryReader
from consumer.core.service import ServiceKey
from consumer.elastiservice import ResourceText
from consumer.gateway import GatewayPorts, GatewaySettings, HealthReport, serving
from consumer.ports import LogError, Output, Placed, Publisher, Record, TargetBusyError
from consumer.telemetry import Telemetry
from schemas.partitioning import partition_for

TOPIC = "elasti.request-counts"
PARTITIONS = 4
SETTINGS = GatewaySettings(partitions=PARTITIONS, patience=timedelta(seconds=20))
AT_ONCE = replace(SETTINGS, patience=timedelta(milliseconds=1))
INCOMING = "/informer/incoming-request"
BODY = b'{"count":1,"svc":"web","namespace":"shop"}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WEB = ServiceKey("shop", "web")


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog(BrokerClock())
    made.create(TOPIC, PARTITIONS)
    return made


class HeldPublisher:
    """A log that takes its time: acknowledges when it is told to."""

    def __init__(self, log: MemoryLog) -> None:
        self._inner = MemoryPublisher(log)
        self.reached = asyncio.Event()
        self.release = asyncio.Event()
        self.done = asyncio.Event()

    async def publish(self, output: Output) -> Placed:
        self.reached.set()
        await self.release.wait()
        placed = await self._inner.publish(output)
        self.done.set()
        return placed


class AwayPublisher:
    """A log that can not be reached."""

    async def publish(self, output: Output) -> Placed:
        raise LogError(f"{output.topic}: no broker answers; start one")


@dataclass
class Direct:
    """A direct way that notes what it was asked, and can be made to fail or to hang."""

    asked: list[tuple[ServiceKey, str | None]] = field(default_factory=list)
    busy: bool = False
    hangs: bool = False

    async def wake(self, key: ServiceKey, trace: str | None) -> None:
        self.asked.append((key, trace))
        if self.busy:
            raise TargetBusyError(f"{key}: the API server is overloaded; try again")
        if self.hangs:
            await asyncio.Event().wait()


@dataclass(frozen=True)
class Part:
    """A part of the process in a given state."""

    report: HealthReport

    def health(self) -> HealthReport:
        return self.report


@dataclass(frozen=True)
class SharedResources:
    """What is shared of the policies."""

    shared: Mapping[ServiceKey, ResourceText]

    def resources(self) -> Mapping[ServiceKey, ResourceText]:
        return self.shared


@dataclass(frozen=True)
class Caller:
    """A client of one running gateway."""

    session: aiohttp.ClientSession
    base: str
    port: int

    async def call(
        self,
        method: str = "POST",
        path: str = INCOMING,
        *,
        body: bytes = BODY,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str, Mapping[str, str]]:
        async with self.session.request(method, self.base + path, data=body, headers=headers) as response:
            return response.status, await response.text(), response.headers


@asynccontextmanager
async def running(ports: GatewayPorts, settings: GatewaySettings = SETTINGS) -> AsyncIterator[Caller]:
    async with (
        serving(ports, settings, host="127.0.0.1", port=0) as port,
        aiohttp.ClientSession() as session,
    ):
        yield Caller(session, f"http://127.0.0.1:{port}", port)


def ports(publisher: Publisher) -> GatewayPorts:
    return GatewayPorts(publisher, Telemetry("test", "1"))


async def recorded(log: MemoryLog) -> list[Record]:
    reader = MemoryReader(log)
    return [
        record
        for partition in range(PARTITIONS)
        async for batch in reader.read_to_end(TOPIC, partition)
        for record in batch
    ]


def calls(given: GatewayPorts) -> dict[str, float]:
    """Return the counted calls by how they ended."""
    families = text_string_to_metric_families(given.telemetry.render()[0].decode())
    return {
        sample.labels["result"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "elasti_gateway_requests_total"
    }


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
        assert (await caller.call(body=body))[:2] == (400, "Invalid request body")
    assert await recorded(log) == []
    assert calls(given) == {"refused": 1}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_taken(log: MemoryLog, method: str) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        status, text, headers = await caller.call(method)
    assert (status, text, headers["Allow"]) == (405, "Invalid request method", "POST")


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


UP = HealthReport("worker", moving=True, ready=True, detail="12 partitions")
RESTORING = HealthReport("worker", moving=True, ready=False, detail="3 of 12 partitions are restored")
STUCK = HealthReport("handler", moving=False, ready=True)


@pytest.mark.parametrize(
    ("reports", "healthy", "ready"),
    [((), 200, 200), ((UP,), 200, 200), ((UP, RESTORING), 200, 503), ((UP, STUCK), 503, 200)],
)
async def test_health_and_readiness_are_those_of_all_parts(
    log: MemoryLog, reports: tuple[HealthReport, ...], healthy: int, ready: int
) -> None:
    given = replace(ports(MemoryPublisher(log)), health=tuple(Part(report) for report in reports))
    async with running(given) as caller:
        health, text, _ = await caller.call("GET", "/healthz")
        readiness, _, _ = await caller.call("GET", "/readyz")
    assert (health, readiness) == (healthy, ready)
    assert all(report.detail in text for report in reports)


@pytest.mark.parametrize(("simulated", "said"), [(True, "test (SIMULATED)"), (False, "test")])
async def test_a_simulated_cluster_is_called_so(log: MemoryLog, *, simulated: bool, said: str) -> None:
    settings = replace(SETTINGS, cluster="test", simulated=simulated)
    async with (
        running(ports(MemoryPublisher(log)), settings) as caller,
        caller.session.get(caller.base + "/readyz") as response,
    ):
        assert await response.json() == {"ready": True, "cluster": said, "parts": []}


async def test_the_scrape_is_served(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        status, text, headers = await caller.call("GET", "/metrics", headers={"Accept": "text/plain;version=0.0.4"})
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "elasti_build_info" in [family.name for family in text_string_to_metric_families(text)]


async def test_the_resources_are_served_as_kubeelastis_resolvers_poll_them(log: MemoryLog) -> None:
    text = ResourceText("web-policy", b'{"service":"web"}', b'{"mode":"proxy"}')
    given = replace(ports(MemoryPublisher(log)), resources=SharedResources({WEB: text}))
    async with running(given) as caller, caller.session.get(caller.base + "/crd-cache") as response:
        assert response.content_type == "application/json"
        assert await response.json() == {
            "services": {"shop/web": {"name": "web-policy", "spec": {"service": "web"}, "status": {"mode": "proxy"}}}
        }


async def test_a_process_without_policies_has_no_resources_to_serve(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call("GET", "/crd-cache"))[0] == 404
        assert (await caller.call("GET", "/"))[0] == 404


async def test_a_port_that_is_taken_is_an_error_of_the_system(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        with pytest.raises(OSError, match="in use"):
            async with serving(ports(MemoryPublisher(log)), SETTINGS, host="127.0.0.1", port=caller.port):
                pass
