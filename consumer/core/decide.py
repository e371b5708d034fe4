"""The judgements: at a cycle, at a request, when a wake is due, when a policy goes; each gives one Outcome."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from consumer.core.answers import Answers
from consumer.core.asks import due_at, sleep_is_asked, up_is_asked, wake_due, wanted_replicas
from consumer.core.case import NOBODY, UNASKED, Case, Verdict, pause_in_force
from consumer.core.commands import Order, Sent, send_back, send_prepare, send_release, send_up, send_zero
from consumer.core.inputs import RequestSeen, ResultSeen, Surroundings
from consumer.core.outcome import Action, Command, Outcome
from consumer.core.policy import PauseKind, Policy
from consumer.core.reasons import Code, because, stamp
from consumer.core.rules import RULES, WAKE_RULES, first_match
from consumer.core.service import Direction, Mode, Phase, strictest
from consumer.core.state import Said, ServiceState, Wake

__all__ = ["adopt", "decide", "due_at", "release", "respond", "retry"]


def decide(
    policy: Policy | None, state: ServiceState, answers: Answers | None, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Judge a service at one evaluation cycle; `policy` None means that it has no valid one."""
    case = _case(policy, state, answers, surroundings, now)
    verdict = first_match(RULES, case)
    if verdict is None:  # pragma: no cover - the last rule always holds
        msg = "the last rule must hold in every case"
        raise AssertionError(msg)
    return _judged(case, verdict)


def retry(policy: Policy | None, state: ServiceState, surroundings: Surroundings, now: datetime) -> Outcome:
    """Judge an owed wake between the cycles, when `due_at` has come; nothing else is looked at."""
    case = _case(policy, state, None, surroundings, now)
    verdict = first_match(WAKE_RULES, case)
    return _judged(case, verdict) if verdict is not None else _nothing_new(case)


def respond(
    policy: Policy | None, state: ServiceState, request: RequestSeen, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Judge a request that was just observed: it wakes, frozen or blind or newborn, unless paused or stale.

    A request for a service that is up, or asked to be, says nothing that the last decision did not: it is `request`
    but not `changed`, so that traffic does not fill the log. Not to be called when `observe` returned the same state.
    """
    case = _case(policy, state, None, surroundings, now)
    if request.count < 1:
        return _nothing_new(case)
    # With an unsure clock nobody knows how old it is, and a wake too many does less harm than one too few.
    fresh = not surroundings.clock_sure or now - request.at <= surroundings.max_request_age
    pause = pause_in_force(case.policy, now)
    if pause is not None and pause.kind is PauseKind.ALL:
        return _judged(_owing(case, request, Code.REQUEST) if fresh else case, _everything_paused(case))
    if not fresh:
        age_facts = because(Code.STALE_REQUEST, requested=stamp(request.at), limit=_limit(surroundings))
        return _judged(case, Verdict(Action.HOLD, age_facts))
    if policy is None:
        return _judged(_owing(case, request, Code.NO_POLICY), Verdict(Action.HOLD, because(Code.NO_POLICY)))
    return _requested(case, request)


def adopt(
    policy: Policy | None, state: ServiceState, result: ResultSeen, surroundings: Surroundings, now: datetime
) -> Outcome:
    """Record a wake that the handler did without Kafka, once `observe` has folded its result."""
    case = _case(policy, state, None, surroundings, now)
    reason = because(Code.ADOPTED, woken=stamp(result.at), replicas=result.replicas, ready=result.ready)
    return _concluded(case, Verdict(Action.UP, reason), anew=True)


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
    verdict = Verdict(Action.UP, because(code, target=str(target)))
    taken = state.prepare is not None or (state.ask is not None and state.ask.direction is not Direction.UP)
    if _mode(case) is Mode.OBSERVE and not taken:
        return _concluded(case, verdict, withheld=True)
    order = Order(Direction.UP, _replicas(case), verdict.reason, now)
    return _with_command(case, send_release(case, target, order), verdict)


def _case(
    policy: Policy | None, state: ServiceState, answers: Answers | None, surroundings: Surroundings, now: datetime
) -> Case:
    wake = state.wake
    if wake is not None and wake.code is Code.NO_POLICY and not wake.asked and surroundings.clock_sure:
        # Who asked for a service that nobody declared has gone by now.
        expired = now - wake.triggered_at > surroundings.max_request_age
        state = replace(state, wake=None) if expired else state
    return Case(NOBODY if policy is None else policy, state, answers or UNASKED, surroundings, now)


def _judged(case: Case, verdict: Verdict) -> Outcome:
    """Carry a verdict out, as far as it is not carried out already and the mode lets it."""
    match verdict.action:
        case Action.HOLD:
            return _held(case, verdict)
        case Action.UP:
            return _woken(case, verdict)
        case Action.ZERO | Action.PREPARE:
            return _put_to_sleep(case, verdict)
        case _:
            assert_never(verdict.action)


def _held(case: Case, verdict: Verdict) -> Outcome:
    state, code = case.state, verdict.reason.code
    if code is Code.NEVER_READY:
        return _concluded(_in(case, replace(state, wake=None)), verdict)
    if code is Code.GUARD_TIMEOUT and state.prepare is not None:
        return _concluded(_in(case, replace(state, prepare=replace(state.prepare, timed_out=True))), verdict)
    if code in (Code.PAUSED, Code.FROZEN) and state.prepare is not None:
        return _with_command(case, send_back(case, verdict.reason), verdict)
    return _concluded(case, verdict)


def _woken(case: Case, verdict: Verdict) -> Outcome:
    state, wake, now = case.state, case.state.wake, case.now
    unfinished = wake if verdict.reason.code is Code.UNFINISHED else None
    if _mode(case) is Mode.OBSERVE:
        return _wake_withheld(case, verdict, unfinished)
    if unfinished is not None:
        order = Order(Direction.UP, _replicas(case), verdict.reason, unfinished.triggered_at, unfinished.trace)
        due = wake_due(unfinished) <= now
    else:
        order = Order(Direction.UP, _replicas(case), verdict.reason, now)
        due = not up_is_asked(state, wanted_replicas(case.policy, state))
    return _with_command(case, send_up(case, order), verdict) if due else _concluded(case, verdict)


def _wake_withheld(case: Case, verdict: Verdict, unfinished: Wake | None) -> Outcome:
    """Decide a wake in mode observe: nothing is asked, and an old debt is only looked at again later."""
    if unfinished is None:
        return _concluded(case, verdict, withheld=not _is_up(case))
    postponed = replace(unfinished, asked_at=case.now) if wake_due(unfinished) <= case.now else unfinished
    return _concluded(_in(case, replace(case.state, wake=postponed)), verdict, withheld=True)


def _put_to_sleep(case: Case, verdict: Verdict) -> Outcome:
    state, ask, target = case.state, case.state.ask, case.state.target
    if _mode(case) is not Mode.FULL:
        if state.prepare is not None:
            return _with_command(case, send_back(case, verdict.reason), verdict, withheld=True)
        return _concluded(case, verdict, withheld=True)
    if verdict.action is Action.ZERO and target is not None:
        if sleep_is_asked(ask, Direction.ZERO, case.now):
            return _concluded(case, verdict)
        return _with_command(case, send_zero(case, target, verdict.reason), verdict)
    if sleep_is_asked(ask, Direction.PREPARE, case.now) or _is_draining(state):
        return _concluded(case, verdict)
    return _with_command(case, send_prepare(case, verdict.reason), verdict)


def _is_draining(state: ServiceState) -> bool:
    """Whether the resolver was told already, and its time is not over."""
    if state.prepare is None or state.prepare.timed_out or state.ask is None:
        return False
    return state.ask.command_id == state.prepare.command_id and state.ask.answer not in (None, Phase.FAILED)


def _requested(case: Case, request: RequestSeen) -> Outcome:
    state = case.state
    if up_is_asked(state, wanted_replicas(case.policy, state)):
        return Outcome(state, Action.UP, _REQUEST, case.surroundings.cause)
    reason = because(Code.REQUEST, count=request.count, requested=stamp(request.at), at=str(request.origin))
    verdict = Verdict(Action.UP, reason)
    if _mode(case) is Mode.OBSERVE:
        if _is_up(case):
            return Outcome(state, Action.UP, reason, case.surroundings.cause)
        return _concluded(case, verdict, withheld=True)
    order = Order(Direction.UP, _replicas(case), reason, request.at, request.trace)
    return _with_command(case, send_up(case, order), verdict)


_REQUEST = because(Code.REQUEST)


def _owing(case: Case, request: RequestSeen, code: Code) -> Case:
    """Note a wake that can not be asked for yet; of several requests the latest counts."""
    state, wake = case.state, case.state.wake
    if wake is None:
        if code is not Code.NO_POLICY and up_is_asked(state, wanted_replicas(case.policy, state)):
            return case
        wake = Wake(case.now, code, case.surroundings.cause, request.at, request.trace)
    elif wake.code is Code.NO_POLICY and request.at > wake.triggered_at:
        wake = replace(wake, triggered_at=request.at)
    return _in(case, replace(state, wake=wake))


def _everything_paused(case: Case) -> Verdict:
    return first_match(RULES[:1], case) or Verdict(Action.HOLD, because(Code.PAUSED))


def _limit(surroundings: Surroundings) -> str:
    return f"{surroundings.max_request_age.total_seconds():g}s"


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
        return Outcome(case.state, Action.HOLD, _NOTHING, case.surroundings.cause)
    return Outcome(case.state, Action(said.action), said.reason, case.surroundings.cause, withheld=said.withheld)


_NOTHING = because(Code.BLIND, cause="not-asked")


def _in(case: Case, state: ServiceState) -> Case:
    return case._replace(state=state)


def _with_command(case: Case, sent: Sent, verdict: Verdict, *, withheld: bool = False) -> Outcome:
    return _concluded(_in(case, sent.state), verdict, command=sent.command, withheld=withheld)


def _concluded(
    case: Case,
    verdict: Verdict,
    *,
    command: Command | None = None,
    withheld: bool = False,
    anew: bool = False,
) -> Outcome:
    """Close a judgement: it is written when it differs from the last written one, or sends a command."""
    action, reason = verdict
    state, cause = case.state, case.surroundings.cause
    anew = anew or command is not None
    if not anew and _said_already(state.said, verdict, withheld=withheld):
        return Outcome(state, action, reason, cause, withheld=withheld)
    outcome = Outcome(state, action, reason, cause, command, withheld, changed=True)
    said = _said(outcome, case.now)
    return replace(outcome, state=replace(state, said=said, requests=0))


def _said_already(said: Said | None, verdict: Verdict, *, withheld: bool) -> bool:
    if said is None or said.action != verdict.action or said.withheld is not withheld:
        return False
    return said.reason.code is verdict.reason.code


def _said(outcome: Outcome, now: datetime) -> Said:
    return Said(
        id=outcome.decision_id,
        action=outcome.action.value,
        reason=outcome.reason,
        at=now,
        cause=outcome.cause,
        withheld=outcome.withheld,
        command_id=outcome.command.id if outcome.command is not None else None,
    )
