"""What one judgement looks at, and what a rule says of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumer.core.answers import Answers
from consumer.core.inputs import Surroundings
from consumer.core.outcome import Action
from consumer.core.policy import Pause, Policy
from consumer.core.reasons import Code
from consumer.core.service import ServiceKey, TargetRef
from consumer.core.state import ServiceState

CONTESTED_FOR: Final = timedelta(hours=24)
"""For how long a service is left up after somebody else undid its last sleeps."""

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
    """What a rule asks for when it holds, and its code."""

    action: Action
    code: Code


Rule = Callable[[Case], Verdict | None]


def case_of(
    policy: Policy | None, state: ServiceState, answers: Answers | None, surroundings: Surroundings, now: datetime
) -> Case:
    """Put together what a judgement looks at; a wake that nobody declared a service for expires here."""
    wake = state.wake
    if wake is not None and wake.code is Code.NO_POLICY and not wake.asked and surroundings.clock_sure:
        # Who asked for a service that nobody declared has gone by now.
        expired = now - wake.triggered_at > surroundings.max_request_age
        state = replace(state, wake=None) if expired else state
    return Case(NOBODY if policy is None else policy, state, answers or UNASKED, surroundings, now)


def pause_in_force(policy: Policy, now: datetime) -> Pause | None:
    """Return the policy's pause, unless it is over; its exact end counts as over."""
    pause = policy.pause
    return pause if pause is not None and (pause.until is None or now < pause.until) else None
