"""What we would have done beside what happened: the figures that people want to see before they let us do it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from consumer.core.policy import DEFAULT_COOLDOWN
from consumer.core.reasons import Code
from consumer.core.schedule import InvalidDuration, parse_go_duration
from consumer.core.service import OWN_MANAGER, ServiceKey
from schemas.decision import Action, Decision
from schemas.scale_result import ScaleResult

_TELLING: Final[Mapping[str, str]] = {Code.RECENT_TRAFFIC: "last_request", Code.COOLING_DOWN: "since"}
"""Holds that tell of what would have woken a service, and the fact that says when that was."""


@dataclass(frozen=True, slots=True)
class Nap:
    """One sleep that the mode withheld: from when to when (None: it would sleep still), and whether too short."""

    begun: datetime
    replicas: int
    cooldown: timedelta
    ended: datetime | None = None

    @property
    def false(self) -> bool:
        """Whether something asked for the service within one cooldown: it would have been woken for nothing."""
        return self.ended is not None and self.ended - self.begun <= self.cooldown


@dataclass(frozen=True, slots=True)
class Compared:
    """One service over a time: what we would have done, what we did, and what others did.

    `asleep`: how long it would have been at zero; `saved`: the same for each replica that it had; `at_zero`: how long
    it was at zero in truth.
    """

    key: ServiceKey
    sleeps: int = 0
    wakes: int = 0
    false_sleeps: int = 0
    asleep: timedelta = timedelta()
    saved: timedelta = timedelta()
    real_sleeps: int = 0
    real_wakes: int = 0
    at_zero: timedelta = timedelta()
    by_others: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many replicas a target had, from when on, and who made it so where that was somebody else."""

    at: datetime
    replicas: int
    manager: str | None


@dataclass(slots=True)
class _Pages:
    """What was read of one service."""

    decisions: list[Decision] = field(default_factory=list)
    seen: list[_Seen] = field(default_factory=list)


class Rehearsal:
    """Takes decisions and results in, each kind in the order of its partition; then compares."""

    def __init__(self) -> None:
        self._pages: dict[ServiceKey, _Pages] = {}

    def decision(self, decision: Decision) -> None:
        """Take in what was decided; of a request for a service that we do not know nothing is told."""
        key = ServiceKey(decision.namespace, decision.service)
        # Only what is needed is kept: a month of decisions with all their inputs would not fit.
        lean = decision.model_copy(update={"before": None, "after": None})
        self._pages.setdefault(key, _Pages()).decisions.append(lean)

    def result(self, result: ScaleResult) -> None:
        """Take in what was done or seen."""
        pages = self._pages.setdefault(ServiceKey(result.namespace, result.service), _Pages())
        pages.seen.append(_Seen(result.at, result.replicas, result.manager))

    def compared(self, since: datetime, until: datetime) -> Sequence[Compared]:
        """Return every service of which something was decided, by name."""
        return [_compared(key, pages, since, until) for key, pages in sorted(self._pages.items()) if pages.decisions]


def naps(decisions: Sequence[Decision]) -> Iterator[Nap]:
    """Yield each sleep that was withheld, in the order of time.

    It ends with what would have woken the service, or with a sleep that was carried out: a freeze, a pause or a failed
    measurement wakes nobody.
    """
    nap: Nap | None = None
    for decision in decisions:
        if decision.action in (Action.ZERO, Action.PREPARE) and decision.withheld:
            nap = nap or _begun(decision)
        elif nap is not None and (ended := _ended(decision, nap)) is not None:
            yield replace(nap, ended=ended)
            nap = None
    if nap is not None:
        yield nap


def _ended(decision: Decision, nap: Nap) -> datetime | None:
    """Return when the service would have been woken, by this decision or by what it tells of; None: it was not.

    A request for a service that is up in truth asks nothing of anyone, so nothing is written at once: the next cycle
    tells of it, and so it does of somebody else who scaled it up.
    """
    if decision.action is not Action.HOLD:
        return decision.now
    fact = _TELLING.get(decision.reason.code)
    if fact is None:
        return None
    try:
        at = datetime.fromisoformat(str(decision.reason.facts.get(fact)))
    except ValueError:
        return decision.now
    return at if at > nap.begun else None


def _begun(decision: Decision) -> Nap:
    return Nap(decision.now, decision.inputs.replicas or 1, _cooldown(decision))


def _cooldown(decision: Decision) -> timedelta:
    """Return the cooldown that the decision went by, as its reason tells it."""
    try:
        return parse_go_duration(str(decision.reason.facts.get("cooldown", "")))
    except InvalidDuration:
        return DEFAULT_COOLDOWN


def _compared(key: ServiceKey, pages: _Pages, since: datetime, until: datetime) -> Compared:
    all_naps = [nap for nap in naps(pages.decisions) if nap.begun < until and (nap.ended or until) > since]
    carried_out = [one for one in pages.decisions if since <= one.now < until and one.command_id and not one.withheld]
    changes = list(_by_others(pages.seen, since, until))
    return Compared(
        key=key,
        sleeps=sum(nap.begun >= since for nap in all_naps),
        wakes=sum(nap.ended is not None and nap.ended < until for nap in all_naps),
        false_sleeps=sum(nap.false and nap.begun >= since for nap in all_naps),
        asleep=sum((_within(nap, since, until) for nap in all_naps), timedelta()),
        saved=sum((_saved(nap, pages.seen, since, until) for nap in all_naps), timedelta()),
        real_sleeps=sum(one.action is Action.ZERO for one in carried_out),
        real_wakes=sum(one.action is Action.UP for one in carried_out),
        at_zero=_at_zero(pages.seen, since, until),
        by_others=len(changes),
        others=tuple(sorted({manager for manager in changes if manager})),
    )


def _within(nap: Nap, since: datetime, until: datetime) -> timedelta:
    return max(min(nap.ended or until, until) - max(nap.begun, since), timedelta())


def _saved(nap: Nap, seen: Sequence[_Seen], since: datetime, until: datetime) -> timedelta:
    """Add up the time of every replica that was there and would not have been."""
    begin, end = max(nap.begun, since), min(nap.ended or until, until)
    before = [one.replicas for one in seen if one.at <= begin]
    steps = [(begin, before[-1] if before else nap.replicas)]
    steps += [(one.at, one.replicas) for one in seen if begin < one.at < end]
    ends = [at for at, _ in steps[1:]] + [end]
    return sum(((there - at) * replicas for (at, replicas), there in zip(steps, ends, strict=True)), timedelta())


def _at_zero(seen: Sequence[_Seen], since: datetime, until: datetime) -> timedelta:
    ends = [one.at for one in seen[1:]] + [until]
    spans = (
        max(min(end, until) - max(one.at, since), timedelta())
        for one, end in zip(seen, ends, strict=False)
        if one.replicas == 0
    )
    return sum(spans, timedelta())


def _by_others(seen: Sequence[_Seen], since: datetime, until: datetime) -> Iterator[str | None]:
    """Yield who changed the replicas, each time that it was not we."""
    before: int | None = None
    for one in seen:
        changed = before is not None and one.replicas != before
        before = one.replicas
        if changed and one.manager not in (None, OWN_MANAGER) and since <= one.at < until:
            yield one.manager
