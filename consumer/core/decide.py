"""The judgements: at a cycle, at a request, when a wake is due, when a policy goes; each gives one Outcome."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from consumer.core.answers import Answers
from consumer.core.asks import due_at, knock_is_due, sleep_is_asked, up_is_asked, wake_is_due, wanted_replicas
from consumer.core.case import UNASKED, Case, Verdict, case_of, pause_in_force
from consumer.core.commands import Order, Sent, send_back, send_prepare, send_release, send_up, send_zero
from consumer.core.inputs import RequestSeen, ResultSeen, Surroundings
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import PauseKind, Policy
from consumer.core.reasons import Code, Reason, because, span, stamp
from consumer.core.rules import RULES, WAKE_RULES, first_match
from consumer.core.service import Direction, Mode, Phase, strictest
from consumer.core.state import Said, ServiceState, Wake
from consumer.core.telling import told

__all__ = ["adopt", "decide", "due_at", "release", "respond", "retry"]

_ALL_PAUSED: Final = Verdict(Action.HOLD, Code.PAUSED)
_REQUESTED: Final = because(Code.REQUEST)
_NOT_JUDGED: Final = because(Code.BLIND, cause="not-asked")


def decide(
    policy: Policy | None, state: ServiceState, answers: Answers | None, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Judge a service at one evaluation cycle; `policy` None means that it has no valid one.

    The state of the outcome is to be kept even when it is not `changed`. Its reason is the one that was last
    written, unless it is `changed`.
    """
    case = case_of(policy, state, answers, surroundings, now)
    verdict = first_match(RULES, case)
    return _judged(case, verdict) if verdict is not None else _nothing_new(case)


def retry(policy: Policy | None, state: ServiceState, surroundings: Surroundings, now: datetime) -> Outcome:
    """Judge an owed wake between the cycles, when `due_at` has come; nothing else is looked at."""
    case = case_of(policy, state, None, surroundings, now)
    verdict = first_match(WAKE_RULES, case)
    return _judged(case, verdict) if verdict is not None else _nothing_new(case)


def respond(
    policy: Policy | None, state: ServiceState, request: RequestSeen, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Judge a request that was just observed: it wakes, frozen or blind or newborn, unless paused or stale.

    A request for a service that is up, or asked to be, says nothing that the last decision did not: it is `request`
    but not `changed`, so that traffic does not fill the log. Not to be called when `observe` returned the same state.
    """
    case = case_of(policy, state, None, surroundings, now)
    if request.count < 1:
        return _nothing_new(case)
    # With an unsure clock nobody knows how old it is, and a wake too many does less harm than one too few.
    fresh = not surroundings.clock_sure or now - request.at <= surroundings.max_request_age
    pause = pause_in_force(case.policy, now)
    if pause is not None and pause.kind is PauseKind.ALL:
        return _held(_owing(case, request, Code.REQUEST) if fresh else case, _ALL_PAUSED)
    if not fresh:
        limit = span(surroundings.max_request_age)
        return _said_once(case, because(Code.STALE_REQUEST, requested=stamp(request.at), limit=limit))
    if policy is None:
        reason = because(Code.NO_POLICY, requested=stamp(request.at), at=str(request.origin))
        return _said_once(_owing(case, request, Code.NO_POLICY), reason)
    return _requested(case, request)


def adopt(
    policy: Policy | None, state: ServiceState, result: ResultSeen, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Record what the handler did at a request without Kafka, once `observe` has folded its result.

    Where it had nothing to do, since the target was up, that was a request like any other: it says nothing new of a
    service that is asked to be up, and asks for one that a sleep is under way for. An old one was served long ago.
    """
    case = case_of(policy, state, None, surroundings, now)
    if result.phase is Phase.UNCHANGED:
        request = RequestSeen(1, result.triggered_at or result.at, result.origin)
        if surroundings.clock_sure and now - request.at > surroundings.max_request_age:
            return _nothing_new(case)
        return respond(policy, state, request, surroundings, now)
    reason = because(Code.ADOPTED, woken=stamp(result.at), replicas=result.replicas, ready=result.ready)
    return _written(case, Action.UP, reason)


def release(
    policy: Policy, state: ServiceState, surroundings: Surroundings, now: datetime, *, code: Code = Code.POLICY_DELETED
) -> Outcome:
    """Give the target back: up, whatever freeze and pause say.

    For a deleted policy `policy` is its last content. When a policy names another target, call this with
    `Code.TARGET_CHANGED` and the old policy (the new one if the old is not known any more) before the new policy is
    observed: the command goes to the target that the state holds. In mode observe nothing is given back that was
    not taken.
    """
    case = Case(policy, state, UNASKED, surroundings, now)
    target = state.target_ref or policy.target
    reason = because(code, target=str(target))
    taken = state.prepare is not None or (state.ask is not None and state.ask.direction is not Direction.UP)
    if _mode(case) is Mode.OBSERVE and not taken:
        return _written(case, Action.UP, reason, withheld=True)
    order = Order(Direction.UP, _replicas(case), reason, now)
    return _written(case, Action.UP, reason, sent=send_release(case, target, order))


def _judged(case: Case, verdict: Verdict) -> Outcome:
    """Carry a verdict out, as far as it is not carried out already and the mode lets it."""
    # Chained, since a match looks every member of the enumeration up anew; this is run for each service and cycle.
    action = verdict.action
    if action is Action.HOLD:
        return _held(case, verdict)
    return _woken(case, verdict) if action is Action.UP else _put_to_sleep(case, verdict)


def _held(case: Case, verdict: Verdict) -> Outcome:
    state, code, prepare = case.state, verdict.code, case.state.prepare
    if state.wake is None and prepare is None:
        return _concluded(case, verdict)
    if code is Code.NEVER_READY:
        return _concluded(case, verdict, after=replace(state, wake=None))
    if prepare is None:
        return _concluded(case, verdict)
    if code is Code.GUARD_TIMEOUT:
        return _concluded(case, verdict, after=replace(state, prepare=replace(prepare, timed_out=True)))
    if code in (Code.PAUSED, Code.FROZEN):
        reason = told(code, case)
        return _written(case, Action.HOLD, reason, sent=send_back(case, reason))
    return _concluded(case, verdict)


def _woken(case: Case, verdict: Verdict) -> Outcome:
    state, wake, now = case.state, case.state.wake, case.now
    unfinished = wake if verdict.code is Code.UNFINISHED else None
    if _mode(case) is Mode.OBSERVE:
        return _wake_withheld(case, verdict, unfinished)
    if unfinished is not None:
        due, since, trace = wake_is_due(unfinished, now), unfinished.triggered_at, unfinished.trace
    else:
        due, since, trace = not up_is_asked(state, wanted_replicas(case.policy, state)), now, None
    if not due:
        return _concluded(case, verdict)
    reason = told(verdict.code, case)
    sent = send_up(case, Order(Direction.UP, _replicas(case), reason, since, trace))
    return _written(case, Action.UP, reason, sent=sent)


def _wake_withheld(case: Case, verdict: Verdict, unfinished: Wake | None) -> Outcome:
    """Decide a wake in mode observe: nothing is asked, and an old debt is only looked at again later."""
    if unfinished is None:
        return _concluded(case, verdict, withheld=not _is_up(case))
    if not unfinished.asked:
        # A withheld wake leaves no debt, and this one never was more than that.
        return _concluded(case, verdict, after=replace(case.state, wake=None), withheld=True)
    if not wake_is_due(unfinished, case.now):
        return _concluded(case, verdict, withheld=True)
    postponed = replace(case.state, wake=replace(unfinished, asked_at=case.now))
    return _concluded(case, verdict, after=postponed, withheld=True)


def _put_to_sleep(case: Case, verdict: Verdict) -> Outcome:
    state, target, now = case.state, case.state.target, case.now
    if _mode(case) is not Mode.FULL:
        if state.prepare is None:
            return _concluded(case, verdict, withheld=True)
        reason = told(verdict.code, case)
        return _written(case, verdict.action, reason, sent=send_back(case, reason), withheld=True)
    if verdict.action is Action.ZERO and target is not None:
        if sleep_is_asked(state.ask, Direction.ZERO, now):
            return _concluded(case, verdict)
        reason = told(verdict.code, case)
        return _written(case, Action.ZERO, reason, sent=send_zero(case, target, reason))
    if sleep_is_asked(state.ask, Direction.PREPARE, now) or _is_draining(state):
        return _concluded(case, verdict)
    reason = told(verdict.code, case)
    return _written(case, Action.PREPARE, reason, sent=send_prepare(case, reason))


def _is_draining(state: ServiceState) -> bool:
    """Whether the resolver was told already, and its time is not over."""
    if state.prepare is None or state.prepare.timed_out or state.ask is None:
        return False
    return state.ask.command_id == state.prepare.command_id and state.ask.answer not in (None, Phase.FAILED)


def _requested(case: Case, request: RequestSeen) -> Outcome:
    state = case.state
    observing = _mode(case) is Mode.OBSERVE
    asked = up_is_asked(state, wanted_replicas(case.policy, state))
    if (observing and _is_up(case)) or (asked and (observing or not knock_is_due(state.wake, case.now))):
        return Outcome(state, Action.UP, _REQUESTED, case.surroundings.cause)
    reason = because(Code.REQUEST, count=request.count, requested=stamp(request.at), at=str(request.origin))
    if observing:
        return _said_once(case, reason, action=Action.UP, withheld=True)
    order = Order(Direction.UP, _replicas(case), reason, request.at, request.trace)
    return _written(case, Action.UP, reason, sent=send_up(case, order))


def _owing(case: Case, request: RequestSeen, code: Code) -> Case:
    """Note a wake that can not be asked for yet; of several requests the latest counts."""
    state, wake = case.state, case.state.wake
    if wake is None:
        if code is not Code.NO_POLICY and up_is_asked(state, wanted_replicas(case.policy, state)):
            return case
        wake = Wake(case.now, code, case.surroundings.cause, request.at, request.trace)
    elif wake.code is Code.NO_POLICY and request.at > wake.triggered_at:
        wake = replace(wake, triggered_at=request.at)
    return case._replace(state=replace(state, wake=wake))


def _mode(case: Case) -> Mode:
    return strictest(case.surroundings.mode, case.policy.mode)


def _is_up(case: Case) -> bool:
    target = case.state.target
    return target is not None and target.replicas >= wanted_replicas(case.policy, case.state)


def _replicas(case: Case) -> int:
    """How many replicas an up asks for: at least what a wake wants, never fewer than there are."""
    wanted, target = wanted_replicas(case.policy, case.state), case.state.target
    return wanted if target is None else max(wanted, target.replicas)


def _nothing_new(case: Case) -> Outcome:
    said = case.state.said
    if said is None:
        return Outcome(case.state, Action.HOLD, _NOT_JUDGED, case.surroundings.cause)
    return Outcome(case.state, Action(said.action), said.reason, case.surroundings.cause, withheld=said.withheld)


def _concluded(case: Case, verdict: Verdict, *, after: ServiceState | None = None, withheld: bool = False) -> Outcome:
    """Close a judgement that sends nothing: it is written when it differs from the last written one."""
    state, said = after or case.state, case.state.said
    if said is not None and _is_same(said, verdict, withheld=withheld):
        return Outcome(state, verdict.action, said.reason, case.surroundings.cause, withheld=withheld)
    # Told by what was known before, written into what is known after.
    reason = told(verdict.code, case)
    return _written(case._replace(state=state), verdict.action, reason, withheld=withheld)


def _said_once(case: Case, reason: Reason, *, action: Action = Action.HOLD, withheld: bool = False) -> Outcome:
    """Close a judgement whose reason no rule tells, likewise."""
    said = case.state.said
    if said is not None and _is_same(said, Verdict(action, reason.code), withheld=withheld):
        return Outcome(case.state, action, said.reason, case.surroundings.cause, withheld=withheld)
    return _written(case, action, reason, withheld=withheld)


def _is_same(said: Said, verdict: Verdict, *, withheld: bool) -> bool:
    return said.reason.code is verdict.code and said.action == verdict.action and said.withheld is withheld


def _written(
    case: Case, action: Action, reason: Reason, *, sent: Sent | None = None, withheld: bool = False
) -> Outcome:
    """Close a judgement that goes into the log of decisions: it is new, or it sends a command."""
    command = sent.command if sent is not None else None
    state = sent.state if sent is not None else case.state
    outcome = Outcome(state, action, reason, case.surroundings.cause, command, withheld, changed=True)
    said = Said(
        id=outcome.decision_id,
        action=action.value,
        reason=reason,
        at=case.now,
        cause=outcome.cause,
        withheld=withheld,
        command_id=command.id if command is not None else None,
    )
    return replace(outcome, state=replace(state, said=said, requests=0))
