"""Rule 7: nothing of the inputs was skipped or taken twice, as far as the topics can tell.

What can be concluded, and what it rests on:

- Requests are counted: a state says how many it counted since its last decision and how far it had read, so between
  two decisions of one service the difference must be the requests of the records between, no more and no fewer.
- A record that can not be read is in the dead letters, once, with its place; one that can be read is not.
- A record in a wrong partition was forwarded to the right one, or is in the dead letters if that was not possible.
- In a run that came to rest the last state of a service has read up to the last record of each input about it, knows
  the last word on each host, and each group has committed an offset behind every record.

What can not: whether a record was read twice that changes nothing the second time (the marks see to that), requests
before the first decision of a service, and hosts or results that were skipped but followed by newer ones.
"""

from collections.abc import Iterator
from typing import Final

from consumer.checker.facts import Column, DecisionFact, HostFact, Marks, Page, Source, StateFact, moment_of
from consumer.checker.reading import are_requests
from consumer.checker.run import Run
from consumer.checker.verdict import Place, Rule, Violation
from schemas.topics import Topic

_HOSTS: Final = Topic.HOSTS.value
_MOST_HOSTS: Final = 64


def uncounted(run: Run, page: Page) -> Iterator[Violation]:
    """Compare what a service's decisions counted with what the records say."""
    before: DecisionFact | None = None
    for decision in page.decisions:
        if before is not None and before.born == decision.born:
            yield from _between(run, page, before, decision)
        before = decision
    state = page.state
    if before is not None and state is not None and before.born == state.born and before.place.time <= state.place.time:
        yield from _between(run, page, before, state)


def _between(run: Run, page: Page, before: DecisionFact, after: DecisionFact | StateFact) -> Iterator[Violation]:
    marks = after.before if isinstance(after, DecisionFact) else after.marks
    if before.after is None or marks is None:
        return
    known, counted = _of(before.after), after.requests
    least = most = 0
    for source, up_to in _of(marks).items():
        column, since = page.columns.get(source, Column()), known.get(source)
        if source in page.strangers or run.since(source) > (since or 0) + 1:
            return
        most += column.total(-1 if since is None else since, up_to)
        # Of a partition that was not read before, what came before the first record that counted is not known.
        least += column.total(up_to - 1 if since is None else since, up_to)
    if least <= counted <= most:
        return
    what = "lost" if counted < least else "counted twice"
    number = least - counted if counted < least else counted - most
    sentence = (
        f"{number} requests were {what}: between {before.place} and {after.place} it counted {counted}, "
        f"the records say {least if counted < least else most}"
    )
    yield Violation(Rule.INPUTS, page.name, sentence, (before.place, after.place))


def _of(marks: Marks) -> dict[Source, int]:
    return {(kind, partition): offset for kind, partition, offset in marks if are_requests(kind)}


def unread(run: Run, page: Page) -> Iterator[Violation]:
    """Compare, in a run that came to rest, how far a service's last state has read with the last records about it."""
    state, home = page.state, run.home(page)
    if state is None or not state.has_policy or home is None:
        return
    marks = {(kind, partition): offset for kind, partition, offset in state.marks}
    for place in _last(page, home):
        if place.time <= state.born or marks.get((place.topic, place.partition), -1) >= place.offset:
            continue
        yield Violation(Rule.INPUTS, page.name, f"{place} was never applied: its last state is {state.place}", (place,))
    yield from _hosts(page, state, marks)


def _last(page: Page, home: int) -> Iterator[Place]:
    """Yield the last record of each input that entered the log in each partition, and reached the service's own."""
    for source, column in page.columns.items():
        if source[1] == home and column.at:
            yield _request(source, column, len(column.at) - 1)
        elif forwarded := [index for index, at in enumerate(column.offsets) if (source, at) in page.forwards]:
            yield _request(source, column, forwarded[-1])
    for kind, facts in ((_HOSTS, page.hosts), (Topic.SCALE_RESULTS.value, page.results)):
        own = [one.place for one in facts if one.place.partition == home and one.origin[0] == home]
        if own:
            yield own[-1]._replace(topic=kind)


def _hosts(page: Page, state: StateFact, marks: dict[tuple[str, int], int]) -> Iterator[Violation]:
    """The last word on each host that was read is the one that is known."""
    words: dict[str, HostFact] = {}
    for host in page.hosts:
        if host.place.time > state.born and host.origin[1] <= marks.get((_HOSTS, host.origin[0]), -1):
            known = words.get(host.incoming)
            words[host.incoming] = host if known is None or host.at >= known.at else known
    known_now = {incoming: (allowed, at) for incoming, allowed, at in state.hosts}
    if len(known_now) >= _MOST_HOSTS:
        return
    for incoming, host in words.items():
        if known_now.get(incoming) != (host.allowed, host.at):
            sentence = f"{host.place} says {host.place.says}, its last state at {state.place} knows otherwise"
            yield Violation(Rule.INPUTS, page.name, sentence, (host.place, state.place))


def _request(source: Source, column: Column, index: int) -> Place:
    return Place(*source, column.offsets[index], moment_of(column.at[index]), "requests")
