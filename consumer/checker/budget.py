"""Rule 2, the sleep budget: how many services of one partition went to sleep within ten minutes."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from consumer.checker.collecting import Collected
from consumer.checker.facts import CommandFact, Page
from consumer.checker.verdict import Rule, Violation

_SPAN: Final = timedelta(minutes=10)
_LEAST: Final = 10
_SHARE: Final = 0.05


def spent(collected: Collected) -> Iterator[Violation]:
    """Find spans in which more was put to sleep than any number of awake services allows.

    How many were awake then nobody wrote down; it can not be more than there are services in the partition.
    """
    services: dict[int, int] = {}
    zeros: dict[int, list[CommandFact]] = {}
    for page in collected.pages.values():
        if page.decisions:
            partition = page.decisions[0].place.partition
            services[partition] = services.get(partition, 0) + 1
        for command in _first_zeros(page):
            zeros.setdefault(command.place.partition, []).append(command)
    for partition, found in zeros.items():
        yield from _spent(partition, found, max(_LEAST, int(_SHARE * services.get(partition, 0))))


def _first_zeros(page: Page) -> Iterator[CommandFact]:
    """Yield each sleep once, and none that was refused: a new owner does not know of those."""
    before: CommandFact | None = None
    for command in page.commands:
        open_still = before is not None and _answer(page, before, command.at) in (None, "failed")
        repeated = open_still and before is not None and before.direction == "zero"
        if command.direction == "zero" and not repeated and _answer(page, command) in (None, "failed", "accepted"):
            yield command
        before = command


def _answer(page: Page, command: CommandFact, until: datetime | None = None) -> str | None:
    """Return the answer known at a moment (None: at the end) to a command; an acceptance outweighs the rest."""
    known = [one.phase for one in page.results if one.command == command.id and (until is None or one.at <= until)]
    return "accepted" if "accepted" in known else next(reversed(known), None)


def _spent(partition: int, zeros: list[CommandFact], allowed: int) -> Iterator[Violation]:
    recent: deque[CommandFact] = deque()
    for command in sorted(zeros, key=_offset):
        recent.append(command)
        while command.at - recent[0].at >= _SPAN:
            recent.popleft()
        # A new owner counts what the states hold: a zero that failed, one whose answer was under way when it counted,
        # or one under a policy that was made again is not there. One for each change of owner is no violation.
        changes = len({one.owner for one in recent}) - 1
        if len(recent) > allowed + changes:
            took = command.at - recent[0].at
            sentence = (
                f"{len(recent)} services of partition {partition} were put to sleep within {took}, "
                f"{allowed} are allowed in {_SPAN}"
            )
            yield Violation(Rule.SLEEPS, "", sentence, (recent[0].place, command.place))
            return


def _offset(command: CommandFact) -> int:
    return command.place.offset
