"""What a zero's own record shows: whether what it says it was made from allows one."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from consumer.checker.facts import ZeroFact
from consumer.checker.periods import contains
from schemas.decision import Action, Decision, Judgement
from schemas.judged import Answer, Answers, EnabledPeriod, InvalidPeriod, Policy, TriggerAnswers, Unknown, Yes
from schemas.parts import Mode
from schemas.state import ServiceState

CONTESTED_FOR: Final = timedelta(hours=24)
# The clock of whoever answered may be ahead by as much as a sure clock may be wrong.
_AHEAD: Final = timedelta(seconds=1)


def zero_fact(decision: Decision, policy: Policy | None) -> ZeroFact:
    """Return what a zero or a prepare was made from; `policy` is what was in force by its hash, if it is known."""
    before, answers = decision.before, decision.inputs.answers
    if decision.cut or policy is None or before is None:
        return ZeroFact(wrong=(), judged=False)
    wrong = (
        *_of_people(decision, policy),
        *_of_policy(decision, policy),
        *_of_answers(decision, policy, answers),
        *_of_state(decision, policy, before),
    )
    target, named = before.target, policy.target
    return ZeroFact(
        wrong=wrong,
        judged=True,
        cooldown=policy.cooldown,
        begun=_begun(decision, answers),
        guarded=policy.zero_guard == "resolver" and decision.action is Action.ZERO,
        prepared=before.prepare.since if before.prepare is not None else None,
        target_name=f"{named.api_version}/{named.kind}/{named.name}",
        target=(target.uid, target.generation, target.replicas) if target is not None else None,
    )


def _begun(decision: Decision, answers: Answers | None) -> datetime:
    """When the cycle began: all its queries are for one moment, read after the ends of the inputs."""
    times = [each.at for trigger in answers.triggers for each in _each(trigger)] if answers is not None else []
    return min((*times, decision.now))


def _each(trigger: TriggerAnswers) -> tuple[Answer, Answer, Answer]:
    return trigger.healthy, trigger.to_zero, trigger.from_zero


def _of_people(decision: Decision, policy: Policy) -> Iterator[str]:
    """What people switched, as the decision itself knew it."""
    around, pause = decision.inputs.surroundings, policy.pause
    if decision.judgement is not Judgement.CYCLE:
        yield f"it was judged at a {decision.judgement}, not at a cycle"
    if pause is not None and (pause.until is None or decision.now < pause.until):
        yield f"its policy is paused ({pause.kind})"
    if around.frozen is not None:
        yield f"its sleeps were frozen by {around.frozen}"
    strict = [mode for mode in (around.mode, policy.mode) if mode is not Mode.FULL]
    if strict and not decision.withheld:
        yield f"its mode is {strict[0]}"
    if decision.withheld and decision.command_id is not None and not strict:
        yield "it is marked as withheld, in mode full"


def _of_policy(decision: Decision, policy: Policy) -> Iterator[str]:
    now, period = decision.now, policy.period
    if decision.inputs.surroundings.conflict is not None:
        yield "another, older policy names the same service or target"
    if isinstance(period, InvalidPeriod):
        yield "its enabledPeriod can not be read"
    if isinstance(period, EnabledPeriod) and not contains(period.schedule, period.duration, now):
        yield f"it is outside its enabledPeriod ({period.schedule} for {period.duration})"
    if now < policy.created_at + policy.cooldown:
        yield f"its policy is {now - policy.created_at} old, its cooldown is {policy.cooldown}"


def _of_answers(decision: Decision, policy: Policy, answers: Answers | None) -> Iterator[str]:
    triggers, around = answers.triggers if answers is not None else (), decision.inputs.surroundings
    if not triggers or len(triggers) != len(policy.triggers):
        yield f"{len(triggers)} of its {len(policy.triggers)} triggers were asked"
    for trigger in triggers:
        yield from _of_trigger(trigger)
        for each in _each(trigger):
            if each.at < decision.now - around.stale_after or each.at > decision.now + _AHEAD:
                yield f"trigger {trigger.name} answered for {each.at}, more than {around.stale_after} from the decision"
    if not around.clock_sure:
        yield "the clock was not sure"
    if not around.inputs_read:
        yield "the inputs were not read to where they ended"


def _of_trigger(trigger: TriggerAnswers) -> Iterator[str]:
    if any(isinstance(each, Unknown) for each in (trigger.to_zero, trigger.from_zero)):
        yield f"trigger {trigger.name} had no answer"
        return
    if not isinstance(trigger.healthy, Yes):
        yield f"trigger {trigger.name} was not healthy"
    if isinstance(trigger.from_zero, Yes):
        yield f"trigger {trigger.name} called it busy"
    if not isinstance(trigger.to_zero, Yes):
        yield f"trigger {trigger.name} did not call it idle"
        return
    evidence = trigger.to_zero.evidence
    if evidence.value is not None and evidence.threshold is not None and not evidence.value < evidence.threshold:
        yield f"trigger {trigger.name} measured {evidence.value:g}, not below {evidence.threshold:g}"


def _of_state(decision: Decision, policy: Policy, before: ServiceState) -> Iterator[str]:
    """What its owner remembered; what the topics tell of the same is looked at apart from this."""
    now, target = decision.now, before.target
    if before.wake is not None:
        yield f"a wake was owed since {before.wake.since}"
    if target is None:
        yield "its target had not been seen"
    elif target.replicas == 0:
        yield "its target was at zero already"
    if before.contested_since is not None and now < before.contested_since + CONTESTED_FOR:
        yield f"its sleeps are contested since {before.contested_since}"
    if decision.inputs.surroundings.budget_left <= 0 and (before.ask is None or before.ask.direction != "zero"):
        yield "the sleep budget was used up"
    for what, at in _warmth(before):
        if at is not None and now < at + policy.cooldown:
            yield f"{what} at {at}, within the cooldown of {policy.cooldown}"


def _warmth(before: ServiceState) -> tuple[tuple[str, datetime | None], ...]:
    return (
        ("there was a request", before.last_request_at),
        ("its wake was accepted", before.last_wake_at),
        ("it got ready", before.ready_at),
        ("somebody else scaled it up", before.foreign_up_at),
        ("it was first seen", before.first_seen_at),
    )
