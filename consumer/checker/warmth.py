"""What the results tell of a service's warmth and of who fights over it, told again from the topic alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from consumer.checker.facts import CommandFact, ResultFact
from consumer.checker.run import OWN_MANAGER, TAKEN, WAKE_CODES

UNDONE_WITHIN: Final = timedelta(minutes=10)
SLEEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Nap:
    """One accepted zero of ours, under which policy, and when somebody else undid it (None: nobody, or we did)."""

    result: ResultFact
    policy_hash: str
    undone: ResultFact | None = None
    ended: bool = False


@dataclass(slots=True)
class Warmth:
    """Takes the results of one target in, in the order of the log."""

    commands: Mapping[str, CommandFact]
    last: ResultFact | None = None
    woken: ResultFact | None = None
    ready: ResultFact | None = None
    up: ResultFact | None = None
    """The first sight of a ready replica since there was none."""
    asked: ResultFact | None = None
    """The last request that came without the log."""
    raised: ResultFact | None = None
    """Somebody else's scaling up from zero."""
    naps: list[Nap] = field(default_factory=list)

    def take(self, result: ResultFact) -> None:
        """Take one result in; one of an older generation of the same target says nothing."""
        before = self.last
        if result.cause == "direct" and result.phase in TAKEN:
            self.asked = result
        if not result.uid or (before is not None and _is_old(before, result)):
            return
        self.last = result
        self._answered(result)
        if before is not None and before.uid == result.uid and not before.replicas and result.replicas:
            self._rose(result)
        if result.ready and result.replicas:
            self.up = self.up or result
        elif self.up is None or result.at >= self.up.at:
            self.up = None
        self._got_ready()

    def _got_ready(self) -> None:
        """A wake without the log may be told after what came of it."""
        woken, up = self.woken, self.up
        if woken is None or up is None or up.at < woken.at:
            return
        if self.ready is None or self.ready.at < woken.at:
            self.ready = up

    def _answered(self, result: ResultFact) -> None:
        command = self.commands.get(result.command or "")
        if result.cause == "direct" and result.phase == "accepted":
            self.woken = result
            self._ended(None)
        if command is None or result.phase != "accepted":
            return
        if command.direction == "zero":
            self.naps.append(Nap(result, command.policy_hash))
            return
        if command.direction == "up" and command.code in WAKE_CODES:
            self.woken = result
        self._ended(None)

    def _rose(self, result: ResultFact) -> None:
        foreign = result.manager != OWN_MANAGER
        if result.manager is None:
            foreign = result.phase == "observed" and result.cause != "direct"
        if foreign:
            self.raised = result
            self._ended(result)

    def _ended(self, by: ResultFact | None) -> None:
        if self.naps and not self.naps[-1].ended:
            nap = self.naps[-1]
            self.naps[-1] = Nap(nap.result, nap.policy_hash, by, ended=True)

    def warm(self, born: datetime | None) -> list[tuple[str, datetime, ResultFact]]:
        """Return what a cooldown is counted from, and when that was.

        What was told before the service was first seen, as under a policy that was deleted since, does not count; nor
        does the pod that came of a wake from before.
        """

        def own(result: ResultFact | None) -> ResultFact | None:
            return None if result is None or (born is not None and result.place.time <= born) else result

        woken, asked = own(self.woken), own(self.asked)
        moments = [
            (what, result.at, result)
            for what, result in (
                ("its wake was accepted", woken),
                ("it got ready after its wake", self.ready if woken else None),
                ("somebody else scaled it up from zero", own(self.raised)),
            )
            if result is not None
        ]
        if asked is not None:
            moments.append(("a request came without the log", asked.triggered or asked.at, asked))
        return moments

    def contested(self, policy_hash: str | None, born: datetime | None) -> datetime | None:
        """Return when the last of three sleeps in a row was undone by somebody else, each soon after it began.

        Those under another policy, or from before the service was first seen, do not count.
        """
        last = self.naps[-SLEEPS:]
        if len(last) < SLEEPS or any(nap.policy_hash != policy_hash for nap in last):
            return None
        if born is not None and last[0].result.at < born:
            return None
        undone = [nap.undone for nap in last]
        ends = [by.at for by in undone if by is not None]
        if len(ends) < SLEEPS:
            return None
        soon = all(end - nap.result.at <= UNDONE_WITHIN for nap, end in zip(last, ends, strict=True))
        return ends[-1] if soon else None


def _is_old(before: ResultFact, result: ResultFact) -> bool:
    if before.uid == result.uid:
        return result.generation < before.generation
    return result.at < before.at
