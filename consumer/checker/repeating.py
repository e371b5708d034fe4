"""Rule 5: what the log says of a decision gives the same decision again, byte for byte, and the same command."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

from consumer.checker.facts import DIGEST
from consumer.checker.verdict import Place, Rule, Violation
from consumer.core.policy import Policy
from consumer.core.remembering import remembered
from consumer.core.replay import Judged, NotReplayableError, judge
from consumer.wire.decision import Logged, decision_message, logged_from
from consumer.wire.messages import command_message
from schemas.codec import Undecodable
from schemas.decision import Decision

UNKNOWN_POLICY: Final = "decisions whose policy the log does not hold any more"
CUT: Final = "decisions that were cut to fit their record"


@dataclass(slots=True)
class Repeater:
    """Judges every decision again, in the order of the log; remembers which policy a hash stands for."""

    violations: list[Violation] = field(default_factory=list)
    unjudged: dict[str, int] = field(default_factory=dict)
    replayed: int = 0
    commands: dict[str, bytes] = field(default_factory=dict)
    """The digest of what each command must be, by its id."""
    _policies: dict[tuple[str, str, str], Policy] = field(default_factory=dict)

    def take(self, decision: Decision, raw: bytes, place: Place) -> None:
        """Judge one decision again."""
        service = f"{decision.namespace}/{decision.service}"
        logged = logged_from(decision)
        if isinstance(logged, Undecodable):
            self._not_judged(CUT)
            return
        judged = self._judged(service, decision, logged)
        if judged is None:
            self._not_judged(UNKNOWN_POLICY)
            return
        self._repeat(service, judged, decision, raw, place)

    def _not_judged(self, why: str) -> None:
        self.unjudged[why] = self.unjudged.get(why, 0) + 1

    def _judged(self, service: str, decision: Decision, logged: Logged) -> Judged | None:
        """Put the policy that was in force into what was judged; None when nobody knows it any more."""
        judged, inputs = logged.judged, decision.inputs
        if judged.policy is not None:
            self._policies[service, judged.policy.uid, judged.policy.hash] = judged.policy
            return judged
        if inputs.policy_uid is None:
            return judged
        known = self._policies.get((service, inputs.policy_uid, inputs.policy_hash or ""))
        if known is None and judged.answers is None:
            # Whoever can not see the policy wakes and gives back by what the state remembers of it.
            known = remembered(judged.state)
        return replace(judged, policy=known) if known is not None else None

    def _repeat(self, service: str, judged: Judged, decision: Decision, raw: bytes, place: Place) -> None:
        try:
            outcome = judge(judged)
        except NotReplayableError as error:
            self._wrong(service, f"can not be repeated: {error}", place)
            return
        self.replayed += 1
        again = decision_message(
            judged, outcome, decision.cluster, policy_is_new=decision.inputs.policy is not None
        ).encode()
        if outcome.command is not None:
            asked = command_message(outcome.command, decision.cluster).encode()
            self.commands[outcome.command.id] = hashlib.blake2b(asked, digest_size=DIGEST).digest()
        if again != raw:
            said = f"{decision.action} ({decision.reason.code})"
            now = f"{outcome.action} ({outcome.reason.code})"
            what = f"was {said}, repeated it is {now}" if said != now else f"is {said} again, but {_first(raw, again)}"
            self._wrong(service, what, place)

    def _wrong(self, service: str, what: str, place: Place) -> None:
        self.violations.append(Violation(Rule.REPLAYS, service, f"the decision at {place} {what}", (place,)))


def _first(one: bytes, other: bytes) -> str:
    """Show where two records begin to differ."""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = max(0, at - 30)
    return f"the log has …{_text(one[begin : at + 30])}… where the repetition has …{_text(other[begin : at + 30])}…"


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
