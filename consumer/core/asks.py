"""What was asked of the handler already, and when it has to be asked again."""

from datetime import datetime, timedelta
from typing import Final

from consumer.core.policy import PauseKind, Policy, WakeReplicas
from consumer.core.service import Direction, Phase
from consumer.core.state import Ask, ServiceState, Wake

FIRST_WAKE_RETRY: Final = timedelta(seconds=5)
FIRST_SLEEP_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(minutes=5)
# 5 s doubled six times is 320 s, past the longest; the exponent stays small however long a handler is away.
_MOST_DOUBLINGS: Final = 6

TAKEN: Final = (Phase.ACCEPTED, Phase.UNCHANGED)
"""The answers after which the target is as it was asked to be."""


def backoff(first: timedelta, attempts: int) -> timedelta:
    """How long to wait after that many attempts: first, twice, four times ..., five minutes at most."""
    return min(first * (1 << min(attempts - 1, _MOST_DOUBLINGS)), LONGEST_RETRY)


def wanted_replicas(policy: Policy, state: ServiceState) -> int:
    """How many replicas a wake asks for at least, whatever there is now."""
    return replicas_after(policy, state.before_sleep)


def replicas_after(policy: Policy, before_sleep: int | None) -> int:
    """The same for whoever knows no more of the service than what there was before its sleep, if that."""
    if policy.wake_replicas is WakeReplicas.PREVIOUS and before_sleep is not None:
        return max(1, policy.min_replicas, before_sleep)
    return max(1, policy.min_replicas)


def lost(state: ServiceState) -> bool:
    """Whether the target is at zero although an up was answered: a result later than that answer shows it."""
    target, ask = state.target, state.ask
    if target is None or target.replicas:
        return False
    if ask is None or ask.direction is not Direction.UP or ask.answered_at is None:
        return True
    return target.at > ask.answered_at or (ask.generation is not None and target.generation > ask.generation)


def up_is_asked(state: ServiceState, wanted: int) -> bool:
    """Whether an up to `wanted` replicas was asked for already, so that asking again would change nothing.

    A failed or unanswered up counts only while its wake is owed, for then rule 3 asks again by itself; an unanswered
    one also when the target is as it asks already: its answer is on the way, and whoever was faster paid the wake.
    """
    ask, wake = state.ask, state.wake
    if ask is None or ask.direction is not Direction.UP or ask.replicas < wanted:
        return False
    if wake is not None and wake.asked:
        return ask.answer is None or not lost(state)
    if ask.answer is None:
        return state.target is not None and state.target.replicas >= wanted
    return ask.answer in TAKEN and not lost(state)


def is_unfinished(state: ServiceState, wake: Wake) -> bool:
    """Whether an owed wake has to be asked (again): at zero, failed, or without an answer."""
    if wake.accepted_at is None or wake.failed is not None or lost(state):
        return True
    return state.ask is not None and state.ask.direction is Direction.UP and state.ask.answer is None


def wake_due(wake: Wake) -> datetime:
    """When an unfinished wake is asked (again): at once, then 5 s, 10 s, 20 s ... after the last time."""
    if wake.asked_at is None:
        return wake.since
    return wake.asked_at + backoff(FIRST_WAKE_RETRY, max(wake.asked, 1))


def wake_is_due(wake: Wake, now: datetime) -> bool:
    """Whether an unfinished wake is to be asked (again) by now.

    Also when it was asked, or became due, well after now: then the clock was set back meanwhile.
    """
    return wake_due(wake) <= now or (wake.asked_at or wake.since) > now + LONGEST_RETRY


def knock_is_due(wake: Wake | None, now: datetime) -> bool:
    """Whether a fresh request asks again without waiting for the back-off: the last up failed, asked 5 s ago or more.

    Somebody stands at the door, and what was in the way may be gone. An up without an answer is not asked anew: its
    handler is still at it, with a back-off of its own.
    """
    if wake is None or wake.failed is None or wake.asked_at is None:
        return False
    return now >= wake.asked_at + FIRST_WAKE_RETRY or wake_is_due(wake, now)


def sleep_is_asked(ask: Ask | None, direction: Direction, now: datetime) -> bool:
    """Whether a zero or prepare of that direction is under way, and not due to be asked again."""
    if ask is None or ask.direction is not direction:
        return False
    if ask.answer is not None and ask.answer is not Phase.FAILED:
        return False
    return now < ask.at + backoff(FIRST_SLEEP_RETRY, ask.attempts)


def due_at(state: ServiceState, policy: Policy | None) -> datetime | None:
    """When `retry` wants to be called next; None when no wake is owed, or none can be paid."""
    wake = state.wake
    if wake is None or policy is None:
        return None
    moments = []
    if is_unfinished(state, wake):
        moments.append(wake_due(wake))
    if wake.accepted_at is not None:
        moments.append(wake.accepted_at + policy.start_timeout)
    due = min(moments)
    if policy.pause is None or policy.pause.kind is not PauseKind.ALL:
        return due
    # While everything is paused nothing is paid; at the exact end of the pause it is.
    return None if policy.pause.until is None else max(due, policy.pause.until)
