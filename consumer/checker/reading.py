"""From our own messages to what is kept of them; nothing is judged here but what a record shows alone."""

import hashlib
import sys
from datetime import UTC, datetime
from typing import Final

from consumer.checker.facts import (
    DIGEST,
    CommandFact,
    DecisionFact,
    Marks,
    Owner,
    ResultFact,
    StateFact,
    Step,
    ZeroFact,
)
from consumer.checker.records import Record
from consumer.checker.verdict import Place
from consumer.checker.zeros import zero_fact
from schemas.cloudevents import header
from schemas.decision import Action, Decision
from schemas.judged import Policy
from schemas.parts import CycleCause, RecordCause, TargetRef
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.state import Mark, ServiceState
from schemas.topics import Topic

ALWAYS: Final = datetime.max.replace(tzinfo=UTC)
_REQUESTS: Final = Topic.REQUEST_COUNTS.value
_KINDS: Final = sorted((topic.value for topic in Topic), key=len, reverse=True)


def place_of(record: Record, says: str = "") -> Place:
    """Return where a record stands."""
    return Place(record.topic, record.partition, record.offset, record.time, says)


def kind_of(topic: str) -> str:
    """Return the kind of a topic's full name, whatever its prefix; the name itself when it is none of ours."""
    head, _, namespace = topic.rpartition(".")
    if head.endswith(_REQUESTS):
        return f"{_REQUESTS}.{namespace}"
    return next((kind for kind in _KINDS if topic.endswith(kind)), topic)


def only_of(topic: str) -> str | None:
    """Return the one namespace that a topic carries requests of; None: it is no such topic."""
    kind, _, namespace = topic.partition(".")
    return namespace if kind == _REQUESTS and namespace else None


def are_requests(topic: str) -> bool:
    """Whether a topic carries requests."""
    return topic == _REQUESTS or only_of(topic) is not None


def digest_of(record: Record) -> bytes:
    """Return what tells the content of two records apart."""
    return hashlib.blake2b(record.value or b"", digest_size=DIGEST).digest()


def meaning_of(command: ScaleCommand) -> bytes:
    """Return what tells two commands apart that differ in more than how they tell their reason."""
    untold = command.reason.model_copy(update={"message": "", "facts": {}})
    unsaid = command.model_copy(update={"reason": untold})
    return hashlib.blake2b(unsaid.encode(), digest_size=DIGEST).digest()


def owner_of(record: Record) -> Owner | None:
    """Return who wrote a state or a status: its id is `<owner>/<counter>`; None when it does not say."""
    said = header(record.headers, "ce_id")
    name, slash, _ = (said or b"").decode(errors="replace").rpartition("/")
    return Owner(name, place_of(record)) if slash else None


def target_name(target: TargetRef) -> str:
    """Return what tells the targets of a namespace apart."""
    return f"{target.api_version}/{target.kind}/{target.name}"


def _cycle(cause: RecordCause | CycleCause) -> str | None:
    """Return the owner where no record caused it: `<owner>#<its counter>`."""
    return None if isinstance(cause, RecordCause) else cause.cycle.rpartition("#")[0]


def command_fact(record: Record, command: ScaleCommand) -> CommandFact:
    """Return what is kept of a command."""
    owner = _cycle(command.cause)
    expect = command.expect
    return CommandFact(
        place=place_of(record, f"{command.direction} to {command.replicas}, {command.reason.code}, seq {command.seq}"),
        id=command.id,
        seq=command.seq,
        direction=command.direction.value,
        replicas=command.replicas,
        code=command.reason.code,
        at=command.decided_at,
        owner=owner,
        digest=digest_of(record),
        meaning=meaning_of(command),
        policy_hash=command.policy.hash,
        target=target_name(command.target),
        cluster=sys.intern(command.cluster),
        expect=(expect.uid, expect.generation, expect.replicas) if expect is not None else None,
    )


def result_fact(record: Record, result: ScaleResult, origin: tuple[int, int]) -> ResultFact:
    """Return what is kept of a result."""
    error = result.error
    said = f"{result.phase}, {result.ready_replicas} ready of {result.replicas}, generation {result.target.generation}"
    return ResultFact(
        place=place_of(record, said + (f": {error.message}" if error else "")),
        command=result.command_id,
        phase=result.phase.value,
        replicas=result.replicas,
        ready=result.ready_replicas,
        target=target_name(result.target),
        uid=result.target.uid or "",
        generation=result.target.generation or 0,
        at=min(result.at, record.time) if result.clock_sure else record.time,
        triggered=min(result.triggered_at, record.time) if result.triggered_at and result.clock_sure else None,
        decided=result.decided_at,
        cause=result.cause.value,
        manager=result.manager,
        retryable=error.retryable if error is not None else None,
        origin=origin,
        cluster=sys.intern(result.cluster),
    )


def decision_fact(record: Record, decision: Decision, policy: Policy | None) -> DecisionFact:
    """Return what is kept of a decision; `policy` is what its hash stands for, if that is known."""
    owner = _cycle(decision.cause)
    before, after, around = decision.before, decision.after, decision.inputs.surroundings
    return DecisionFact(
        place=place_of(record, f"{decision.action}, {decision.reason.code}: {decision.reason.message}"),
        id=decision.id,
        digest=digest_of(record),
        at=decision.now,
        action=decision.action.value,
        code=decision.reason.code,
        withheld=decision.withheld,
        command=decision.command_id,
        owner=owner,
        policy_hash=decision.inputs.policy_hash,
        has_policy=before is not None and before.policy_uid is not None,
        mode=around.mode.value,
        max_request_age=around.max_request_age,
        requests=before.requests if before is not None else decision.inputs.requests,
        before=marks_of(before.marks) if before is not None else None,
        after=marks_of(after.marks) if after is not None else None,
        born=before.first_seen_at if before is not None else None,
        zero=_zero(decision, policy),
    )


def _zero(decision: Decision, policy: Policy | None) -> ZeroFact | None:
    if decision.action not in (Action.ZERO, Action.PREPARE):
        return None
    return zero_fact(decision, policy)


def state_fact(record: Record, state: ServiceState) -> StateFact:
    """Return what is kept of the last state of a service."""
    target, wake = state.target, state.wake
    return StateFact(
        place=place_of(record, f"state, seq {state.seq}"),
        seq=state.seq,
        has_policy=state.policy_uid is not None,
        born=state.first_seen_at,
        requests=state.requests,
        marks=marks_of(state.marks),
        hosts=tuple((host.incoming, host.allowed, host.at) for host in state.hosts),
        target=(target.uid, target.generation, target.replicas, target.ready) if target is not None else None,
        wake=(wake.code, wake.since) if wake is not None else None,
    )


def step_of(record: Record, state: ServiceState) -> Step:
    """Return what a state says of its policy's mode and pause."""
    waking = state.waking
    if waking is None:
        return Step(record.time, "full", None)
    pause = waking.pause
    paused = (pause.until or ALWAYS) if pause is not None and pause.kind == "all" else None
    return Step(record.time, waking.mode.value, paused)


def marks_of(marks: tuple[Mark, ...]) -> Marks:
    """Return marks without the prefix of the installation."""
    return tuple((kind_of(mark.topic), mark.partition, mark.offset) for mark in marks)
