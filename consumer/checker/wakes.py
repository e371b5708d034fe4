"""Rules 1 and 8: whoever asks for a service that is down gets it up in time, and a wake that is owed is paid."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from typing import Final

from consumer.checker.facts import Asked, Column, CommandFact, DecisionFact, Page, ResultFact, Source, millis, moment_of
from consumer.checker.run import TAKEN, WAKE_CODES, Run, due_at, present
from consumer.checker.verdict import Place, Rule, Violation
from schemas.topics import Topic

_MAX_AGE: Final = timedelta(minutes=10)
REFUSED: Final = "wakes that the cluster refused for good"
NOT_DUE: Final = "requests whose wake was not due yet when the run ended"


@dataclass(frozen=True, slots=True)
class Sleep:
    """A time at zero: the result that showed it, the command that led to it if one did, and what ended it.

    `shown` None: nothing was known of the target until it ended; it may have been up.
    """

    shown: ResultFact | None
    zero: CommandFact | None
    end: ResultFact | None
    gone: bool = False
    """Whether it ended with the target itself."""

    @property
    def by_us(self) -> bool:
        """Whether a wake ended it."""
        return self.end is not None and self.end.phase in TAKEN and self.end.cause in ("command", "direct")


@dataclass(slots=True)
class Waking:
    """Judges the wakes of a run, service by service, and counts them."""

    run: Run
    delays: list[timedelta] = field(default_factory=list)
    unjudged: Counter[str] = field(default_factory=Counter)
    wakes: int = 0
    sleeps: int = 0

    def judge(self, page: Page) -> Iterator[Violation]:
        """Judge one service."""
        commands = {command.id: command for command in page.commands}
        lives = page.lives()
        for sleep in self._sleeps(page, commands):
            self.sleeps += sleep.zero is not None
            self.wakes += sleep.by_us
            yield from self._judge(page, sleep, lives)

    def _sleeps(self, page: Page, commands: dict[str, CommandFact]) -> Iterator[Sleep]:
        home = self.run.home(page)
        return sleeps(page, commands, from_birth=home is not None and self.run.whole(Topic.SCALE_RESULTS, home))

    def _judge(
        self, page: Page, sleep: Sleep, lives: Sequence[tuple[datetime, datetime | None]]
    ) -> Iterator[Violation]:
        if sleep.gone:
            return
        if sleep.shown is not None and sleep.zero is not None:
            yield from self._undone(page, sleep, sleep.shown, lives)
        for asked in _unheard(page, sleep):
            owed = self._owed(page, asked, sleep, lives)
            if owed is None:
                continue
            yield from self._paid(page, sleep, asked, owed)
            return

    def _owed(
        self, page: Page, asked: Asked, sleep: Sleep, lives: Sequence[tuple[datetime, datetime | None]]
    ) -> tuple[datetime, datetime] | None:
        """Return from when to when the wake for this request may take; None when none is owed for it."""
        at = moment_of(asked.at)
        max_age = next((one.max_request_age for one in reversed(page.decisions)), _MAX_AGE)
        life = _life(lives, at, at + max_age)
        if life is None or _was_stale(self.run, asked, max_age):
            return None
        start = max(at, sleep.shown.shown if sleep.shown is not None else at, life[0])
        due = due_at(start, self.run.expectations.wake_within, self.run.exempt(page))
        if self.run.observed(page, at, min(due, self.run.end)) or (life[1] is not None and life[1] <= due):
            return None
        return start, due

    def _paid(self, page: Page, sleep: Sleep, asked: Asked, owed: tuple[datetime, datetime]) -> Iterator[Violation]:
        start, due = owed
        if sleep.end is not None and sleep.end.shown <= due:
            exempt = any(begin < sleep.end.shown and start < end for begin, end in self.run.exempt(page))
            if sleep.by_us and not exempt:
                self.delays.append(max(sleep.end.shown - start, timedelta()))
            return
        if due > self.run.end:
            self.unjudged[NOT_DUE] += 1
            return
        if _refused(page, start, due):
            self.unjudged[REFUSED] += 1
            return
        place = Place(*asked.source, asked.offset, moment_of(asked.at), f"{asked.requests} requests")
        what = f"it came up {sleep.end.shown - start} later" if sleep.end is not None else "it never came up"
        found = f"found it at zero (shown at {sleep.shown.place})" if sleep.shown is not None else "met a target unseen"
        sentence = f"a request at {place} {found}, and {what}; {self.run.expectations.wake_within} are allowed"
        yield Violation(Rule.WAKES, page.name, sentence, _places(place, sleep))

    def _undone(
        self,
        page: Page,
        sleep: Sleep,
        shown: ResultFact,
        lives: Sequence[tuple[datetime, datetime | None]],
    ) -> Iterator[Violation]:
        """A zero that lands after the up that was to overtake it is undone, whoever asks or not."""
        late = _landed_late(page, sleep, shown)
        if late is None:
            return
        start = shown.shown
        life = _life(lives, start, start)
        due = due_at(start, self.run.expectations.wake_within, self.run.exempt(page))
        if life is None or (life[1] is not None and life[1] <= due) or due > self.run.end:
            return
        ended = sleep.end is not None and sleep.end.shown <= due
        if ended or self.run.observed(page, start, due) or _refused(page, start, due):
            return
        sentence = (
            f"a zero landed at {shown.place}, after the up that came later was answered at {late.place}, "
            f"and was not undone within {self.run.expectations.wake_within}"
        )
        yield Violation(Rule.PAID, page.name, sentence, (late.place, shown.place))


def sleeps(page: Page, commands: dict[str, CommandFact], *, from_birth: bool) -> Iterator[Sleep]:
    """Yield each time at zero, in the order of the log; `from_birth`: its first result is here, if it has any."""
    shown: ResultFact | None = None
    down = from_birth
    for result in present(page.results):
        if not result.uid:
            if down and result.phase == "observed":
                yield Sleep(shown, _zero_of(shown, commands), None, gone=True)
                down, shown = False, None
        elif not result.replicas:
            down, shown = True, shown or result
        elif down:
            gone = shown is not None and shown.uid != result.uid
            yield Sleep(shown, _zero_of(shown, commands), result, gone=gone)
            down, shown = False, None
    if down:
        yield Sleep(shown, _zero_of(shown, commands), None)


def _zero_of(shown: ResultFact | None, commands: dict[str, CommandFact]) -> CommandFact | None:
    if shown is None:
        return None
    command = commands.get(shown.command or "")
    return command if command is not None and command.direction == "zero" and shown.phase == "accepted" else None


def _unheard(page: Page, sleep: Sleep) -> Iterable[Asked]:
    """Return the requests before the end of a sleep that its zero was decided without, the earliest first."""
    decision = _decision_of(page, sleep.zero)
    end = millis(sleep.end.shown) if sleep.end is not None else None
    ranges = []
    for source, column in page.columns.items():
        first = bisect_right(column.at, millis(sleep.shown.shown)) if sleep.shown is not None else 0
        if decision is not None and decision.before is not None:
            mark = next((at for kind, where, at in decision.before if (kind, where) == source), -1)
            first = bisect_right(column.offsets, mark)
        last = len(column.at) if end is None else bisect_left(column.at, end)
        ranges.append(_asked(source, column, first, last))
    return merge(*ranges)


def _asked(source: Source, column: Column, first: int, last: int) -> Iterator[Asked]:
    for index in range(first, last):
        if count := column.count(index):
            yield Asked(column.at[index], source, column.offsets[index], count)


def _decision_of(page: Page, command: CommandFact | None) -> DecisionFact | None:
    if command is None:
        return None
    return next((one for one in page.decisions if one.command == command.id), None)


def _life(
    lives: Sequence[tuple[datetime, datetime | None]], begin: datetime, latest: datetime
) -> tuple[datetime, datetime | None] | None:
    """Return the life that a moment is in, or one that begins soon enough after it."""
    return next((life for life in lives if life[0] <= latest and (life[1] is None or begin < life[1])), None)


def _was_stale(run: Run, asked: Asked, max_age: timedelta) -> bool:
    """Whether the first record of ours that shows the request read was written when its caller was gone already."""
    read_at = []
    for teller in (Topic.STATE, Topic.DECISIONS):
        column = run.collected.reads.get((teller.value, *asked.source))
        index = bisect_left(column.offsets, asked.offset) if column is not None else 0
        if column is not None and index < len(column.at):
            read_at.append(column.at[index])
    return bool(read_at) and moment_of(min(read_at)) - moment_of(asked.at) > max_age


def _refused(page: Page, start: datetime, due: datetime) -> bool:
    """Whether the cluster refused an up in that time, in a way that trying again does not cure."""
    return any(one.retryable is False and start <= one.shown <= due and one.phase == "failed" for one in page.results)


def _landed_late(page: Page, sleep: Sleep, shown: ResultFact) -> ResultFact | None:
    """Return the answer to a later up that a zero landed after."""
    if sleep.zero is None:
        return None
    later = {one.id for one in page.commands if one.direction == "up" and one.seq > sleep.zero.seq}
    before = [one for one in page.results if one.place.offset < shown.place.offset]
    return next((one for one in before if one.command in later and one.phase in TAKEN), None)


def _places(place: Place, sleep: Sleep) -> tuple[Place, ...]:
    around = (sleep.shown, sleep.end)
    return (place, *(result.place for result in around if result is not None))


def unpaid(run: Run, page: Page) -> Iterator[Violation]:
    """Find, in a run that came to rest, wakes that are still owed."""
    state = page.state
    if state is None or not state.has_policy or _held_back(run, page):
        return
    if state.wake is not None:
        sentence = f"its last state at {state.place} owes a wake ({state.wake[0]}) since {state.wake[1]}"
        yield Violation(Rule.PAID, page.name, sentence, (state.place,))
        return
    accepted = _last_wake(page)
    if accepted is None or _ended_well(page, accepted):
        return
    sentence = f"its wake was accepted at {accepted.place}, and nothing shows a ready replica, or that there is none"
    yield Violation(Rule.PAID, page.name, sentence, (accepted.place,))


def _held_back(run: Run, page: Page) -> bool:
    paused = any(begin <= run.end < end for begin, end in run.paused(page))
    return paused or run.observed(page, run.end, run.end)


def _last_wake(page: Page) -> ResultFact | None:
    wakes = {one.id for one in page.commands if one.direction == "up" and one.code in WAKE_CODES}
    taken = [one for one in page.results if one.command in wakes and one.phase in TAKEN]
    return taken[-1] if taken else None


def _ended_well(page: Page, accepted: ResultFact) -> bool:
    """Whether what followed showed a ready replica, another target, a sleep, or said that it never got ready.

    An answer that waited for the log may be told behind what came of it: of the same generation, or a later one.
    """
    if any(one.ready and one.replicas and one.follows(accepted) for one in page.results):
        return True
    after = [one for one in page.results if one.place.offset >= accepted.place.offset]
    if any((one.ready and one.replicas) or one.uid != accepted.uid or not one.replicas for one in after):
        return True
    return any(one.code == "never-ready" and one.place.time >= accepted.place.time for one in page.decisions)
