"""Rule 5: what the log says of a decision gives the same decision again, byte for byte, and the same command.

A decision that another version of the program made is held to what it says, not to how it tells it: a release may word
a sentence otherwise, name other facts in it, or write a field more. What was decided, the code of its reason, every id,
and what it was made from count always.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import BaseModel

from consumer.checker.facts import DIGEST, Again
from consumer.checker.reading import meaning_of
from consumer.checker.records import Record
from consumer.checker.verdict import Place, Rule, Violation
from consumer.core.outcome import Command
from consumer.core.policy import Policy
from consumer.core.remembering import remembered
from consumer.core.replay import Judged, NotReplayableError, judge
from consumer.wire.decision import Logged, decision_message, logged_from
from consumer.wire.messages import command_message
from consumer.wire.program import PROGRAM
from schemas.cloudevents import PROGRAM as PROGRAM_HEADER
from schemas.cloudevents import header
from schemas.codec import Undecodable
from schemas.decision import Decision
from schemas.parts import Reason

UNKNOWN_POLICY: Final = "decisions whose policy the log does not hold any more"
CUT: Final = "decisions that were cut to fit their record"
_TOLD: Final = frozenset({"message", "facts"})
"""What a reason tells people beside its code; all of it is made from the rest of the record."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A decision as it was written: its bytes, where they stand, and which program wrote them, if it says so."""

    decision: Decision
    raw: bytes
    place: Place
    program: str | None

    @property
    def ours(self) -> bool:
        """Whether this very version wrote it."""
        return self.program == PROGRAM

    @property
    def service(self) -> str:
        """The service that was judged."""
        return f"{self.decision.namespace}/{self.decision.service}"


@dataclass(slots=True)
class Repeater:
    """Judges every decision again, in the order of the log; remembers which policy a hash stands for."""

    violations: list[Violation] = field(default_factory=list)
    unjudged: dict[str, int] = field(default_factory=dict)
    replayed: int = 0
    reworded: int = 0
    commands: dict[str, Again] = field(default_factory=dict)
    """What each command must be, by its id."""
    _policies: dict[tuple[str, str, str], Policy] = field(default_factory=dict)

    def take(self, decision: Decision, record: Record, place: Place) -> None:
        """Judge one decision again."""
        program = header(record.headers, PROGRAM_HEADER)
        said = program.decode(errors="replace") if program is not None else None
        written = _Written(decision, record.value or b"", place, said)
        logged = logged_from(decision)
        if isinstance(logged, Undecodable):
            self._not_judged(CUT)
            return
        judged = self._judged(written, logged)
        if judged is None:
            self._not_judged(UNKNOWN_POLICY)
            return
        self._repeat(written, judged)

    def _not_judged(self, why: str) -> None:
        self.unjudged[why] = self.unjudged.get(why, 0) + 1

    def _judged(self, written: _Written, logged: Logged) -> Judged | None:
        """Put the policy that was in force into what was judged; None when nobody knows it any more."""
        judged, inputs = logged.judged, written.decision.inputs
        if judged.policy is not None:
            self._policies[written.service, judged.policy.uid, judged.policy.hash] = judged.policy
            return judged
        if inputs.policy_uid is None:
            return judged
        known = self._policies.get((written.service, inputs.policy_uid, inputs.policy_hash or ""))
        if known is None and judged.answers is None:
            # Whoever can not see the policy wakes and gives back by what the state remembers of it.
            known = remembered(judged.state)
        return replace(judged, policy=known) if known is not None else None

    def _repeat(self, written: _Written, judged: Judged) -> None:
        decision = written.decision
        try:
            outcome = judge(judged)
        except NotReplayableError as error:
            self._wrong(written, f"can not be repeated: {error}")
            return
        self.replayed += 1
        self.reworded += not written.ours
        again = decision_message(judged, outcome, decision.cluster, policy_is_new=decision.inputs.policy is not None)
        if outcome.command is not None:
            self.commands[outcome.command.id] = _asked(outcome.command, written)
        wrong = _compared(written, again)
        if wrong is not None:
            self._wrong(written, wrong)

    def _wrong(self, written: _Written, what: str) -> None:
        by = written.program or "an unknown version"
        versions = "" if written.ours else f" (it was written by {by}, this is {PROGRAM})"
        sentence = f"the decision at {written.place} {what}{versions}"
        self.violations.append(Violation(Rule.REPLAYS, written.service, sentence, (written.place,)))


def _asked(command: Command, written: _Written) -> Again:
    message = command_message(command, written.decision.cluster)
    if not written.ours:
        return Again(meaning_of(message), exact=False)
    return Again(hashlib.blake2b(message.encode(), digest_size=DIGEST).digest(), exact=True)


def _compared(written: _Written, again: Decision) -> str | None:
    """Say how the repetition differs; None when it does not."""
    decision = written.decision
    said = f"{decision.action} ({decision.reason.code})"
    now = f"{again.action} ({again.reason.code})"
    if written.ours:
        encoded = again.encode()
        if encoded == written.raw:
            return None
        differs = _first(written.raw, encoded)
    else:
        field_of = _differs(decision, again)
        if field_of is None:
            return None
        differs = f"the log has another {field_of} than the repetition"
    return f"was {said}, repeated it is {now}" if said != now else f"is {said} again, but {differs}"


def _differs(logged: object, again: object) -> str | None:
    """Return the path of the first difference in what the log says; None when there is none.

    Of a model only what was written counts, since a newer version writes fields that an older one did not know of; of a
    reason only its code.
    """
    if isinstance(logged, BaseModel):
        if type(logged) is not type(again):
            return ""
        names = (name for name in type(logged).model_fields if name in logged.model_fields_set)
        pairs = [(name, getattr(logged, name), getattr(again, name)) for name in names if not _is_told(logged, name)]
    elif isinstance(logged, tuple) and isinstance(again, tuple) and len(logged) == len(again):
        pairs = [(str(index), one, other) for index, (one, other) in enumerate(zip(logged, again, strict=True))]
    else:
        return None if logged == again else ""
    found = ((name, _differs(one, other)) for name, one, other in pairs)
    return next((f"{name}.{inner}".rstrip(".") for name, inner in found if inner is not None), None)


def _is_told(model: BaseModel, name: str) -> bool:
    return isinstance(model, Reason) and name in _TOLD


def _first(one: bytes, other: bytes) -> str:
    """Show where two records begin to differ."""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = max(0, at - 30)
    return f"the log has …{_text(one[begin : at + 30])}… where the repetition has …{_text(other[begin : at + 30])}…"


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
