"""The one way to judge: from all that a judgement depends on, so that what is logged is what was judged."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar, assert_never

from consumer.core.answers import Answers
from consumer.core.decide import adopt, decide, release, respond, retry
from consumer.core.inputs import RequestSeen, ResultSeen, Surroundings
from consumer.core.outcome import Outcome
from consumer.core.policy import Policy
from consumer.core.reasons import Code
from consumer.core.state import ServiceState

_Kind = TypeVar("_Kind")


class Occasion(StrEnum):
    """Why a service was judged."""

    CYCLE = "cycle"
    REQUEST = "request"
    RETRY = "retry"
    RELEASE = "release"
    ADOPTION = "adoption"


class NotReplayableError(Exception):
    """The record lacks what its occasion needs; the message names it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything that one judgement depended on; `state` is the one before it, with its event folded in already.

    `code` says why a release took place, and is read for nothing else.
    """

    occasion: Occasion
    policy: Policy | None
    state: ServiceState
    surroundings: Surroundings
    now: datetime
    answers: Answers | None = None
    event: RequestSeen | ResultSeen | None = None
    code: Code = Code.POLICY_DELETED


def judge(judged: Judged) -> Outcome:
    """Return the outcome, the same whenever it is asked for; raises NotReplayableError when a record of it was cut."""
    policy, state, surroundings, now = judged.policy, judged.state, judged.surroundings, judged.now
    match judged.occasion:
        case Occasion.CYCLE:
            return decide(policy, state, judged.answers, surroundings, now)
        case Occasion.REQUEST:
            return respond(policy, state, _needed(judged, judged.event, RequestSeen), surroundings, now)
        case Occasion.RETRY:
            return retry(policy, state, surroundings, now)
        case Occasion.ADOPTION:
            return adopt(policy, state, _needed(judged, judged.event, ResultSeen), surroundings, now)
        case Occasion.RELEASE:
            return release(_needed(judged, policy, Policy), state, surroundings, now, code=judged.code)
        case _:
            assert_never(judged.occasion)


def _needed(judged: Judged, found: object, kind: type[_Kind]) -> _Kind:
    if isinstance(found, kind):
        return found
    message = f"{judged.state.key}: the record of a judgement at a {judged.occasion} needs a {kind.__name__}, has none"
    raise NotReplayableError(message)
