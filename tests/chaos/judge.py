"""Judges a run by what was seen from outside: the ledger of requests and the history of every Deployment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from schemas.scale_command import Direction
from tests.chaos.deeds import Server
from tests.chaos.edits import Version, at
from tests.chaos.evidence import Evidence
from tests.chaos.eyes import Sight
from tests.chaos.fleet import Held, Spec
from tests.chaos.plan import Way
from tests.chaos.processes import Span
from tests.chaos.traffic import Entry

WAKE_WITHIN = timedelta(seconds=60)
"""From a request to its replicas, not counting the time in which a server was away for everybody."""
SEEN_WITHIN = timedelta(seconds=20)
"""From an edit to every process that follows it: a watch that was cut or held comes back within this."""
_SURE = timedelta(milliseconds=100)
"""Clocks of brokers and of us differ by less: they run on one machine."""
KNOWN_AFTER = timedelta(seconds=2)
"""What the log had so long before a sleep is decided must be known to whoever decides."""
_SCRAPED = timedelta(seconds=5)


class Rule(StrEnum):
    """What must hold, seen from outside."""

    WAKES = "a request that was acknowledged wakes"
    IN_TIME = "it wakes in time"
    SERVED = "without Kafka gateways take every request for what may be woken"
    KEPT = "a request that the log acknowledged is in it"
    COOLDOWN = "no zero is decided within the cooldown after a request"
    UNDONE = "a zero that lands behind a request is undone"
    BUSY = "no zero while the metric is busy and nobody lies"
    HELD = "what is paused, observed or guarded stays as it is"
    PODS = "when it is quiet, every replica is ready"
    QUIET = "it comes to rest"
    READY = "every process gets ready when the faults are over"
    ALIVE = "no process ends by itself, or does not end when asked"
    SILENT = "no process logs an exception"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be."""

    rule: Rule
    service: str
    at: datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Zero:
    """A Deployment that went to zero; `late`: requests were logged between its decision and its landing."""

    service: str
    target: str
    decided: datetime
    seen: datetime
    late: int
    back: timedelta | None
    """When it was up again."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found, and the figures beside."""

    findings: tuple[Finding, ...]
    delays: tuple[timedelta, ...]
    """Of the requests for services at zero: until they had replicas."""
    zeros: tuple[Zero, ...]
    forgotten: int
    """Requests that only a direct wake knew of, whose gateway or handler was killed: a zero within their cooldown."""


def judge(evidence: Evidence) -> Judgement:
    """Judge a run."""
    return _Judge(evidence).judged()


class _Judge:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._findings: list[Finding] = []
        self._delays: list[timedelta] = []
        self._forgotten = 0
        self._answered = evidence.recorded.zeros()
        self._specs = {spec.name: spec for spec in evidence.plan.fleet}
        self._entries: dict[str, list[Entry]] = {name: [] for name in self._specs}
        for entry in evidence.ledger:
            self._entries[entry.call.service].append(entry)

    def judged(self) -> Judgement:
        zeros = []
        for spec in self._specs.values():
            for entry in self._entries[spec.name]:
                self._woken(spec, entry)
            zeros += [zero for target in self._targets(spec.name) for zero in self._zeros(spec, target)]
            self._held(spec)
        if not self._evidence.came_to_rest:
            self._find(Rule.QUIET, "", self._evidence.ended, "replicas still changed when the time for that was over")
        for name in self._evidence.stuck:
            self._find(Rule.READY, name, self._evidence.stopped, "not ready when that was long over; its log says why")
        if self._evidence.plan.without_kafka:
            self._served()
        self._pods()
        return Judgement(tuple(self._findings), tuple(sorted(self._delays)), tuple(zeros), self._forgotten)

    # Wakes.

    def _woken(self, spec: Spec, entry: Entry) -> None:
        evidence, call = self._evidence, entry.call
        if call.way is not Way.GATEWAY and call.trace not in evidence.recorded.logged:
            self._find(Rule.KEPT, spec.name, entry.sent, f"{call.trace} was acknowledged by Kafka and is not there")
        start = self._due(spec, entry)
        if start is None:
            return
        up = self._up(spec.name, start, entry)
        if up is None:
            self._find(Rule.WAKES, spec.name, entry.sent, f"request {call.trace} ({call.way}) woke nothing")
            return
        delay = up - start
        if delay > timedelta():
            self._delays.append(delay)
        if delay - self._away(Span(start, up)) > WAKE_WITHIN:
            self._find(Rule.IN_TIME, spec.name, entry.sent, f"request {call.trace} ({call.way}) took {delay}")

    def _due(self, spec: Spec, entry: Entry) -> datetime | None:
        """From when on it has to wake: at once, or when a pause of everything ends; None: never."""
        if not spec.held.may_wake:
            return None
        paused = [each for each in self._versions(spec.name, entry.sent, entry.acknowledged) if each.paused == "all"]
        if not paused:
            return entry.sent
        after = [each for each in self._evidence.versions[spec.name] if each.asked > paused[-1].asked]
        return after[0].sure if after else None

    def _up(self, service: str, start: datetime, entry: Entry) -> datetime | None:
        """Since when, from the start on, a target of the service has replicas."""
        targets = {each.target for each in self._versions(service, entry.sent - SEEN_WITHIN, self._evidence.ended)}
        moments = (_since(self._evidence.histories.get(target, ()), start) for target in targets)
        return min((moment for moment in moments if moment is not None), default=None)

    # Sleeps.

    def _zeros(self, spec: Spec, target: str) -> Iterator[Zero]:
        history = self._evidence.histories.get(target, ())
        for before, after in pairwise(history):
            if before.replicas and not after.replicas:
                yield self._zero(spec, target, after)

    def _zero(self, spec: Spec, target: str, sight: Sight) -> Zero:
        decided, begun = self._decided(spec.name, target, sight)
        late = 0
        versions = list(self._versions(spec.name, decided - SEEN_WITHIN, decided))
        cooldown = min((version.spec.cooldown for version in versions), default=spec.cooldown)
        for entry in self._entries[spec.name]:
            logged = self._evidence.recorded.logged.get(entry.call.trace)
            arrived = self._evidence.recorded.arrived.get(entry.call.trace, self._evidence.ended)
            if logged is None:
                self._only_direct(spec, entry, Span(decided - cooldown, decided))
            elif decided - cooldown + _SURE < logged and arrived < begun - _SURE:
                words = f"{target}: decided at {decided:%T.%f}, request logged at {logged:%T.%f}, cooldown {cooldown}"
                self._find(Rule.COOLDOWN, spec.name, sight.at, words)
            elif begun - _SURE <= arrived and decided - cooldown < logged <= sight.at:
                late += 1
        up = _since(self._evidence.histories[target], sight.at + timedelta(microseconds=1))
        back = None if up is None else up - sight.at
        if late and (back is None or back - self._away(Span(sight.at, sight.at + back)) > WAKE_WITHIN):
            self._find(Rule.UNDONE, spec.name, sight.at, f"{target}: {late} requests before it landed, back: {back}")
        self._not_busy(spec, decided, sight)
        self._not_paused(spec, decided, sight)
        return Zero(spec.name, target, decided, sight.at, late, back)

    def _decided(self, service: str, target: str, sight: Sight) -> tuple[datetime, datetime]:
        """When this zero was decided, and from inputs of when.

        Where its answer was lost, it is the last one that was asked for before it landed.
        """
        recorded = self._evidence.recorded
        known = self._answered.get((target, sight.generation))
        asked = [
            command
            for command in recorded.commands
            if (command.service, command.direction) == (service, Direction.ZERO) and command.decided_at <= sight.at
        ]
        command = known or max(asked, key=lambda each: each.decided_at, default=None)
        if command is None:
            return sight.at, sight.at
        begun = recorded.begun.get(command.id, command.decided_at)
        return command.decided_at, min(begun, command.decided_at - KNOWN_AFTER)

    def _only_direct(self, spec: Spec, entry: Entry, cooling: Span) -> None:
        """A request that the log never saw: it is remembered by what came of it, unless that died too."""
        if not cooling.began + _SURE < entry.acknowledged < cooling.ended - _SURE:
            return
        since = Span(entry.sent, cooling.ended)
        died = any(
            span.meets(since)
            for name, spans in self._evidence.done.absences.items()
            for span in spans
            if name[0] in ("g", "h")
        )
        if died:
            self._forgotten += 1
        else:
            words = f"decided at {cooling.ended:%T.%f}, request woke directly at {entry.acknowledged:%T.%f}"
            self._find(Rule.COOLDOWN, spec.name, cooling.ended, words)

    def _not_busy(self, spec: Spec, decided: datetime, sight: Sight) -> None:
        evidence = self._evidence
        if not spec.by_metric or any(Span(decided - 2 * _SCRAPED, decided).meets(lie) for lie in evidence.done.untrue):
            return
        changes = [(moment, value) for moment, name, value in evidence.done.loads if name == spec.name]
        before = [(moment, value) for moment, value in changes if moment <= decided]
        if before and before[-1][1] and before[-1][0] < decided - _SCRAPED:
            words = f"decided at {decided:%T.%f}, its metric is {before[-1][1]} since {before[-1][0]:%T.%f}"
            self._find(Rule.BUSY, spec.name, sight.at, words)

    def _not_paused(self, spec: Spec, decided: datetime, sight: Sight) -> None:
        versions = list(self._versions(spec.name, decided - SEEN_WITHIN, decided))
        if not spec.held.may_sleep or (versions and all(each.paused for each in versions)):
            self._find(Rule.HELD, spec.name, sight.at, f"put to zero, decided at {decided:%T.%f}, while held from that")

    # What stays.

    def _held(self, spec: Spec) -> None:
        if spec.held not in (Held.ALL, Held.OBSERVED):
            return
        history = self._evidence.histories.get(spec.name, ())
        for before, after in pairwise(history):
            if before.replicas != after.replicas:
                words = f"{spec.held}: from {before.replicas} to {after.replicas}"
                self._find(Rule.HELD, spec.name, after.at, words)

    def _served(self) -> None:
        """What must not be touched is refused while there is no log that could keep the request for later."""
        for call in self._evidence.refused:
            if self._specs[call.service].held.may_wake:
                words = f"{call.trace} was refused, though handlers could wake"
                self._find(Rule.SERVED, call.service, self._evidence.began + call.at, words)

    def _pods(self) -> None:
        for name, history in self._evidence.histories.items():
            last = history[-1]
            if last.ready != last.replicas:
                self._find(Rule.PODS, name, last.at, f"{last.ready} of {last.replicas} are ready")

    # What is asked again and again.

    def _targets(self, service: str) -> Sequence[str]:
        return sorted({version.target for version in self._evidence.versions[service]})

    def _versions(self, service: str, first: datetime, last: datetime) -> Iterator[Version]:
        return at(list(self._evidence.versions[service]), first, last)

    def _away(self, span: Span) -> timedelta:
        """How much of this time a server that every wake needs was away."""
        needed = {Server.API} if self._evidence.plan.without_kafka else {Server.API, Server.KAFKA}
        spans = [each for server, each in self._evidence.done.away if server in needed]
        total, end = timedelta(), span.began
        for each in sorted(spans, key=lambda one: one.began):
            begin = max(each.began, end)
            if (until := min(each.ended, span.ended)) > begin:
                total, end = total + (until - begin), until
        return total

    def _find(self, rule: Rule, service: str, when: datetime, sentence: str) -> None:
        self._findings.append(Finding(rule, service, when, sentence))


def _since(history: Sequence[Sight], start: datetime) -> datetime | None:
    """From when on, at or after the start, there are replicas; None: never."""
    before = [sight for sight in history if sight.at <= start]
    if before and before[-1].replicas:
        return start
    return next((sight.at for sight in history if sight.at > start and sight.replicas), None)
