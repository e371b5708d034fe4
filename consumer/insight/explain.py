"""Why a service is as it is: the answer first, then the rules, then the chain of events, then what would wake it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from consumer.core.answers import Answers
from consumer.core.case import Case, case_of
from consumer.core.explain import RuleView, explain_rules
from consumer.core.inputs import CycleCause, Surroundings
from consumer.core.policy import InvalidPeriod, PauseKind, Policy
from consumer.core.reasons import Code, span, stamp
from consumer.core.remembering import remembered
from consumer.core.schedule import EnabledPeriod
from consumer.core.sentences import sentence
from consumer.core.service import Mode, strictest
from consumer.core.state import ServiceState
from consumer.insight.story import Noted, Story
from schemas.decision import Action, Decision
from schemas.parts import Reason, RecordCause
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ScaleResult


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what happened, where it stands in the log, and how long after its cause."""

    at: datetime
    what: str
    text: str
    place: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything `elasti explain` says.

    `measured_at` is the time of the answers that the rules were judged by; `mode` is the strictest that applies.
    """

    answer: str
    rules: Sequence[RuleView]
    chain: Sequence[Link]
    wakes_on: Sequence[str]
    measured_at: datetime | None
    blockers: Sequence[RuleView]
    mode: Mode


def explain(story: Story, policy: Policy | None, answers: Answers | None, now: datetime) -> Explanation:
    """Explain the service of a story at `now`; fresh `answers` win over those of the last logged decision."""
    known = answers or story.answers()
    rules: tuple[RuleView, ...] = ()
    mode = strictest(policy.mode if policy else Mode.FULL, story.controls.mode(story.key, now))
    if story.state is not None:
        case = _case(story, story.state, policy, known, now)
        rules, mode = _last_word(explain_rules(case)), strictest(mode, case.surroundings.mode)
    return Explanation(
        answer=_answer(story, now),
        rules=rules,
        chain=chain(story),
        wakes_on=list(_wakes_on(story, policy, now)),
        measured_at=_measured_at(known),
        blockers=[view for view in rules if view.blocks_sleep],
        mode=mode,
    )


def _last_word(rules: tuple[RuleView, ...]) -> tuple[RuleView, ...]:
    """The last rule takes for granted that no other held: by itself it would call a busy service idle."""
    if any(view.holds for view in rules if view.code is not Code.IDLE):
        return tuple(replace(view, holds=view.holds and view.code is not Code.IDLE) for view in rules)
    return rules


def _case(story: Story, state: ServiceState, policy: Policy | None, answers: Answers | None, now: datetime) -> Case:
    logged = story.last_logged()
    around = logged.judged.surroundings if logged else Surroundings(CycleCause("explain", 0))
    mode = strictest(around.mode, story.controls.mode(story.key, now))
    around = replace(around, frozen=story.controls.frozen(story.key, now), mode=mode, clock_sure=True, inputs_read=True)
    measured = _measured_at(answers)
    if measured is not None and not (logged and logged.reason.code is Code.STALE):
        # The log has answers only where they changed something: while they say the same, their age says nothing.
        around = replace(around, stale_after=max(around.stale_after, now - measured + around.stale_after))
    return case_of(policy, state, answers, around, now)


def _measured_at(answers: Answers | None) -> datetime | None:
    """The time of the oldest answer; None when there are none."""
    return min((one.at for each in answers.triggers for one in each.each()), default=None) if answers else None


def _answer(story: Story, now: datetime) -> str:
    if story.state is None and not story.decisions:
        return f"{story.key}: nothing is known of it; no request, result or policy of it was ever seen"
    standing, since = _standing(story)
    held = f" since {stamp(since)} ({span(now - since)})" if since else ""
    return f"{story.key} is {standing}{held} because {_why(story)}"


def _standing(story: Story) -> tuple[str, datetime | None]:
    """How it stands, and when it came to stand so: the last result that changed it."""
    target = story.state.target if story.state else None
    if target is None:
        last = story.decisions[-1].message if story.decisions else None
        left = last is not None and last.reason.code == Code.POLICY_DELETED
        return ("not looked after any more" if left else "not observed yet"), None
    if target.replicas == 0:
        return "asleep", _last(story, lambda result: result.replicas == 0)
    if target.ready == 0:
        return f"waking ({target.replicas} replicas, none ready)", _last(
            story, lambda result: result.replicas > 0 and not result.ready_replicas
        )
    # The log tells of the first ready replica and of the last one to go, not of those between.
    ready = "1 of 1 ready" if target.replicas == 1 else f"{target.replicas} replicas, at least 1 ready"
    return f"awake ({ready})", _last(story, lambda result: result.replicas > 0 and result.ready_replicas > 0)


def _last(story: Story, holds: Callable[[ScaleResult], bool]) -> datetime | None:
    """When the present run of results that fit began."""
    since = None
    for noted in reversed(story.results):
        if not holds(noted.message):
            break
        since = noted.message.at
    return since


def _why(story: Story) -> str:
    """The reason that made it so, and what is under way to change it."""
    said = story.state.said if story.state else None
    last = story.decisions[-1].message if story.decisions else None
    target = story.state.target if story.state else None
    if target is not None and target.replicas == 0:
        return _why_asleep(story, last)
    if last is not None and last.action is Action.ZERO:
        under_way = "the mode withholds its sleep" if last.withheld else "its sleep was asked for and is not done yet"
        return f"{under_way}: {_told(last.reason)}"
    if said is not None:
        return f"{sentence(said.reason)} [{said.reason.code}]"
    return _told(last.reason) if last else "nobody decided anything yet"


def _why_asleep(story: Story, last: Decision | None) -> str:
    zero = next((noted for noted in reversed(story.commands) if noted.message.direction is Direction.ZERO), None)
    why = _told(zero.message.reason) if zero else _told(last.reason) if last else "somebody put it there"
    if last is None or last.action is not Action.UP:
        return why
    under_way = "the mode withholds its wake" if last.withheld else "its wake was asked for and is not done yet"
    return f"{why}; {under_way}: {_told(last.reason)}"


def _told(reason: Reason) -> str:
    return f"{reason.message} [{reason.code}]"


def chain(story: Story) -> Sequence[Link]:
    """Everything that happened, in the order of time, each with its delay after what caused it."""
    decided = {noted.message.command_id: noted.message for noted in story.decisions if noted.message.command_id}
    commands = {noted.message.id: noted.message for noted in story.commands}
    links = [
        *(_decision(noted) for noted in story.decisions),
        *(_command(noted, decided.get(noted.message.id)) for noted in story.commands),
        *_results(story.results, commands),
    ]
    return sorted(links, key=lambda link: link.at)


def _decision(noted: Noted[Decision]) -> Link:
    read = noted.message
    cause = read.cause
    origin = (
        f"{cause.topic}/{cause.partition}@{cause.offset}" if isinstance(cause, RecordCause) else f"cycle {cause.cycle}"
    )
    withheld = " (withheld by the mode)" if read.withheld else ""
    event = read.inputs.event
    return Link(
        at=read.now,
        what=f"decided {read.action}{withheld}",
        text=f"{read.reason.message} [{read.reason.code}], caused by {origin}",
        place=noted.place,
        after=read.now - event.at if event else None,
    )


def _command(noted: Noted[ScaleCommand], decision: Decision | None) -> Link:
    read = noted.message
    return Link(
        at=max(noted.at, read.decided_at),
        what=f"asked {read.direction}",
        text=f"{read.target.kind}/{read.target.name} to {read.replicas}, seq {read.seq}"
        + ("" if decision else " (decision not logged)"),
        place=noted.place,
        after=noted.at - read.decided_at,
    )


def _results(results: Sequence[Noted[ScaleResult]], commands: dict[str, ScaleCommand]) -> Iterator[Link]:
    accepted_at: datetime | None = None
    for noted in results:
        read = noted.message
        command = commands.get(read.command_id or "")
        after = read.at - command.decided_at if command else None
        if read.phase is Phase.ACCEPTED:
            accepted_at = read.at
        if read.phase is Phase.READY and accepted_at is not None:
            after, accepted_at = read.at - accepted_at, None
        by = f" by {read.manager}" if read.manager else ""
        error = f": {read.error.message}" if read.error else ""
        yield Link(
            at=read.at,
            what=str(read.phase),
            text=f"{read.ready_replicas} ready of {read.replicas} wanted{by}{error}",
            place=noted.place,
            after=after,
        )


def _wakes_on(story: Story, policy: Policy | None, now: datetime) -> Iterator[str]:
    state = story.seen()
    policy = policy or (remembered(state) if state is not None else None)
    if policy is None:
        yield "nothing: no valid policy is known; a request would be remembered for ten minutes"
        return
    if policy.pause is not None and policy.pause.kind is PauseKind.ALL:
        yield "nothing while it is paused; a request is remembered and paid at the end of the pause"
        return
    yield f"a request: POST /informer/incoming-request, or `elasti send request-count {story.key}`"
    for index, trigger in enumerate(policy.triggers):
        threshold = trigger.named().get("threshold")
        at_least = f" at {threshold} or above" if threshold else ""
        query = trigger.named().get("query")
        yield f"{trigger.type}#{index}{at_least}{f': {query}' if query else ''}"
    match policy.period:
        case EnabledPeriod() as period:
            yield _period(period, now)
        case InvalidPeriod():
            yield "its enabled period, which can not be read: it is kept up"
        case None:
            pass


def _period(period: EnabledPeriod, now: datetime) -> str:
    end = period.window_end(now)
    if end is not None:
        return f"the end of its enabled period at {stamp(end)}"
    start = period.next_start(now)
    return f"being outside its enabled period, which {f'starts at {stamp(start)}' if start else 'never starts again'}"
