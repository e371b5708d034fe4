"""A whole handler reads good commands with poison between them: it answers what it answers without the poison."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from consumer.core.control import Controls
from consumer.core.outcome import Command
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Headers, Output, Record, TargetKey, TargetView
from consumer.wire.controls import switched
from schemas.codec import Undecodable
from schemas.topics import Topic
from tests.fuzz.poison import headers, keys, values
from tests.handler.bed import PARTITIONS, SETTINGS, Bed
from tests.handler.samples import SECOND, T0, policy, up, zero

# Poison speaks of shop/web, if of anything.
FINE = [ServiceKey("fine", name) for name in ("one", "two")]


# Nothing here hangs: what is limited by real time must not depend on how busy the machine is.
PATIENT = replace(SETTINGS, deadline=timedelta(minutes=1))


@dataclass(frozen=True)
class Poison:
    """A record that somebody writes."""

    topic: Topic
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Asked:
    """A command for a service of ours: up to so many, or to zero."""

    key: ServiceKey
    replicas: int


def _poisons(topic: Topic) -> st.SearchStrategy[Poison]:
    partitions = st.just(0) if topic is Topic.CONTROL else st.integers(0, PARTITIONS - 1)
    made = values(topic)
    return st.builds(
        Poison, st.just(topic), partitions, keys, made.filter(_narrow) if topic is Topic.CONTROL else made, headers
    )


def _narrow(value: bytes | None) -> bool:
    """A switch for everything is no poison."""
    book = switched(Controls(), Record("control", 0, 0, b"", value, T0))
    return isinstance(book, Undecodable) or not {*book.freezes, *book.modes} & {"*"}


poison = st.sampled_from((Topic.SCALE_COMMANDS, Topic.SCALE_COMMANDS, Topic.CONTROL, Topic.SERVICE_STATUS)).flatmap(
    _poisons
)
stories = st.lists(st.builds(Asked, st.sampled_from(FINE), st.integers(0, 3)) | poison, min_size=2, max_size=10)


# A story is short as it is; making it shorter would take many times as long as finding it.
@settings(max_examples=max(settings().max_examples // 4, 1), phases=[Phase.generate])
@given(stories, st.lists(poison, max_size=3))
def test_poison_changes_nothing_of_what_is_answered_to_others(
    steps: Sequence[Asked | Poison], before: Sequence[Poison]
) -> None:
    clean = asyncio.run(_played([step for step in steps if isinstance(step, Asked)], ()))
    assert asyncio.run(_played(steps, before)) == clean


async def _played(steps: Sequence[Asked | Poison], before: Sequence[Poison]) -> list[tuple[object, ...]]:
    bed = Bed(PATIENT)
    bed.policies.put(*(policy(key) for key in FINE))
    views = {
        key: bed.targets.create(TargetKey(key.namespace, TargetRef("apps/v1", "Deployment", key.name)), replicas=1)
        for key in FINE
    }
    for each in before:
        _write(bed, each)
    written = sum(each.topic is Topic.SCALE_COMMANDS for each in before)
    async with bed.running():
        for seq, step in enumerate(steps, 1):
            written += isinstance(step, Asked) or step.topic is Topic.SCALE_COMMANDS
            if isinstance(step, Poison):
                _write(bed, step)
            else:
                # Decided now, whatever stands before it: a sleep that comes late is decided anew.
                bed.command(replace(_command(seq, step, views[step.key]), decided_at=bed.clock.now))
            await bed.later(SECOND)
        for _ in range(8):
            await bed.later(5 * SECOND)
    assert bed.committed() == written
    # What can not be read is told of; what can be is answered, also by saying that there is no such target.
    return [
        (result.service, result.phase, result.replicas, result.command_id is None)
        for key in FINE
        for result in bed.results(key)
    ]


def _command(seq: int, asked: Asked, view: TargetView) -> Command:
    return up(seq, replicas=asked.replicas, key=asked.key) if asked.replicas else zero(seq, view, key=asked.key)


def _write(bed: Bed, poison: Poison) -> None:
    topic = bed.settings.topic(poison.topic)
    bed.log.append(Output(topic, poison.partition, poison.key, poison.value, poison.headers))
