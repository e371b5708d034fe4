"""From the body of a resolver's call to a record that the log has."""

import asyncio
import json
from datetime import timedelta
from typing import NamedTuple

import structlog

from consumer.gateway.wiring import GatewaySettings
from consumer.ports import LogError, Output, Publisher
from schemas.cloudevents import CONTENT_TYPE, TRACEPARENT
from schemas.codec import Undecodable, decode_request_count
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount

log = structlog.get_logger(__name__)

_JSON = json.JSONDecoder()


class Place(NamedTuple):
    """Where requests go, and the number of partitions that this topic has."""

    topic: str
    partitions: int


def request_in(body: bytes) -> RequestCount | Undecodable:
    """Read a body as KubeElasti's operator does: keys in any case, and whatever follows the first value is ignored."""
    request = decode_request_count(body)
    if isinstance(request, RequestCount):
        return request
    first = _first_value(body)
    return request if first is None else decode_request_count(first)


def output_for(request: RequestCount, place: Place, trace: str | None) -> Output:
    """Return the record of a request, in the partition of its service."""
    headers = ((CONTENT_TYPE, b"application/json"),)
    return Output(
        topic=place.topic,
        partition=partition_for(request.namespace, request.svc, place.partitions),
        key=record_key(request.namespace, request.svc),
        value=request.encode(),
        headers=(*headers, (TRACEPARENT, trace.encode())) if trace else headers,
    )


class Delivery:
    """Hands records to the log, many at a time: its producer makes batches of what waits together."""

    def __init__(self, publisher: Publisher, tasks: asyncio.TaskGroup, settings: GatewaySettings) -> None:
        self._publisher = publisher
        self._tasks = tasks
        self._patience = settings.patience
        self._most = settings.most_pending
        self._pending: set[asyncio.Task[LogError | None]] = set()

    async def take(self, output: Output) -> bool:
        """Tell whether the log has the record within the time; a late record is not called back, it only wakes."""
        if len(self._pending) >= self._most:
            log.warning("log takes nothing", pending=len(self._pending))
            return False
        task = self._tasks.create_task(self._publish(output))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        # Waiting gives up, publishing does not: a cancelled send can leave a producer half open.
        done, _ = await asyncio.wait((task,), timeout=self._patience / timedelta(seconds=1))
        if not done:
            log.warning("log is slow", topic=output.topic, partition=output.partition, patience=str(self._patience))
            return False
        return task.result() is None

    def give_up(self) -> None:
        """Cancel what nobody waits for any more."""
        for task in tuple(self._pending):
            task.cancel()

    async def _publish(self, output: Output) -> LogError | None:
        try:
            await self._publisher.publish(output)
        except LogError as error:
            log.warning("log refused a request", topic=output.topic, partition=output.partition, error=str(error))
            return error
        return None


def _first_value(body: bytes) -> bytes | None:
    """Return the first JSON value when it is an object with something behind it."""
    try:
        text = body.decode().lstrip(" \t\r\n")
        value, end = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end].encode() if isinstance(value, dict) and end < len(text) else None
