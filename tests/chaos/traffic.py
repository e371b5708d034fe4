"""The traffic of a run: every request of the plan, and a ledger of what was acknowledged, and when."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import orjson

from consumer.adapters.kafka import KafkaConnection, KafkaPublisher
from consumer.children import HOST
from consumer.ports import LogError, Output
from schemas.cloudevents import CONTENT_TYPE, TRACEPARENT
from schemas.partitioning import partition_for, record_key
from schemas.topics import Topic
from tests.chaos.fleet import NAMESPACE
from tests.chaos.plan import Call, Way

_PATIENCE = 6.0
_TRIES = 3
_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was acknowledged: it must wake."""

    call: Call
    sent: datetime
    acknowledged: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the gateways' ports, and the log."""

    gateways: Sequence[int]
    bootstrap: tuple[str, ...]
    prefix: str
    partitions: int


@dataclass(slots=True)
class Traffic:
    """Plays the requests of a plan against the system."""

    target: Target
    ledger: list[Entry] = field(default_factory=list)
    refused: list[Call] = field(default_factory=list)
    late: timedelta = timedelta()
    """How far behind its plan the traffic was at most: the machine's fault."""

    async def play(self, calls: Sequence[Call], began: datetime) -> None:
        """Send each at its time, and return when all have their answers."""
        publisher = KafkaPublisher(KafkaConnection(",".join(self.target.bootstrap), client_id="chaos"))
        connector = aiohttp.TCPConnector(limit=0)
        limit = aiohttp.ClientTimeout(total=_PATIENCE)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as http,
                asyncio.TaskGroup() as tasks,
            ):
                for call in calls:
                    due = began + call.at
                    await asyncio.sleep(max((due - datetime.now(UTC)).total_seconds(), 0))
                    self.late = max(self.late, datetime.now(UTC) - due)
                    tasks.create_task(self.send(call, http, publisher))
        finally:
            await publisher.close()

    async def send(self, call: Call, http: aiohttp.ClientSession, publisher: KafkaPublisher) -> None:
        """Send one request, and again while it is refused, as a resolver does."""
        for attempt in range(_TRIES):
            sent = datetime.now(UTC)
            if call.way is Way.GATEWAY:
                taken = await self._by_gateway(call, http, attempt)
            else:
                taken = await self._by_log(call, publisher)
            if taken:
                self.ledger.append(Entry(call, sent, datetime.now(UTC)))
                return
        self.refused.append(call)

    async def _by_gateway(self, call: Call, http: aiohttp.ClientSession, attempt: int) -> bool:
        port = self.target.gateways[(call.door + attempt) % len(self.target.gateways)]
        url = f"http://{HOST}:{port}/informer/incoming-request"
        body = {"count": 1, "svc": call.service, "namespace": NAMESPACE}
        try:
            async with http.post(url, json=body, headers={TRACEPARENT: call.trace}) as answer:
                taken = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            taken = False
        if not taken:
            await asyncio.sleep(_AGAIN)
        return taken

    async def _by_log(self, call: Call, publisher: KafkaPublisher) -> bool:
        partition = partition_for(NAMESPACE, call.service, self.target.partitions)
        key: bytes | None = record_key(NAMESPACE, call.service)
        if call.way is Way.ASTRAY:
            partition, key = call.door % self.target.partitions, None
        output = Output(
            topic=Topic.REQUEST_COUNTS.under(self.target.prefix),
            partition=partition,
            key=key,
            value=orjson.dumps({"count": 1, "svc": call.service, "namespace": NAMESPACE}),
            headers=((CONTENT_TYPE, b"application/json"), (TRACEPARENT, call.trace.encode())),
        )
        try:
            await publisher.publish(output)
        except LogError:
            return False
        return True
