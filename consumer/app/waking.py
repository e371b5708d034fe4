"""Waking many services in an orderly way: through the log, so that it is explained, or directly in the cluster."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from consumer.app.places import ClusterPlace, LogPlace
from consumer.core.service import ServiceKey
from consumer.ports import (
    Change,
    Clock,
    Holding,
    LogError,
    Output,
    TargetError,
    TargetGoneError,
    TargetKey,
    TargetMovedError,
    TargetView,
)
from schemas.cloudevents import CONTENT_TYPE
from schemas.codec import Undecodable, decode
from schemas.partitioning import partition_for, record_key
from schemas.request_count import RequestCount
from schemas.service_status import ServiceStatus
from schemas.topics import Topic

PRODUCER: Final = "elasti-producer"
"""The header that says whose request it was: `elasti wake` by a person, not traffic."""
_ATTEMPTS: Final = 5
_LOOK_AGAIN: Final = timedelta(seconds=1)


class Standing(StrEnum):
    """What came of one wake."""

    ASKED = "asked"
    READY = "ready"
    AWAKE = "awake already"
    WOKEN = "woken"
    WAITING = "not ready in time"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Woken:
    """One service, and what came of waking it."""

    key: ServiceKey
    standing: Standing
    detail: str = ""


Wake = Callable[[ServiceKey], Awaitable[Woken]]


async def paced(
    keys: Sequence[ServiceKey], wake: Wake, clock: Clock, *, interval: timedelta, told: Callable[[Woken], None]
) -> Sequence[Woken]:
    """Begin one wake per `interval`; `told` hears of each as soon as it is through."""
    results: dict[ServiceKey, Woken] = {}

    async def one(key: ServiceKey) -> None:
        results[key] = await wake(key)
        told(results[key])

    async with asyncio.TaskGroup() as tasks:
        for number, key in enumerate(keys):
            if number:
                await clock.sleep(interval)
            tasks.create_task(one(key))
    return [results[key] for key in keys]


def by_log(log: LogPlace, by: str) -> Wake:
    """Wake by a request of one: the worker decides it, and the log explains it."""
    topic = Topic.REQUEST_COUNTS.under(log.prefix)
    headers = ((CONTENT_TYPE, b"application/json"), (PRODUCER, f"elasti wake by {by}".encode()))

    async def wake(key: ServiceKey) -> Woken:
        partition = partition_for(key.namespace, key.name, log.partitions)
        value = RequestCount(count=1, svc=key.name, namespace=key.namespace).encode()
        try:
            placed = await log.publisher.publish(
                Output(topic, partition, record_key(key.namespace, key.name), value, headers)
            )
        except LogError as error:
            return Woken(key, Standing.FAILED, str(error))
        return Woken(key, Standing.ASKED, f"{placed.topic}/{placed.partition}@{placed.offset}")

    return wake


def by_hand(cluster: ClusterPlace, holdings: Mapping[ServiceKey, Holding]) -> Wake:
    """Wake by the same conditional change that a handler makes, and nothing else in between."""

    async def wake(key: ServiceKey) -> Woken:
        holding = holdings.get(key)
        if holding is None or holding.target is None:
            return Woken(key, Standing.FAILED, "no ElastiService names it")
        wanted = max(holding.min_replicas, 1)
        try:
            view = await _raised(cluster, holding.target, wanted)
        except TargetError as error:
            return Woken(key, Standing.FAILED, str(error))
        left = await _unpaused(cluster, holding)
        if view is None:
            return Woken(key, Standing.AWAKE, left)
        return Woken(key, Standing.WOKEN, f"{holding.target.ref} from 0 to {view.replicas}{left}")

    return wake


async def _unpaused(cluster: ClusterPlace, holding: Holding) -> str:
    """Let KEDA scale again: what it is held to at zero it would put there again; returns what is left to be done."""
    if holding.autoscaler is None:
        return ""
    try:
        await cluster.autoscalers.resume(holding.autoscaler)
    except (TargetGoneError, TargetMovedError):
        # There is none any more, or somebody else paused it and will end that.
        return ""
    except TargetError as error:
        return f"; {holding.autoscaler} is still paused: {error}"
    return ""


async def _raised(cluster: ClusterPlace, target: TargetKey, wanted: int) -> TargetView | None:
    """Raise a target that is at zero; None when it is not."""
    for _ in range(_ATTEMPTS):
        view = await cluster.targets.look(target)
        if view.replicas > 0:
            return None
        try:
            return await cluster.targets.scale(target, Change(0, wanted))
        except TargetMovedError:
            # Somebody was quicker; look what they made of it.
            continue
    return await cluster.targets.scale(target, Change(0, wanted))


Ready = Callable[[], Awaitable[frozenset[ServiceKey]]]


async def until_ready(woken: Sequence[Woken], ready: Ready, clock: Clock, *, patience: timedelta) -> Sequence[Woken]:
    """Look once a second until all that were woken have a ready replica, or patience ends."""
    waiting = {one.key for one in woken if one.standing is not Standing.FAILED}
    end = clock.read().now + patience
    up: frozenset[ServiceKey] = frozenset()
    while not waiting <= (up := up | await ready()) and clock.read().now < end:
        await clock.sleep(_LOOK_AGAIN)
    return [_after(one, up) if one.key in waiting else one for one in woken]


def _after(one: Woken, up: frozenset[ServiceKey]) -> Woken:
    return Woken(one.key, Standing.READY if one.key in up else Standing.WAITING, one.detail)


def ready_in_cluster(cluster: ClusterPlace, targets: Mapping[ServiceKey, TargetKey]) -> Ready:
    """Ask the cluster."""

    async def ready() -> frozenset[ServiceKey]:
        up = set()
        for key, target in targets.items():
            try:
                view = await cluster.targets.look(target)
            except TargetError:
                continue
            if view.ready > 0:
                up.add(key)
        return frozenset(up)

    return ready


def ready_by_log(log: LogPlace) -> Ready:
    """Ask what the worker last said of each."""

    async def ready() -> frozenset[ServiceKey]:
        known = await statuses(log)
        return frozenset(key for key, status in known.items() if status.replicas and status.ready_replicas)

    return ready


async def statuses(log: LogPlace) -> Mapping[ServiceKey, ServiceStatus]:
    """Return the present of every service, as the log has it; raises LogError."""
    known: dict[ServiceKey, ServiceStatus] = {}
    for partition in range(log.partitions):
        async for records in log.reader.read_to_end(Topic.SERVICE_STATUS.under(log.prefix), partition):
            for record in records:
                status = decode(ServiceStatus, record.value) if record.value is not None else None
                if isinstance(status, ServiceStatus):
                    known[ServiceKey(status.namespace, status.service)] = status
                elif status is None and record.key is not None:
                    _forget(known, record.key)
                else:
                    assert isinstance(status, Undecodable)  # noqa: S101 - there is no other answer
    return known


def _forget(known: dict[ServiceKey, ServiceStatus], key: bytes) -> None:
    try:
        known.pop(ServiceKey.parse(key.decode()), None)
    except ValueError:
        # A key that no service has.
        return
