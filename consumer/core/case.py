"""What one judgement looks at, and what a rule says of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from consumer.core.answers import Answers
from consumer.core.inputs import Surroundings
from consumer.core.outcome import Action
from consumer.core.policy import Pause, Policy
from consumer.core.reasons import Reason
from consumer.core.service import ServiceKey, TargetRef
from consumer.core.state import ServiceState

NOBODY: Final = Policy(
    key=ServiceKey("", ""),
    name="",
    uid="",
    hash="",
    created_at=datetime(1970, 1, 1, tzinfo=UTC),
    target=TargetRef("", "", ""),
    triggers=(),
)
"""Stands in a case where the service has no valid policy; rule 2 sees to it that nothing below judges by it."""

UNASKED: Final = Answers(())
"""Stands in a case for which nothing was measured."""


class Case(NamedTuple):
    """Everything that a judgement may look at."""

    policy: Policy
    state: ServiceState
    answers: Answers
    surroundings: Surroundings
    now: datetime


class Verdict(NamedTuple):
    """What a rule asks for when it holds, and why."""

    action: Action
    reason: Reason


Rule = Callable[[Case], Verdict | None]


def pause_in_force(policy: Policy, now: datetime) -> Pause | None:
    """Return the policy's pause, unless it is over; its exact end counts as over."""
    pause = policy.pause
    return pause if pause is not None and (pause.until is None or now < pause.until) else None
