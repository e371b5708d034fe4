"""The checker: records in, verdict out."""

from collections import Counter
from collections.abc import Iterator

from consumer.checker.answering import answered
from consumer.checker.budget import spent
from consumer.checker.collecting import Collected, Collector
from consumer.checker.facts import Page
from consumer.checker.identities import doubled, fenced
from consumer.checker.letters import Sorting
from consumer.checker.lost import uncounted, unread
from consumer.checker.records import Record, Recording
from consumer.checker.run import Run
from consumer.checker.settled import settled
from consumer.checker.sleeping import Sleeping
from consumer.checker.verdict import Expectations, Figures, Verdict, Violation
from consumer.checker.wakes import Waking, unpaid
from schemas.topics import Topic


class Checker:
    """Judges a run whose records it is given one by one; each partition of a topic in order, topics in any order."""

    def __init__(self, partitions: int | None = None) -> None:
        self._partitions = partitions
        self._collector = Collector()

    def take(self, record: Record) -> None:
        """Take one record in."""
        self._collector.take(record)

    def verdict(self, expectations: Expectations | None = None) -> Verdict:
        """Judge what was taken in so far; nothing more may be taken in after that."""
        collected, inputs = self._collector.collected, self._collector.inputs
        inputs.flush()
        _sort_out(collected)
        for forward in inputs.forwards:
            page, source = collected.page(forward.service), (forward.place.topic, forward.origin[0])
            column = page.columns.get(source)
            if column is None or not column.holds(forward.origin[1]):
                page.strangers.add(source)
        judging = _Judging(Run.of(collected, inputs, expectations or Expectations(), self._partitions), self._collector)
        found = tuple(judging.violations())
        return Verdict(found, judging.figures())


class _Judging:
    """One verdict in the making."""

    def __init__(self, run: Run, collector: Collector) -> None:
        self._run = run
        self._collector = collector
        self._waking = Waking(run)
        self._sleeping = Sleeping(run)

    def violations(self) -> Iterator[Violation]:
        """Judge everything: what speaks of the whole first, then service by service."""
        collected = self._run.collected
        yield from collected.violations
        yield from doubled(collected.pages.values())
        yield from fenced(collected)
        yield from self._collector.repeater.violations
        yield from Sorting(self._run).judge()
        yield from spent(collected)
        for name in sorted(collected.pages):
            yield from self._of_service(collected.pages[name])

    def _of_service(self, page: Page) -> Iterator[Violation]:
        yield from self._waking.judge(page)
        yield from self._sleeping.judge(page)
        yield from uncounted(self._run, page)
        yield from answered(self._run, page, self._collector.repeater.commands)
        if self._run.expectations.quiet:
            yield from unread(self._run, page)
            yield from unpaid(self._run, page)
            yield from settled(self._run, page)

    def figures(self) -> Figures:
        """Return what was counted on the way."""
        collected, repeater = self._run.collected, self._collector.repeater
        return Figures(
            records=dict(collected.records),
            services=sum(bool(page.decisions or page.states) for page in collected.pages.values()),
            requests=self._run.inputs.requests,
            wakes=self._waking.wakes,
            sleeps=self._waking.sleeps,
            decisions=sum(len(page.decisions) for page in collected.pages.values()),
            replayed=repeater.replayed,
            reworded=repeater.reworded,
            owners=sum(len({owner.name for owner in owners}) for owners in collected.owners.values()),
            dead_letters=collected.records[Topic.DEAD_LETTER],
            delays=tuple(sorted(self._waking.delays)),
            unjudged=Counter(repeater.unjudged) + self._waking.unjudged + self._sleeping.unjudged,
        )


def _sort_out(collected: Collected) -> None:
    """Take the commands and results of other clusters for what they are: records that can not be used here."""
    ours = collected.cluster
    for page in collected.pages.values():
        foreign = [one.place for one in page.results if ours is not None and one.cluster != ours]
        foreign += [one.place for one in page.commands if ours is not None and one.cluster != ours]
        for place in foreign:
            collected.lanes[place.topic, place.partition].poisons.append(place.offset)
        page.results = [one for one in page.results if ours is None or one.cluster == ours]
        page.commands = [one for one in page.commands if ours is None or one.cluster == ours]


def check(recording: Recording, expectations: Expectations | None = None) -> Verdict:
    """Judge a recorded run."""
    checker = Checker(recording.partitions)
    for record in recording.records:
        checker.take(record)
    return checker.verdict(expectations)
