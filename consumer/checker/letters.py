"""Rule 7, the other half: what could not be used is in the dead letters, once, and what strayed was forwarded."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from consumer.checker.facts import Letters, Page, moment_of
from consumer.checker.inputs import INPUTS
from consumer.checker.reading import are_requests
from consumer.checker.run import Run
from consumer.checker.verdict import Place, Rule, Violation
from schemas.topics import Topic

_COMMANDS: Final = Topic.SCALE_COMMANDS.value

Spot = tuple[str, int, int]


@dataclass(slots=True)
class Sorting:
    """Judges what became of the records that could not be applied where they were."""

    run: Run
    _strays: dict[Spot, Place] = field(default_factory=dict)
    """Records of a service in a partition that is not its own, by their place."""
    _moved: set[Spot] = field(default_factory=set)
    """The places that something was forwarded from."""
    _astray: dict[Spot, Place] = field(default_factory=dict)
    """Forwarded records that are in a wrong partition again."""

    def judge(self) -> Iterator[Violation]:
        """Judge all partitions."""
        self._sort()
        for lane in sorted({*self.run.inputs.letters, *self.run.collected.lanes}):
            if lane[0] in (*INPUTS, _COMMANDS) or are_requests(lane[0]):
                yield from self._lane(*lane)
        yield from self._forwarded()
        if self.run.expectations.quiet:
            yield from self._committed()

    def _sort(self) -> None:
        for page in self.run.collected.pages.values():
            home = self.run.home(page)
            places = _places(page) if home is not None else ()
            self._strays.update((_spot(place), place) for place in places if place.partition != home)
        for forward in self.run.inputs.forwards:
            page = self.run.collected.page(forward.service)
            self._moved.add((forward.place.topic, *forward.origin))
            home = self.run.home(page)
            if home is not None and forward.place.partition != home:
                self._astray[_spot(forward.place)] = forward.place

    def _was_read(self, spot: Spot) -> bool:
        """Whether the group has certainly gone past a record."""
        topic, partition, offset = spot
        return self.run.expectations.quiet or self.run.collected.committed.get((topic, partition), 0) > offset

    def _lane(self, topic: str, partition: int) -> Iterator[Violation]:
        letters = self.run.inputs.letters.get((topic, partition), Letters())
        lane = self.run.collected.lanes.get((topic, partition))
        order = sorted(range(len(letters.about)), key=letters.about.__getitem__)
        about = [letters.about[index] for index in order]
        if topic != _COMMANDS:
            # The handler's way out is no transaction: whoever comes after a crash writes it again.
            yield from self._twice(topic, partition, letters, order)
        if lane is None:
            return
        poisons = set(lane.poisons)
        for index in order:
            spot = topic, partition, letters.about[index]
            usable = spot not in self._strays and spot not in self._astray and spot[2] not in poisons
            if usable and lane.first <= spot[2] <= lane.last:
                sentence = f"{_written(spot)} can be used, and is in the dead letters all the same"
                yield Violation(Rule.INPUTS, "", sentence, (letters.place(index),))
        # Dead letters are kept for longer than what they are about: all of them are here.
        yield from self._nowhere(topic, partition, about)

    def _twice(self, topic: str, partition: int, letters: Letters, order: list[int]) -> Iterator[Violation]:
        for one, other in pairwise(order):
            if letters.about[one] == letters.about[other]:
                spot = _written((topic, partition, letters.about[one]))
                places = (letters.place(one), letters.place(other))
                yield Violation(Rule.INPUTS, "", f"{spot} is in the dead letters twice", places)

    def _nowhere(self, topic: str, partition: int, about: list[int]) -> Iterator[Violation]:
        """Find what could not be used and is not in the dead letters."""
        lane = self.run.collected.lanes[topic, partition]
        for offset in lane.poisons:
            spot = topic, partition, offset
            if not _among(about, offset) and self._was_read(spot):
                place = Place(topic, partition, offset, lane.ended, "can not be read")
                sentence = f"{_written(spot)} can not be read, and is not in the dead letters"
                yield Violation(Rule.INPUTS, "", sentence, (place,))

    def _forwarded(self) -> Iterator[Violation]:
        """Find what strayed and was neither forwarded nor put to the dead letters."""
        sorted_letters = {lane: sorted(letters.about) for lane, letters in self.run.inputs.letters.items()}
        for spot, place in self._strays.items():
            dealt_with = spot in self._moved or _among(sorted_letters.get(spot[:2], []), spot[2])
            if not dealt_with and self._was_read(spot):
                sentence = f"{place} is in a partition that is not its service's, and was not forwarded"
                yield Violation(Rule.INPUTS, "", sentence, (place,))
        for spot, place in self._astray.items():
            if not _among(sorted_letters.get(spot[:2], []), spot[2]) and self._was_read(spot):
                sentence = f"{place} was forwarded into a wrong partition, and is not in the dead letters"
                yield Violation(Rule.INPUTS, "", sentence, (place,))

    def _committed(self) -> Iterator[Violation]:
        """Find what a group has not read, where it is known how far it is."""
        committed = self.run.collected.committed
        known = {topic for topic, _ in committed}
        for (topic, partition), lane in self.run.collected.lanes.items():
            next_one = committed.get((topic, partition), 0)
            if topic in known and next_one <= lane.last:
                place = Place(topic, partition, lane.last, lane.ended, "the last record")
                sentence = f"its group has committed {next_one} of {topic}/{partition}, which goes up to {lane.last}"
                yield Violation(Rule.INPUTS, "", sentence, (place,))


def _places(page: Page) -> Iterator[Place]:
    """Yield where the records of a service entered the log."""
    for source, column in page.columns.items():
        for index, offset in enumerate(column.offsets):
            yield Place(*source, offset, moment_of(column.at[index]), "requests")
    yield from (host.place for host in page.hosts if host.origin == (host.place.partition, host.place.offset))
    yield from (one.place for one in page.results if one.origin == (one.place.partition, one.place.offset))


def _spot(place: Place) -> Spot:
    return place.topic, place.partition, place.offset


def _written(spot: Spot) -> str:
    topic, partition, offset = spot
    return f"{topic}/{partition}@{offset}"


def _among(ordered: list[int], number: int) -> bool:
    index = bisect_left(ordered, number)
    return index < len(ordered) and ordered[index] == number
