"""A stage for the core's tests: one service, its world in plain values, and a hand that moves time and facts."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from consumer.core.answers import Answer, Answers, Evidence, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.decide import decide, respond, retry
from consumer.core.inputs import (
    CycleCause,
    Event,
    HostSeen,
    PolicySeen,
    RecordCause,
    RequestSeen,
    ResultSeen,
    Surroundings,
)
from consumer.core.observe import observe
from consumer.core.outcome import Command, Outcome
from consumer.core.policy import Policy, Trigger
from consumer.core.service import Phase, ServiceKey, TargetRef
from consumer.core.state import ServiceState, TargetFacts

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
KEY = ServiceKey("shop", "web")
REF = TargetRef("apps/v1", "Deployment", "web")
COOLDOWN = timedelta(minutes=15)

POLICY = Policy(KEY, "web", "policy-1", "hash-1", T0 - DAY, REF, (Trigger("prometheus", ()),), cooldown=COOLDOWN)
AROUND = Surroundings(CycleCause("producer-1/0", 1))

QUIET = Evidence(0.1, 0.5)
LOUD = Evidence(2.0, 0.5)

AWAKE = ServiceState(
    KEY,
    T0 - DAY,
    policy_uid="policy-1",
    policy_hash="hash-1",
    target_ref=REF,
    target=TargetFacts("target-1", 3, 1, 1, T0 - DAY),
)
"""Up and ready for a day, nothing asked, nobody came: idle by every rule."""
ASLEEP = replace(AWAKE, target=TargetFacts("target-1", 4, 0, 0, T0 - DAY))


def idle(at: datetime, name: str = "prometheus#0") -> TriggerAnswers:
    return TriggerAnswers(name, Yes(QUIET, at), Yes(QUIET, at), No(QUIET, at))


def busy(at: datetime, name: str = "prometheus#0") -> TriggerAnswers:
    return TriggerAnswers(name, Yes(LOUD, at), No(LOUD, at), Yes(LOUD, at))


def blind(at: datetime, name: str = "prometheus#0") -> TriggerAnswers:
    unknown: Answer = Unknown(UnknownCause.TIMEOUT, at, "no answer within 5s")
    return TriggerAnswers(name, Yes(QUIET, at), unknown, unknown)


def unhealthy(at: datetime, name: str = "prometheus#0") -> TriggerAnswers:
    return replace(idle(at, name), healthy=No(QUIET, at))


def said(*triggers: TriggerAnswers) -> Answers:
    return Answers(triggers)


def judged(
    state: ServiceState, now: datetime, policy: Policy | None = POLICY, around: Surroundings = AROUND
) -> Outcome:
    """Judge one cycle in which every trigger says idle."""
    return decide(policy, state, said(idle(now)), around, now)


@dataclass
class Hand:
    """Moves one service through time: feeds facts with growing offsets, judges, and remembers every command."""

    policy: Policy | None = POLICY
    state: ServiceState = AWAKE
    around: Surroundings = AROUND
    counter: int = 0
    offset: int = 0
    commands: list[Command] = field(default_factory=list)

    def origin(self, topic: str) -> RecordCause:
        self.offset += 1
        return RecordCause(topic, 0, self.offset)

    def cause(self) -> CycleCause:
        self.counter += 1
        return CycleCause("producer-1/0", self.counter)

    def taken(self, outcome: Outcome) -> Outcome:
        self.state = outcome.state
        if outcome.command is not None:
            self.commands.append(outcome.command)
        return outcome

    def fold(self, event: Event, now: datetime) -> None:
        self.state = observe(self.state, event, now)

    def cycle(self, now: datetime, *triggers: TriggerAnswers) -> Outcome:
        answers = said(*(triggers or (idle(now),)))
        return self.taken(decide(self.policy, self.state, answers, replace(self.around, cause=self.cause()), now))

    def request(self, now: datetime, at: datetime | None = None, count: int = 1) -> Outcome:
        event = RequestSeen(count, at or now, self.origin("requests"), trace="trace-1")
        self.fold(event, now)
        return self.taken(respond(self.policy, self.state, event, replace(self.around, cause=event.origin), now))

    def retried(self, now: datetime) -> Outcome:
        return self.taken(retry(self.policy, self.state, replace(self.around, cause=self.cause()), now))

    def host(self, incoming: str, now: datetime, *, allowed: bool = True) -> None:
        self.fold(HostSeen(incoming, allowed, now, self.origin("hosts")), now)

    def adopt_policy(self, policy: Policy, now: datetime) -> None:
        self.policy = policy
        self.fold(PolicySeen(policy, now), now)

    def result(self, event: ResultSeen) -> None:
        self.fold(replace(event, origin=self.origin("results")), event.at)

    def answer(self, phase: Phase, generation: int, replicas: int, at: datetime, ready: int = 0) -> None:
        """Answer the last command."""
        self.result(replace(result(phase, generation, replicas, at, ready), command_id=self.commands[-1].id))


def result(phase: Phase, generation: int, replicas: int, at: datetime, ready: int = 0) -> ResultSeen:
    return ResultSeen(phase, None, REF, "target-1", generation, replicas, ready, at, RecordCause("results", 0, 0))


def seen(generation: int, replicas: int, at: datetime, manager: str | None = None) -> ResultSeen:
    """An observation of replicas that `manager` set."""
    return replace(result(Phase.OBSERVED, generation, replicas, at, ready=replicas), manager=manager)
