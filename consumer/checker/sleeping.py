"""Rule 2: no zero without all of its conditions, told again from the topics that its owner read."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from consumer.checker.facts import (
    Column,
    CommandFact,
    DecisionFact,
    HostFact,
    Marks,
    Page,
    Source,
    ZeroFact,
    millis,
    moment_of,
)
from consumer.checker.run import Run, scopes
from consumer.checker.verdict import Place, Rule, Violation
from consumer.checker.warmth import Warmth
from consumer.checker.zeros import CONTESTED_FOR
from schemas.control import Control
from schemas.topics import Topic

NOT_JUDGED: Final = "sleeps whose record was cut, or whose policy the log does not hold any more"
_HOSTS: Final = Topic.HOSTS.value
_RESULTS: Final = Topic.SCALE_RESULTS.value
_HEARD_FOR: Final = timedelta(hours=24)
_MOST_HOSTS: Final = 64

Wrong = tuple[str, tuple[Place, ...]]


@dataclass(slots=True)
class Sleeping:
    """Judges the zeros of a run, service by service."""

    run: Run
    unjudged: Counter[str] = field(default_factory=Counter)

    def judge(self, page: Page) -> Iterator[Violation]:
        """Judge one service's."""
        commands = {command.id: command for command in page.commands}
        warmth: dict[str, tuple[Warmth, int]] = {}
        for decision in page.decisions:
            zero = decision.zero
            if zero is None:
                continue
            if not zero.judged:
                self.unjudged[NOT_JUDGED] += 1
                continue
            warm = _warmed(page, decision, zero, commands, warmth)
            found: list[Wrong] = [(sentence, ()) for sentence in zero.wrong]
            found += [*self._of_topics(page, decision, zero), *_of_results(decision, zero, warm)]
            for sentence, places in found:
                yield _violation(page, decision, sentence, places)
        yield from self._of_commands(page, commands)

    def _of_topics(self, page: Page, decision: DecisionFact, zero: ZeroFact) -> Iterator[Wrong]:
        yield from self._requests(page, decision, zero)
        yield from self._unread(page, decision, zero)
        if zero.guarded:
            yield from _hosts(page, decision, zero)
        if not decision.withheld:
            yield from self._switched(page, decision)

    def _requests(self, page: Page, decision: DecisionFact, zero: ZeroFact) -> Iterator[Wrong]:
        """A request that its owner had read, within the cooldown."""
        now, since = millis(decision.at), millis(decision.at - zero.cooldown)
        for source, column in page.columns.items():
            mark = _mark(decision.before, *source)
            # 14:59 of 15:00 holds, 15:00 sleeps.
            for index in range(bisect_right(column.at, now) - 1, bisect_right(column.at, since) - 1, -1):
                if column.offsets[index] <= mark and column.count(index):
                    place = _place(source, column, index)
                    yield f"a request at {place} was {decision.at - place.time} ago, in {zero.cooldown}", (place,)
                    break

    def _unread(self, page: Page, decision: DecisionFact, zero: ZeroFact) -> Iterator[Wrong]:
        """An input of the service that had been there for long, and that its owner had not read.

        What is older than the service's present life was read by an earlier one, whose marks went with it.
        """
        home, limit = self.run.home(page), zero.begun - self.run.expectations.heard_within
        for source, column in page.columns.items():
            index = bisect_right(column.offsets, _mark(decision.before, *source))
            index = max(index, bisect_right(column.at, millis(decision.born))) if decision.born else index
            if source[1] == home and index < len(column.at) and moment_of(column.at[index]) < limit:
                yield _not_read(_place(source, column, index), zero)

        def young(place: Place) -> bool:
            return decision.born is None or place.time > decision.born

        own = {
            _HOSTS: [host.place for host in page.hosts if host.origin == _own(host.place)],
            _RESULTS: [result.place for result in page.results if result.origin == _own(result.place)],
        }
        for kind, places in own.items():
            mark = _mark(decision.before, kind, home if home is not None else -1)
            unread = next((one for one in places if one.offset > mark and one.partition == home and young(one)), None)
            if unread is not None and unread.time < limit:
                yield _not_read(unread, zero)

    def _switched(self, page: Page, decision: DecisionFact) -> Iterator[Wrong]:
        """A freeze, or a mode other than full, that was switched for so long that every worker had heard of it."""
        heard = decision.at - self.run.expectations.heard_within
        for scope in scopes(page.name):
            ours = [one for one in self.run.collected.switches if one.scope == scope]
            known = [one for one in ours if one.place.time <= heard]
            if not known or any(heard < one.place.time <= decision.at for one in ours):
                continue
            said = _forbids(known[-1].control, decision.at)
            if said is not None:
                yield f"{said} for {scope} at {known[-1].place}", (known[-1].place,)

    def _of_commands(self, page: Page, commands: dict[str, CommandFact]) -> Iterator[Violation]:
        """A command to zero needs a decision for zero, and expects what that one knew of its target."""
        decided = {one.command: one for one in page.decisions if one.command is not None}
        for command in commands.values():
            decision = decided.get(command.id)
            if command.direction == "up" or decision is None:
                continue
            zero = decision.zero
            if zero is None or decision.withheld:
                what = f"the {command.direction} at {command.place} was sent by a decision to {decision.action}"
                yield Violation(Rule.SLEEPS, page.name, what, (decision.place, command.place))
            elif zero.judged and command.expect is not None and command.expect != zero.target:
                what = f"it expects {command.expect} of its target, its decision knew {zero.target}"
                yield _violation(page, decision, what, (command.place,))


def _violation(page: Page, decision: DecisionFact, sentence: str, places: tuple[Place, ...]) -> Violation:
    said = f"the {decision.action} of {decision.at} at {decision.place} must not be: {sentence}"
    return Violation(Rule.SLEEPS, page.name, said, (*places, decision.place))


def _mark(marks: Marks | None, kind: str, partition: int) -> int:
    """Return how far an input had been applied; -1: not at all."""
    return next((at for topic, where, at in marks or () if (topic, where) == (kind, partition)), -1)


def _place(source: Source, column: Column, index: int) -> Place:
    says = f"{column.count(index)} requests"
    return Place(*source, column.offsets[index], moment_of(column.at[index]), says)


def _own(place: Place) -> tuple[int, int]:
    return place.partition, place.offset


def _not_read(place: Place, zero: ZeroFact) -> Wrong:
    return f"{place} had been there since {place.time}, and was not read although its cycle began {zero.begun}", (
        place,
    )


def _forbids(control: Control | None, now: datetime) -> str | None:
    """Say what a switch holds against a sleep; None when it holds nothing against it now."""
    if control is None:
        return None
    freeze, mode = control.freeze, control.mode
    if freeze is not None and (freeze.until is None or now < freeze.until):
        return f"sleeps were frozen by {freeze.by}"
    if mode is not None and mode.mode != "full" and (mode.until is None or now < mode.until):
        return f"the mode {mode.mode} was set by {mode.by}"
    return None


def _warmed(
    page: Page,
    decision: DecisionFact,
    zero: ZeroFact,
    commands: dict[str, CommandFact],
    known: dict[str, tuple[Warmth, int]],
) -> Warmth:
    """Fold the results that the decision's owner had read; those before were folded for the decision before."""
    warmth, taken = known.get(zero.target_name, (Warmth(commands), 0))
    while taken < len(page.results):
        result = page.results[taken]
        if result.origin[1] > _mark(decision.before, _RESULTS, result.origin[0]):
            break
        if result.target == zero.target_name:
            warmth.take(result)
        taken += 1
    known[zero.target_name] = warmth, taken
    return warmth


def _of_results(decision: DecisionFact, zero: ZeroFact, warmth: Warmth) -> Iterator[Wrong]:
    for what, at, result in warmth.warm(decision.born):
        if decision.at < at + zero.cooldown:
            yield f"{what} {decision.at - at} ago, within the cooldown of {zero.cooldown}", (result.place,)
    last = warmth.last
    if last is not None and not last.replicas:
        yield "its target was at zero already", (last.place,)
    since = warmth.contested(decision.policy_hash, decision.born)
    if since is not None and decision.at < since + CONTESTED_FOR:
        ends = tuple(nap.undone.place for nap in warmth.naps[-3:] if nap.undone is not None)
        yield f"its last three sleeps were undone by somebody else, the last at {since}", ends


def _hosts(page: Page, decision: DecisionFact, zero: ZeroFact) -> Iterator[Wrong]:
    """Every host that was heard of in a day must have said, since the prepare, that the resolver has its traffic."""
    words: dict[str, HostFact] = {}
    for host in page.hosts:
        known = words.get(host.incoming)
        if host.origin[1] <= _mark(decision.before, _HOSTS, host.origin[0]) and (known is None or host.at >= known.at):
            words[host.incoming] = host
    heard = [host for host in words.values() if decision.at - host.at <= _HEARD_FOR]
    if zero.prepared is None:
        yield "the resolver was not asked to take its traffic", ()
        return
    if not heard:
        yield "no resolver was heard from", ()
    if len(words) >= _MOST_HOSTS:
        return
    for host in heard:
        if not host.allowed or host.at < zero.prepared:
            yield f"the resolver has not taken {host.incoming} since {zero.prepared}", (host.place,)
