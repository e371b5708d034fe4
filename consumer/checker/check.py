"""The checker: records in, verdict out."""

from collections.abc import Iterator

from consumer.checker.collecting import Collector
from consumer.checker.identities import doubled, fenced
from consumer.checker.records import Record, Recording
from consumer.checker.verdict import Expectations, Figures, Verdict, Violation


class Checker:
    """Judges a run whose records it is given one by one; each partition of a topic in order, topics in any order."""

    def __init__(self, partitions: int | None = None) -> None:
        self._partitions = partitions
        self._collector = Collector()

    def take(self, record: Record) -> None:
        """Take one record in."""
        self._collector.take(record)

    def verdict(self, expectations: Expectations | None = None) -> Verdict:  # noqa: ARG002 - its rules follow
        """Judge what was taken in so far."""
        self._collector.inputs.flush()
        found = tuple(self._violations())
        return Verdict(found, Figures(records=dict(self._collector.collected.records)))

    def _violations(self) -> Iterator[Violation]:
        collected = self._collector.collected
        yield from collected.violations
        yield from doubled(collected.pages.values())
        yield from fenced(collected)
        yield from self._collector.repeater.violations


def check(recording: Recording, expectations: Expectations | None = None) -> Verdict:
    """Judge a recorded run."""
    checker = Checker(recording.partitions)
    for record in recording.records:
        checker.take(record)
    return checker.verdict(expectations)
