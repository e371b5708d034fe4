"""How a scale result changes what is known: the target, the answer to an ask, debts, and what others did."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from consumer.core.asks import TAKEN
from consumer.core.inputs import ResultSeen
from consumer.core.reasons import Code, stamp
from consumer.core.service import OWN_MANAGER, Direction, Phase
from consumer.core.state import MAX_SLEEPS, Ask, ServiceState, Sleep, TargetFacts, Wake

UNDONE_WITHIN: Final = timedelta(minutes=10)
"""A sleep that somebody else undid this soon after it counts against the next sleep."""

UNSEEN_ZERO_FOR: Final = timedelta(minutes=1)
"""A request this long before a zero is reported may have found nobody there: a report is as late as its handler.

12:00:00 a person scales to zero; 12:00:01 a request comes, and asks for nothing, for all that is known is that the
target is up; the handler died at 11:59:55, and its successor reports the zero at 12:00:30. 29 s are within the minute:
the request is owed its wake. Had it come at 11:59:20, 70 s before the report, it would have been served while the
target was up, and the person's zero would stay.
"""

_ONE_WORD: Final = timedelta(seconds=1)
"""A result that is told twice has one time, but for what is cut off where a handler's clock is ahead of the log's."""

_ANSWERS: Final = (
    Phase.ACCEPTED,
    Phase.UNCHANGED,
    Phase.SUPERSEDED,
    Phase.FAILED,
    Phase.DRAINING,
    Phase.RELEASED,
)


def fold_result(state: ServiceState, event: ResultSeen, now: datetime) -> ServiceState:
    """Fold a result; one of another target, or of an older generation of the same uid, changes nothing.

    But for one thing: that a handler was asked without the log is a request, whatever became of the target since.
    """
    if event.direct and event.phase in TAKEN:
        state = _asked_for(state, event, now)
    if state.target_ref not in (None, event.target):
        return state
    if not event.uid:
        return _without_target(state, event)
    if _is_old(state.target, event):
        return state
    before = state.target
    if before is not None and before.uid != event.uid:
        # A new target of the same name: nothing was asked of it yet, but who waits for a wake still waits.
        state = replace(state, ask=None, prepare=None, wake=unasked(state.wake))
        before = None
    event = _seen_since(before, event)
    state = replace(
        state, target_ref=event.target, target=_facts(before, event), prepare=state.prepare if event.replicas else None
    )
    state = _answered(state, event)
    state = _moved_by_others(state, before, event)
    return _debts(state, before, event, now)


def _asked_for(state: ServiceState, event: ResultSeen, now: datetime) -> ServiceState:
    """Note when it was asked for; not how often, for the log may still get the requests themselves."""
    at = min(event.triggered_at or event.at, now)
    return state if state.last_request_at and at <= state.last_request_at else replace(state, last_request_at=at)


def unasked(wake: Wake | None) -> Wake | None:
    """Return the same debt as if nothing had been asked for it yet."""
    return wake and replace(wake, asked=0, asked_at=None, accepted_at=None, generation=None, failed=None)


def _is_old(known: TargetFacts | None, event: ResultSeen) -> bool:
    if known is None:
        return False
    if known.uid == event.uid:
        return event.generation < known.generation
    # Of two targets of one name the later seen one is the present one.
    return event.at < known.at


def _seen_since(known: TargetFacts | None, event: ResultSeen) -> ResultSeen:
    """Return a wake's answer with what is known to have got ready since.

    It shows its generation as it began, and may come last: told by another handler, held up, or told twice. 12:00
    woken without Kafka, 12:05 found up and ready by the next request; Kafka is back, and has the second one first.
    """
    if known is None or event.phase is not Phase.ACCEPTED or not event.replicas:
        return event
    return replace(event, ready=max(event.ready, known.ready)) if known.generation == event.generation else event


def _without_target(state: ServiceState, event: ResultSeen) -> ServiceState:
    """Fold a result that knows no target: it may answer, and an observation says that the target is gone."""
    if event.phase is Phase.OBSERVED:
        return replace(state, target=None, prepare=None)
    return _answered(state, event)


def _facts(before: TargetFacts | None, event: ResultSeen) -> TargetFacts:
    manager = event.manager
    if manager is None and before is not None and before.replicas == event.replicas:
        manager = before.manager
    return TargetFacts(event.uid, event.generation, event.replicas, event.ready, event.at, manager)


def _answered(state: ServiceState, event: ResultSeen) -> ServiceState:
    """Fold the answer to the last command; what was taken stays taken, whatever a repeated delivery says."""
    ask = state.ask
    if ask is None or ask.command_id != event.command_id:
        return _late_zero(state, event)
    if event.phase not in _ANSWERS or ask.answer in TAKEN:
        return state
    answered = replace(ask, answer=event.phase, answered_at=event.at, generation=event.generation)
    match ask.direction:
        case Direction.UP:
            return _up_answered(replace(state, ask=answered), event)
        case Direction.ZERO:
            return _zero_answered(replace(state, ask=answered), event)
        case Direction.PREPARE:
            refused = event.phase is Phase.SUPERSEDED
            return replace(state, ask=answered, prepare=None if refused else state.prepare)


def _up_answered(state: ServiceState, event: ResultSeen) -> ServiceState:
    wake = state.wake
    if event.phase in TAKEN:
        return _taken(state, event)
    if wake is None or event.phase is Phase.RELEASED:
        return state
    return replace(state, wake=replace(wake, failed=event.error or event.phase.value))


def _taken(state: ServiceState, event: ResultSeen) -> ServiceState:
    """Note that a wake was accepted: the first time counts for its time-outs, the last generation for `ready`."""
    sleeps = _ended_by_us(state.sleeps, event) if event.phase is Phase.ACCEPTED else state.sleeps
    wake = state.wake
    if wake is None:
        return replace(state, sleeps=sleeps)
    first = wake.accepted_at is None
    return replace(
        state,
        sleeps=sleeps,
        last_wake_at=event.at if first or event.phase is Phase.ACCEPTED else state.last_wake_at,
        wake=replace(
            wake,
            accepted_at=event.at if first else wake.accepted_at,
            generation=event.generation,
            failed=None,
        ),
    )


def _zero_answered(state: ServiceState, event: ResultSeen) -> ServiceState:
    # Redelivered after its answer was lost, a zero finds its own work done; somebody else's zero is no sleep of ours.
    landed_before = event.phase is Phase.UNCHANGED and not event.replicas and event.manager in (None, OWN_MANAGER)
    if event.phase is not Phase.ACCEPTED and not landed_before:
        return state
    return replace(state, sleeps=(*state.sleeps, Sleep(event.at))[-MAX_SLEEPS:])


def _late_zero(state: ServiceState, event: ResultSeen) -> ServiceState:
    """A zero that a newer ask has overtaken was a sleep all the same: whoever counts sleeps must not lose it."""
    if event.command_id is None or event.direct or event.phase is not Phase.ACCEPTED or event.replicas:
        return state
    # Published anew since nobody knew whether it had arrived, it is the same sleep.
    if any(abs(event.at - sleep.at) < _ONE_WORD for sleep in state.sleeps):
        return state
    return replace(state, sleeps=(*state.sleeps, Sleep(event.at))[-MAX_SLEEPS:])


def _ended_by_us(sleeps: tuple[Sleep, ...], event: ResultSeen) -> tuple[Sleep, ...]:
    """A sleep that our own wake ended was undone by nobody else, whoever scales afterwards."""
    if not sleeps or sleeps[-1].undone_at is not None:
        return sleeps
    return (*sleeps[:-1], replace(sleeps[-1], undone_at=event.at))


def _moved_by_others(state: ServiceState, before: TargetFacts | None, event: ResultSeen) -> ServiceState:
    """Note that somebody else brought the replicas back from zero, and whether that undid a sleep of ours."""
    if before is None or before.replicas or not event.replicas or not _is_foreign(event):
        return state
    state = replace(state, foreign_up_at=event.at)
    if not state.sleeps or state.sleeps[-1].undone_at is not None:
        return state
    undone = replace(state.sleeps[-1], undone_at=event.at, manager=event.manager or "unknown")
    sleeps = (*state.sleeps[:-1], undone)
    contested = len(sleeps) == MAX_SLEEPS and all(_undone_soon(sleep) for sleep in sleeps)
    return replace(state, sleeps=sleeps, contested_since=event.at if contested else state.contested_since)


def _is_foreign(event: ResultSeen) -> bool:
    if event.manager is not None:
        return event.manager != OWN_MANAGER
    return event.phase is Phase.OBSERVED and not event.direct


def _undone_soon(sleep: Sleep) -> bool:
    if sleep.undone_at is None or sleep.manager is None:
        return False
    return sleep.undone_at - sleep.at <= UNDONE_WITHIN


def _debts(state: ServiceState, before: TargetFacts | None, event: ResultSeen, now: datetime) -> ServiceState:
    """Start a debt that this result shows, or end the one that it shows to be paid."""
    if (event.direct and event.phase is Phase.ACCEPTED) or _was_woken_unheard(state, before, event):
        state = _woken_directly(state, event, now)
    elif (undoes := _to_be_undone(state, before, event)) is not None:
        return replace(state, wake=Wake(now, Code.UNFINISHED, event.origin, event.at, undoes=undoes))
    if event.ready < 1 or not event.replicas:
        return state
    if state.last_wake_at is not None and (state.ready_at is None or state.ready_at < state.last_wake_at):
        state = replace(state, ready_at=event.at)
    wake = state.wake
    if wake is None or wake.generation is None or event.generation < wake.generation:
        return state
    return replace(state, wake=None)


def _woken_directly(state: ServiceState, event: ResultSeen, now: datetime) -> ServiceState:
    """A wake without Kafka is a wake like any other from here on: owed until a replica is ready."""
    triggered_at = event.triggered_at or event.at
    wake = state.wake or Wake(now, Code.ADOPTED, event.origin, triggered_at)
    wake = replace(wake, accepted_at=wake.accepted_at or event.at, generation=event.generation, failed=None)
    return replace(state, wake=wake, last_wake_at=event.at, sleeps=_ended_by_us(state.sleeps, event))


def _was_woken_unheard(state: ServiceState, before: TargetFacts | None, event: ResultSeen) -> bool:
    """Whether a handler of ours brought the target up and ended before the log knew: a wake without Kafka, most likely.

    12:00 Kafka goes, 12:01 a handler wakes the service, 12:02 it is killed, 12:10 Kafka is back and the next handler
    sees what there is, or finds it up at the next request. Taken for nothing, the service would be put to sleep at
    once, in use as it is.
    """
    found_up = event.direct and event.phase is Phase.UNCHANGED
    if not (event.phase is Phase.OBSERVED or found_up) or event.manager != OWN_MANAGER or state.wake is not None:
        return False
    return before is not None and not before.replicas and event.replicas > 0


def _to_be_undone(state: ServiceState, before: TargetFacts | None, event: ResultSeen) -> str | None:
    """Say what is to be undone: the target is at zero although we asked for it, by us, or a request met the zero."""
    ask, last = state.ask, state.last_request_at
    if event.replicas or state.wake is not None or ask is None or ask.direction is not Direction.UP:
        return None
    # A zero of ours that took effect after the up that was to overtake it, told by the cluster or by its own answer.
    own_answer = event.phase is Phase.ACCEPTED and event.command_id not in (None, ask.command_id)
    late = f"that landed after the wake asked for at {stamp(ask.at)}"
    if event.manager == OWN_MANAGER or own_answer:
        return f"an older zero of ours {late}"
    if _may_be_ours(ask, event):
        return f"a zero by nobody named, maybe an older one of ours, {late}"
    if last is None or not _met(last, before, event):
        return None
    return f"a zero by {event.manager or 'nobody named'} that the request of {stamp(last)} may have met"


def _may_be_ours(ask: Ask, event: ResultSeen) -> bool:
    """Whether a zero without a name may be an older one of ours whose handler died before it could say so.

    The API names nobody for a zero through `/scale`; a handler knows its own call only while it lives. What a dead one
    sent is in effect within a minute of the up that overtook it, or never; one that lives tells by its own answer. A
    person's zero in that minute can not be told from it, and is undone.
    """
    is_there = event.phase is Phase.OBSERVED and event.uid != ""
    return is_there and event.manager is None and event.at < ask.at + UNSEEN_ZERO_FOR


def _met(last: datetime, before: TargetFacts | None, event: ResultSeen) -> bool:
    """Whether the last request may have come after this zero, but before we knew of it, and so asked for nothing.

    A result tells when the zero was reported, not when it happened. In the order in which the cluster had them:

    - request, known up, zero, reported: it was served; a person's zero stays.
    - known up, zero, request, reported within UNSEEN_ZERO_FOR of the request: a wake is owed.
    - known up, request, zero, reported within UNSEEN_ZERO_FOR of the request: it can not be told from the one above,
      and is woken once more than needed. That makes it known up, so the same request undoes no second zero.
    - known up, request, long after it zero, reported: it was served; a person's zero stays.
    - reported, request: it is known to be at zero when the request is judged, which asks by itself.
    """
    if last < event.at - UNSEEN_ZERO_FOR:
        return False
    return last >= event.at or before is None or last > before.at
