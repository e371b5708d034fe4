"""Rules 3 and 4: one id stands for one thing, and whoever was replaced as an owner writes nothing more."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from consumer.checker.collecting import Collected
from consumer.checker.facts import CommandFact, DecisionFact, Owner, Page
from consumer.checker.verdict import Place, Rule, Violation

# What is of one transaction is appended at once; a state of the same number that was kept for longer, in a topic that
# is compacted, may be that of a later owner.
_TOGETHER: Final = timedelta(milliseconds=200)


def doubled(pages: Iterable[Page]) -> Iterator[Violation]:
    """Find ids that were used twice: derived ids are the same for the same cause, and a cause is dealt with once."""
    for page in pages:
        yield from _doubled(page.name, "decision", page.decisions)
        yield from _doubled(page.name, "command", page.commands)


def _doubled(service: str, what: str, facts: Sequence[DecisionFact] | Sequence[CommandFact]) -> Iterator[Violation]:
    seen: dict[str, DecisionFact | CommandFact] = {}
    for fact in facts:
        first = seen.setdefault(fact.id, fact)
        if first is fact:
            continue
        same = "was written twice" if first.digest == fact.digest else "stands for two different ones"
        sentence = f"{what} id {fact.id} {same}: {first.place.says} at {first.place}, {fact.place.says} at {fact.place}"
        yield Violation(Rule.UNIQUE, service, sentence, (first.place, fact.place))


def fenced(collected: Collected) -> Iterator[Violation]:
    """Find owners that wrote after another had taken over.

    A state names its owner in its id, a decision or a command that a cycle caused in its cause, and one that a record
    caused is its who wrote the first state with its sequence number: they are of one transaction.
    """
    for partition, owners in collected.owners.items():
        yield from _returned(f"state/{partition}", owners)
    decisions = [
        Owner(one.owner, one.place)
        for page in collected.pages.values()
        for one in page.decisions
        if one.owner is not None
    ]
    yield from _interleaved(decisions)
    yield from _interleaved([owner for page in collected.pages.values() for owner in _commanders(page)])


def _commanders(page: Page) -> Iterator[Owner]:
    written = dict(reversed(page.seqs))
    for command in page.commands:
        by = written.get(command.seq)
        if command.owner is not None:
            yield Owner(command.owner, command.place)
        elif by is not None and by.place.time - command.place.time <= _TOGETHER:
            yield Owner(by.name, command.place)


def _interleaved(owners: Sequence[Owner]) -> Iterator[Violation]:
    """Look at each partition in the order of its offsets."""
    lanes: dict[str, list[Owner]] = {}
    for owner in sorted(owners, key=_offset):
        lanes.setdefault(f"{owner.place.topic}/{owner.place.partition}", []).append(owner)
    for lane, found in lanes.items():
        yield from _returned(lane, found)


def _offset(owner: Owner) -> int:
    return owner.place.offset


def _returned(lane: str, owners: Sequence[Owner]) -> Iterator[Violation]:
    """Find who writes again after another one did."""
    last: dict[str, Place] = {}
    current: Owner | None = None
    for owner in owners:
        if current is not None and owner.name != current.name and owner.name in last:
            sentence = (
                f"owner {owner.name} of {lane} wrote at {owner.place}, after {current.name} had taken over: "
                f"its last record before that is {last[owner.name]}"
            )
            yield Violation(Rule.FENCED, "", sentence, (last[owner.name], current.place, owner.place))
        last[owner.name] = owner.place
        current = owner
