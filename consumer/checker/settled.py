"""Rule 6: when a run came to rest, every service is as it was asked to be, and known to be as it is."""

from collections.abc import Iterator

from consumer.checker.facts import CommandFact, Page, ResultFact
from consumer.checker.run import OWN_MANAGER, TAKEN, Run, present
from consumer.checker.verdict import Rule, Violation

_TARGET_CHANGED = "target-changed"


def settled(run: Run, page: Page) -> Iterator[Violation]:
    """Judge one service of a run that came to rest."""
    left = _left(page)
    results = list(present([one for one in page.results if one.target != left]))
    if not results:
        return
    last = results[-1]
    actual = (run.expectations.actual or {}).get(page.name)
    if actual is not None and last.uid and actual != last.replicas:
        sentence = f"it has {actual} replicas, the last that was told of it is {last.replicas}, at {last.place}"
        yield _wrong(page, sentence, last)
    there = last.replicas if actual is None else actual
    yield from _as_asked(page, [one for one in page.commands if one.target != left], results, there)
    yield from _as_shown(page, last)
    yield from _given_back(page, last, there)


def _wrong(page: Page, sentence: str, *facts: CommandFact | ResultFact) -> Violation:
    return Violation(Rule.SETTLED, page.name, sentence, tuple(fact.place for fact in facts))


def _left(page: Page) -> str | None:
    """The target that was given back last since the policy named another one: what becomes of it is not ours."""
    return next((one.target for one in reversed(page.commands) if one.code == _TARGET_CHANGED), None)


def _as_asked(page: Page, asked: list[CommandFact], results: list[ResultFact], there: int) -> Iterator[Violation]:
    """The last command that took effect holds, unless somebody else changed the replicas since."""
    commands = {command.id: command for command in asked}
    taken = [
        (index, commands[one.command])
        for index, one in enumerate(results)
        if one.command is not None and one.command in commands and one.phase in TAKEN
    ]
    if not taken:
        return
    index, command = max(taken, key=lambda found: (found[1].seq, found[0]))
    if any(_by_others(before, after) for before, after in zip(results[index:], results[index + 1 :], strict=False)):
        return
    if command.direction == "up" and there < command.replicas:
        yield _wrong(page, f"its last command is {command.place.says}, and it has {there}", command, results[-1])
    if command.direction == "zero" and there and not _later(page, command):
        yield _wrong(page, f"its last command is {command.place.says}, and it has {there}", command, results[-1])


def _later(page: Page, command: CommandFact) -> bool:
    """Whether something woke it since: a direct wake has no command."""
    return any(one.cause == "direct" and one.place.time >= command.place.time for one in page.results)


def _by_others(before: ResultFact, after: ResultFact) -> bool:
    changed = before.replicas != after.replicas or before.uid != after.uid
    return changed and (after.manager not in (None, OWN_MANAGER) or after.phase == "observed")


def _as_shown(page: Page, last: ResultFact) -> Iterator[Violation]:
    """State and status show what was told last."""
    state, status = page.state, page.status
    if not last.uid:
        return
    if state is not None and state.target is not None and state.target[0] == last.uid:
        _, generation, replicas, _ = state.target
        if (generation, replicas) != (last.generation, last.replicas):
            sentence = f"its state at {state.place} knows {replicas} replicas, {last.place} told of {last.replicas}"
            yield Violation(Rule.SETTLED, page.name, sentence, (last.place, state.place))
    if status is not None and state is not None and status[2] not in (None, last.replicas):
        sentence = f"its status at {status[0]} shows {status[2]} replicas, {last.place} told of {last.replicas}"
        yield Violation(Rule.SETTLED, page.name, sentence, (last.place, status[0]))


def _given_back(page: Page, last: ResultFact, there: int) -> Iterator[Violation]:
    """A service that was let go is not left asleep by us."""
    if page.state is not None or not page.gone or not page.commands or not last.uid:
        return
    command = page.commands[-1]
    if command.direction != "up" and not there:
        yield _wrong(page, f"its policy is gone, its last command is {command.place.says}, and it is at zero", command)
