"""What the gateway's tests stand on: publishers that wait or are away, a direct way, and a caller on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from consumer.adapters.memory import MemoryLog, MemoryPublisher, MemoryReader
from consumer.core.service import ServiceKey
from consumer.elastiservice import ResourceText
from consumer.gateway import GatewayPorts, GatewaySettings, HealthReport, serving
from consumer.ports import LogError, Output, Placed, Publisher, Record, TargetBusyError
from consumer.telemetry import Telemetry

TOPIC = "elasti.request-counts"
PARTITIONS = 4
SETTINGS = GatewaySettings(patience=timedelta(seconds=20))
AT_ONCE = replace(SETTINGS, patience=timedelta(milliseconds=1))
INCOMING = "/informer/incoming-request"
BODY = b'{"count":1,"svc":"web","namespace":"shop"}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WEB = ServiceKey("shop", "web")


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
    read: asyncio.Event = field(default_factory=asyncio.Event)

    async def listed(self) -> None:
        await self.read.wait()

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
    return GatewayPorts(publisher, Telemetry("test", "1"), lambda: PARTITIONS)


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
