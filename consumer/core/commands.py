"""How a command is built, and what the state remembers of having sent it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumer.core.case import Case
from consumer.core.outcome import Command, Expect, derived_id
from consumer.core.reasons import Reason
from consumer.core.service import Direction, Phase, TargetRef
from consumer.core.state import Ask, Prepare, ServiceState, TargetFacts, Wake

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Order(NamedTuple):
    """What is to be asked of the handler, and the event that made it so."""

    direction: Direction
    replicas: int
    reason: Reason
    triggered_at: datetime
    trace: str | None = None


class Sent(NamedTuple):
    """A command, and the state in which it was sent."""

    command: Command
    state: ServiceState


def send_up(case: Case, order: Order) -> Sent:
    """Ask for an up; a wake is owed from here on, and a prepare under way is taken back by it."""
    told = order if case.state.prepare is None else order._replace(reason=_taking_back(order.reason))
    sent = _send(case, told, case.policy.target)
    wake, now = case.state.wake, case.now
    if wake is None:
        due = Wake(now, order.reason.code, case.surroundings.cause, order.triggered_at, order.trace, 1, now)
    else:
        due = replace(wake, asked=wake.asked + 1, asked_at=now, failed=None)
    return Sent(sent.command, replace(sent.state, wake=due, prepare=None))


def send_back(case: Case, reason: Reason) -> Sent:
    """Take a prepare back: an up to what is there already, so that the resolver lets the traffic go again."""
    there = case.state.target.replicas if case.state.target is not None else 0
    sent = _send(case, Order(Direction.UP, max(1, there), _taking_back(reason), case.now), case.policy.target)
    return Sent(sent.command, replace(sent.state, prepare=None))


def _taking_back(reason: Reason) -> Reason:
    """The command says more than the decision's reason does: its handler may not be the one that prepared."""
    return Reason(reason.code, (*reason.facts, ("prepare", "taken back")))


def send_release(case: Case, target: TargetRef, order: Order) -> Sent:
    """Give a target back for good: up, and nothing is remembered of it but the sequence."""
    sent = _send(case, order, target)
    return Sent(sent.command, replace(sent.state, prepare=None))


def send_zero(case: Case, target: TargetFacts, reason: Reason) -> Sent:
    """Ask for zero, provided the target is still what it was known to be."""
    sent = _send(case, Order(Direction.ZERO, 0, reason, case.now), case.policy.target)
    expect = Expect(target.uid, target.generation, target.replicas)
    return Sent(replace(sent.command, expect=expect), replace(sent.state, before_sleep=target.replicas))


def send_prepare(case: Case, reason: Reason) -> Sent:
    """Ask the resolver to take the traffic; a repetition goes on with the time that the first one started."""
    sent = _send(case, Order(Direction.PREPARE, 0, reason, case.now), case.policy.target)
    before = case.state.prepare
    since = case.now if before is None or before.timed_out else before.since
    return Sent(sent.command, replace(sent.state, prepare=Prepare(sent.command.id, since)))


def _send(case: Case, order: Order, target: TargetRef) -> Sent:
    policy, state, now = case.policy, case.state, case.now
    cause = case.surroundings.cause
    command = Command(
        id=derived_id("command", state.key, cause),
        # Milliseconds keep it growing across a deletion, after which nobody remembers the last one.
        seq=max(state.seq + 1, (now - _EPOCH) // _MILLISECOND),
        key=state.key,
        target=target,
        direction=order.direction,
        replicas=order.replicas,
        expect=None,
        reason=order.reason,
        autoscaler=policy.autoscaler,
        policy_uid=policy.uid,
        policy_hash=policy.hash,
        triggered_at=order.triggered_at,
        decided_at=now,
        cause=cause,
        trace=order.trace,
    )
    ask = Ask(command.id, command.seq, order.direction, order.replicas, now, _attempts(state.ask, order.direction))
    return Sent(command, replace(state, seq=command.seq, ask=ask))


def _attempts(ask: Ask | None, direction: Direction) -> int:
    """Count how often this was asked in a row without success."""
    if ask is None or ask.direction is not direction or ask.answer not in (None, Phase.FAILED):
        return 1
    return ask.attempts + 1
