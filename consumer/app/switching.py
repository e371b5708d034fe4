"""Freezes and modes, set and shown in both places that hold them: the log and the cluster."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from consumer.app.places import LogPlace, Places, UnnamedError
from consumer.core.control import Control, Controls
from consumer.core.reasons import span, stamp
from consumer.ports import LogError, Output, TargetError
from consumer.settings import Settings
from consumer.wire.controls import switched
from consumer.wire.messages import control_message
from schemas.cloudevents import CloudEvent, EventType, source
from schemas.codec import Undecodable
from schemas.topics import Topic

_ROLE: Final = "cli"
_PATIENCE: Final = timedelta(seconds=20)
"""A place that hangs must not keep a person from hearing that the other one took it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a place took a change, or what was in its way; `named`: a setting names it at all."""

    place: str
    trouble: str = ""
    named: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What a place holds, or why it can not be told."""

    taken: Taken
    controls: Sequence[Control] = ()


async def switch(
    places: Places, settings: Settings, controls: Sequence[Control], *, patience: timedelta = _PATIENCE
) -> Sequence[Taken]:
    """Apply these in every place at once; whatever is away, or silent, does not stop the other."""

    async def in_log() -> None:
        async with places.log(settings) as log:
            book = await _book(log)
            topic = Topic.CONTROL.under(log.prefix)
            for control in controls:
                message = control_message(book, control, log.cluster)
                event = CloudEvent(
                    type=EventType.CONTROL,
                    id=f"{control.key_pattern}:{control.kind}:{stamp(control.at)}",
                    source=source(log.cluster, _ROLE),
                    subject=control.key_pattern,
                    time=control.at,
                )
                key = control.key_pattern.encode()
                await log.publisher.publish(Output(topic, 0, key, message.encode(), event.headers()))
                book = book.apply(control)

    async def in_cluster() -> None:
        async with places.cluster(settings) as cluster:
            await cluster.switches.apply(controls)

    return await asyncio.gather(
        _tried(_log_name(settings), in_log, patience), _tried(_cluster_name(settings), in_cluster, patience)
    )


async def shown(places: Places, settings: Settings) -> Sequence[Shown]:
    """Return what is switched, place by place."""
    found: dict[str, Sequence[Control]] = {}

    async def in_log() -> None:
        async with places.log(settings) as log:
            book = await _book(log)
        found[_log_name(settings)] = (*book.freezes.values(), *book.modes.values())

    async def in_cluster() -> None:
        async with places.cluster(settings) as cluster:
            found[_cluster_name(settings)] = await _first(cluster.switches.follow())

    taken = await asyncio.gather(
        _tried(_log_name(settings), in_log, _PATIENCE), _tried(_cluster_name(settings), in_cluster, _PATIENCE)
    )
    return [Shown(each, found.get(each.place, ())) for each in taken]


async def _first(following: AsyncIterator[Sequence[Control]]) -> Sequence[Control]:
    """Return what is shown at once, and end the watch behind it."""
    try:
        return await anext(following)
    finally:
        if isinstance(following, AsyncGenerator):
            await following.aclose()


async def _book(log: LogPlace) -> Controls:
    book = Controls()
    async for records in log.reader.read_to_end(Topic.CONTROL.under(log.prefix), 0):
        for record in records:
            changed = switched(book, record)
            book = book if isinstance(changed, Undecodable) else changed
    return book


async def _tried(place: str, work: Callable[[], Awaitable[None]], patience: timedelta) -> Taken:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await work()
    except TimeoutError:
        return Taken(place, f"it did not answer within {span(patience)}; `elasti switches` tells whether it took it")
    except UnnamedError as unnamed:
        return Taken(place, str(unnamed), named=False)
    except (LogError, TargetError) as error:
        return Taken(place, str(error))
    return Taken(place)


def _log_name(settings: Settings) -> str:
    return f"topic {Topic.CONTROL.under(settings.topic_prefix)}"


def _cluster_name(settings: Settings) -> str:
    return f"ConfigMap {settings.namespace}/elasti-switches"
