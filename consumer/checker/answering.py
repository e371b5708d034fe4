"""Rule 9: commands, their decisions and their results tell one story, in one order."""

from collections.abc import Iterator, Mapping
from typing import Final

from consumer.checker.facts import Again, CommandFact, DecisionFact, Page, ResultFact
from consumer.checker.run import Run
from consumer.checker.verdict import Rule, Violation
from schemas.topics import Topic

_COMMANDS: Final = Topic.SCALE_COMMANDS
ANSWERS: Final = frozenset({"accepted", "unchanged", "superseded", "failed", "draining", "released"})


def answered(run: Run, page: Page, repeated: Mapping[str, Again]) -> Iterator[Violation]:
    """Judge one service; `repeated` has each command as the repetition of its decision gives it."""
    yield from _sequence(page)
    yield from _decided(run, page)
    yield from _as_repeated(page, repeated)
    yield from _results(run, page)
    if run.expectations.quiet:
        yield from _unanswered(page)


def _wrong(page: Page, sentence: str, *facts: CommandFact | DecisionFact | ResultFact) -> Violation:
    return Violation(Rule.ANSWERED, page.name, sentence, tuple(fact.place for fact in facts))


def _sequence(page: Page) -> Iterator[Violation]:
    """A handler ignores what is below the highest number it has seen, so a number that falls is a command lost."""
    before: CommandFact | None = None
    for command in page.commands:
        if before is not None and command.seq <= before.seq and command.id != before.id:
            sentence = f"seq {command.seq} of the command at {command.place} is not above {before.seq} before it"
            yield _wrong(page, sentence, before, command)
        before = command


def _decided(run: Run, page: Page) -> Iterator[Violation]:
    """A command and its decision are of one transaction: neither is without the other."""
    commands = {command.id: command for command in page.commands}
    decided = {one.command: one for one in page.decisions if one.command is not None}
    for one in decided.values():
        at = one.place.time
        if one.command not in commands and run.covers(_COMMANDS, one.place.partition, at) and run.settled(at):
            yield _wrong(page, f"the decision at {one.place} sent a command that is not in its topic", one)
    for command in page.commands:
        at, decision = command.place.time, decided.get(command.id)
        if decision is None and run.covers(Topic.DECISIONS, command.place.partition, at) and run.settled(at):
            yield _wrong(page, f"nobody decided the command at {command.place}", command)
        if decision is not None and decision.at != command.at:
            sentence = f"the command at {command.place} was decided at {command.at}, its decision at {decision.at}"
            yield _wrong(page, sentence, decision, command)


def _as_repeated(page: Page, repeated: Mapping[str, Again]) -> Iterator[Violation]:
    for command in page.commands:
        again = repeated.get(command.id)
        if again is not None and again.digest != (command.digest if again.exact else command.meaning):
            sentence = f"the command at {command.place} is not the one that its decision gives when it is repeated"
            yield Violation(Rule.REPLAYS, page.name, sentence, (command.place,))


def _results(run: Run, page: Page) -> Iterator[Violation]:
    commands = {command.id: command for command in page.commands}
    refused: dict[str, ResultFact] = {}
    for result in page.results:
        if result.command is None or result.phase not in ANSWERS:
            continue
        command = commands.get(result.command)
        if command is None:
            at, ours = result.decided or result.place.time, result.cause != "direct"
            if ours and run.covers(_COMMANDS, result.place.partition, at) and run.settled(result.place.time):
                yield _wrong(page, f"the result at {result.place} answers a command that nobody sent", result)
            continue
        yield from _result(page, command, result)
        if command.direction != "zero":
            continue
        if result.phase == "superseded":
            refused.setdefault(command.id, result)
        # One that was on its way may land behind a newer up: that is undone, and judged where wakes are.
        overtaken = any(other.direction == "up" and other.seq > command.seq for other in page.commands)
        if result.phase == "accepted" and command.id in refused and not overtaken:
            sentence = f"the zero at {command.place} was superseded, and carried out after that at {result.place}"
            yield _wrong(page, sentence, command, refused[command.id], result)


def _result(page: Page, command: CommandFact, result: ResultFact) -> Iterator[Violation]:
    """What was accepted is as it was asked for."""
    if result.phase != "accepted":
        return
    said = f"the {command.direction} to {command.replicas} at {command.place} was accepted at {result.place} with"
    if command.direction == "zero" and result.replicas:
        yield _wrong(page, f"{said} {result.replicas} replicas", command, result)
    if command.direction == "up" and result.replicas < command.replicas:
        yield _wrong(page, f"{said} {result.replicas} replicas", command, result)
    if command.direction == "zero" and command.expect is not None:
        uid, generation, _ = command.expect
        if result.uid != uid or result.generation <= generation:
            sentence = f"{said} generation {result.generation} of {result.uid}, not one after {generation} of {uid}"
            yield _wrong(page, sentence, command, result)


def _unanswered(page: Page) -> Iterator[Violation]:
    answers = {result.command for result in page.results if result.phase in ANSWERS}
    for command in page.commands:
        if command.id not in answers:
            yield _wrong(page, f"the {command.direction} at {command.place} has no answer", command)
