"""A whole worker reads good records with poison between them: what it decides is what it decides without the poison."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.core.control import Controls
from consumer.core.service import ServiceKey
from consumer.ports import Headers, Record
from consumer.wire.controls import switched
from consumer.worker.settings import INPUTS
from schemas.codec import Undecodable
from schemas.dead_letter import OFFSET, PARTITION, TOPIC, said_of
from schemas.topics import Topic
from tests.fuzz.poison import headers, keys, values
from tests.worker.bed import T0, Bed, policy

PARTITIONS = 2
# Poison speaks of shop/web, if of anything: whoever names a service of another speaks of that service.
FINE = [ServiceKey("fine", name) for name in ("one", "two", "three")]
EXAMPLES = max(settings().max_examples // 4, 1)


@dataclass(frozen=True)
class Poison:
    """A record that somebody writes."""

    topic: Topic
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Request:
    """A request for a service of ours."""

    key: ServiceKey
    count: int


@dataclass(frozen=True)
class Passes:
    """Time goes by; at the end of it the target may be seen at zero."""

    length: timedelta
    asleep: ServiceKey | None = None


@dataclass(frozen=True)
class Turns:
    """The services fall idle, or get busy."""

    idle: bool


Step = Poison | Request | Passes | Turns


def _poisons(topic: Topic) -> st.SearchStrategy[Poison]:
    keyed = topic is not Topic.CONTROL
    partitions = st.integers(0, PARTITIONS - 1) if keyed else st.just(0)
    return st.builds(Poison, st.just(topic), partitions, keys, values(topic).filter(_is_poison(topic)), headers)


class _is_poison:  # noqa: N801 - a function that knows its topic
    """Whether it says nothing about our services: a switch for everything is no poison."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def __call__(self, value: bytes | None) -> bool:
        if self._topic is not Topic.CONTROL:
            return True
        book = switched(Controls(), Record("control", 0, 0, b"", value, T0))
        return isinstance(book, Undecodable) or not {*book.freezes, *book.modes} & {"*"}


good = st.one_of(
    st.builds(Request, st.sampled_from(FINE), st.sampled_from((0, 1, 5))),
    st.builds(
        Passes,
        st.sampled_from([timedelta(seconds=1), timedelta(seconds=31), timedelta(minutes=16)]),
        st.none() | st.sampled_from(FINE),
    ),
    st.builds(Turns, st.booleans()),
)
poison = st.sampled_from((*INPUTS, Topic.CONTROL)).flatmap(_poisons)
stories = st.lists(good | poison | poison, min_size=3, max_size=10)


@settings(max_examples=EXAMPLES)
@given(stories)
def test_poison_changes_nothing_of_what_is_decided_for_others(steps: Sequence[Step]) -> None:
    clean = asyncio.run(_played([step for step in steps if not isinstance(step, Poison)]))
    assert asyncio.run(_played(steps)) == clean


async def _played(steps: Sequence[Step]) -> list[tuple[object, ...]]:
    bed = Bed(*(policy(key) for key in FINE), partitions=PARTITIONS)
    bed.obedient = True
    async with bed.running() as worker:
        for key in FINE:
            bed.result("observed", key, replicas=0, ready_replicas=0)
        await bed.settle()
        for step in steps:
            await _taken(bed, step)
        await bed.pass_time(timedelta(seconds=2))
        assert worker.health().ready
        assert worker.waiting() == 0
    _accounted(bed)
    return [
        (decision.service, decision.now, decision.action, decision.reason.code, decision.withheld)
        for decision in bed.decisions()
        if decision.namespace == "fine"
    ]


async def _taken(bed: Bed, step: Step) -> None:
    match step:
        case Poison(topic, partition, key, value, around):
            bed.raw(topic, value, partition, key=key, headers=around)
        case Request(service, count):
            bed.request(service, count)
        case Passes(length, asleep):
            await bed.pass_time(length, max(length / 20, timedelta(seconds=1)))
            if asleep is not None:
                bed.result("observed", asleep, replicas=0, ready_replicas=0)
        case Turns(idle):
            bed.judges.idle = idle


def _accounted(bed: Bed) -> None:
    """Everything is read, and each dead letter is one record of the inputs, told of once."""
    inputs = {(r.topic, r.partition, r.offset) for topic in INPUTS for r in bed.records(topic)}
    for topic in INPUTS:
        for partition in range(PARTITIONS):
            assert bed.committed(topic, partition) == len([1 for p in inputs if p[:2] == (bed.name(topic), partition)])
    letters = [said_of(letter.headers) for letter in bed.records(Topic.DEAD_LETTER)]
    told = [(said[TOPIC], int(said[PARTITION]), int(said[OFFSET])) for said in letters]
    assert len(told) == len({*told})
    assert inputs.issuperset(told)
    assert all(said["cause"] for said in letters)
