"""A run that was taken in, with what is expected of it: the questions that several rules ask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumer.checker.collecting import AROUND, POLICY, SHOWN, Collected, Switched
from consumer.checker.facts import Page, ResultFact, Source
from consumer.checker.inputs import Inputs
from consumer.checker.reading import ALWAYS
from consumer.checker.verdict import Expectations
from schemas.partitioning import partition_for
from schemas.topics import Topic

OWN_MANAGER: Final = "elasti"
"""The field manager under which the handler changes replicas."""
WAKE_CODES: Final = frozenset({"request", "unfinished", "busy", "outside-period", "invalid-period"})
"""The reasons of commands that wake; an up for another reason gives a target, or its traffic, back."""
TAKEN: Final = frozenset({"accepted", "unchanged"})
_MOST: Final = 1_024
_FIRST: Final = datetime.min.replace(tzinfo=ALWAYS.tzinfo)

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Run:
    """What is judged; `partitions` None: nobody knows how many there are. `end` is when it ended."""

    collected: Collected
    inputs: Inputs
    expectations: Expectations
    partitions: int | None
    end: datetime

    @classmethod
    def of(cls, collected: Collected, inputs: Inputs, expectations: Expectations, partitions: int | None) -> "Run":
        """Put a run together; without a number of partitions, the least that all keys of ours fit to."""
        end = expectations.until or collected.last or _FIRST
        return cls(collected, inputs, expectations, partitions or _fitting(collected), end)

    def home(self, page: Page) -> int | None:
        """Return the partition that a service's records belong to."""
        if self.partitions is not None:
            namespace, _, service = page.name.partition("/")
            return partition_for(namespace, service, self.partitions)
        return _stands(page)

    def whole(self, topic: Topic, partition: int) -> bool:
        """Whether the log still has a partition of a topic from its very beginning."""
        lane = self.collected.lanes.get((topic.value, partition))
        return lane is None or lane.first == 0

    def covers(self, topic: Topic, partition: int, at: datetime) -> bool:
        """Whether the log still has what a partition of a topic got at a moment."""
        lane = self.collected.lanes.get((topic.value, partition))
        return lane is None or lane.first == 0 or lane.began <= at

    def since(self, source: Source) -> int:
        """Return the first offset that the log still has of a partition of requests."""
        lane = self.collected.lanes.get(source)
        return 0 if lane is None else lane.first

    def settled(self, at: datetime) -> bool:
        """Whether what belongs to a record of then must be here too: topics are not read at the very same moment."""
        return self.expectations.quiet or at <= self.end - self.expectations.heard_within

    def paused(self, page: Page) -> list[Interval]:
        """Return when everything about the service was paused."""
        steps = page.steps.get(POLICY, [])
        ends = [step.at for step in steps[1:]] + [ALWAYS]
        return [
            (step.at, min(step.paused_until, end))
            for step, end in zip(steps, ends, strict=True)
            if step.paused_until is not None
        ]

    def observed(self, page: Page, begin: datetime, end: datetime) -> bool:
        """Whether the service was in mode observe at some moment between."""
        sources = [page.steps.get(source, []) for source in (POLICY, AROUND, SHOWN)]
        if any(_in_mode([(step.at, step.mode) for step in steps], "observe", begin, end) for steps in sources):
            return True
        return any(_in_mode(switched, "observe", begin, end) for switched in self._modes(page))

    def _modes(self, page: Page) -> Iterator[list[tuple[datetime, str]]]:
        for scope in scopes(page.name):
            found = [one for one in self.collected.switches if one.scope == scope]
            yield [(one.place.time, _mode_of(one)) for one in found]

    def exempt(self, page: Page) -> list[Interval]:
        """Return the times in which no wake is due: pauses of everything, and what is said to have been an outage."""
        outages = [(outage.begin, outage.end) for outage in self.expectations.outages]
        return merged([*outages, *self.paused(page)])


def _fitting(collected: Collected) -> int | None:
    homes = {page.name: home for page in collected.pages.values() if (home := _stands(page)) is not None}
    if not homes:
        return None
    most = max((partition for _, partition in collected.lanes), default=0)
    services = [(*name.partition("/")[::2], home) for name, home in homes.items()]
    for count in range(most + 1, _MOST + 1):
        if all(partition_for(namespace, service, count) == home for namespace, service, home in services):
            return count
    return None


def _stands(page: Page) -> int | None:
    """Return the partition in which our own records of a service stand."""
    for facts in (page.decisions, page.commands):
        if facts:
            return facts[0].place.partition
    return page.state.place.partition if page.state is not None else None


def scopes(service: str) -> tuple[str, str, str]:
    """Return the scopes of switches that a service is in."""
    return "*", f"{service.partition('/')[0]}/*", service


def _mode_of(switched: Switched) -> str:
    control = switched.control
    return control.mode.mode.value if control is not None and control.mode is not None else "full"


def _in_mode(steps: Sequence[tuple[datetime, str]], mode: str, begin: datetime, end: datetime) -> bool:
    before = [said for at, said in steps if at <= begin]
    return (bool(before) and before[-1] == mode) or any(said == mode for at, said in steps if begin < at <= end)


def merged(intervals: Sequence[Interval]) -> list[Interval]:
    """Join intervals that overlap."""
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def due_at(start: datetime, within: timedelta, exempt: Sequence[Interval]) -> datetime:
    """Return when a time that begins then is over, if the exempt intervals do not count."""
    at, left = start, within
    for begin, end in exempt:
        if end <= at:
            continue
        if begin > at:
            if begin - at >= left:
                break
            left -= begin - at
        at = end
    return at + left if at < ALWAYS - left else ALWAYS


def present(results: Sequence[ResultFact]) -> Iterator[ResultFact]:
    """Yield the results that speak of the present: none of an older generation of the same target."""
    uid, generation, at = "", 0, _FIRST
    for result in results:
        old = result.generation < generation if result.uid == uid else bool(uid) and result.at < at
        if old and result.uid:
            continue
        if result.uid:
            uid, generation, at = result.uid, result.generation, result.at
        yield result
