"""A cluster, a handler and a log in plain values, with everything that may go wrong between them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from consumer.core.answers import TriggerAnswers
from consumer.core.asks import due_at
from consumer.core.decide import adopt, decide, respond, retry
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
from consumer.core.policy import Policy, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.service import OWN_MANAGER, Direction, Phase
from consumer.core.state import ServiceState
from tests.core.stage import AROUND, AWAKE, POLICY, REF, SECOND, T0, idle, said

CYCLE = 30 * SECOND
Judge = Callable[[datetime], TriggerAnswers]


@dataclass(frozen=True, slots=True)
class Pods:
    """The target as the cluster has it."""

    uid: str = "target-1"
    generation: int = 3
    replicas: int = 1
    ready: int = 1
    manager: str = "kubectl"


@dataclass
class Cluster:
    """One target, the results that speak of it, and a handler that may die or stall at any point."""

    pods: Pods = Pods()
    told: Pods = Pods()
    results: list[ResultSeen] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    committed: int = 0
    highest: int = 0
    stalled: Pods | None = None
    draining: Command | None = None

    def publish(self, phase: Phase, now: datetime, command: Command | None = None) -> None:
        pods, origin = self.pods, RecordCause("results", 0, len(self.results))
        fact = ResultSeen(phase, command.id if command else None, REF, pods.uid, pods.generation, 0, 0, now, origin)
        self.results.append(replace(fact, replicas=pods.replicas, ready=pods.ready, manager=pods.manager))
        self.told = pods

    def scaled(self, replicas: int, manager: str) -> None:
        ready = min(self.pods.ready, replicas)
        self.pods = Pods(self.pods.uid, self.pods.generation + 1, replicas, ready, manager)

    def watched(self, now: datetime) -> None:
        """Publish what the log does not know."""
        told, pods = self.told, self.pods
        if told.uid != pods.uid or told.replicas != pods.replicas:
            self.publish(Phase.OBSERVED, now)
        if pods.ready and (not told.ready or told.generation != pods.generation or told.uid != pods.uid):
            self.publish(Phase.READY, now)

    def carried_out(self, command: Command) -> Phase:
        """Do what a command asks, under its condition, and return the answer."""
        if command.seq < self.highest:
            return Phase.SUPERSEDED
        self.highest = command.seq
        if command.direction is Direction.PREPARE:
            self.draining = command
        match command.direction:
            case Direction.UP if self.pods.replicas < command.replicas:
                self.scaled(command.replicas, OWN_MANAGER)
                return Phase.ACCEPTED
            case Direction.UP:
                return Phase.UNCHANGED
            case Direction.ZERO if self.meets(command):
                self.scaled(0, OWN_MANAGER)
                return Phase.ACCEPTED
            case Direction.ZERO:
                return Phase.UNCHANGED if self.is_done(command) else Phase.SUPERSEDED
            case Direction.PREPARE:
                return Phase.DRAINING

    def answered(self, command: Command, now: datetime) -> None:
        """Carry a command out and publish what came of it; an up takes a prepare back first."""
        phase = self.carried_out(command)
        if command.direction is Direction.UP and self.draining is not None:
            self.publish(Phase.RELEASED, now, self.draining)
            self.draining = None
        self.publish(phase, now, command)
        self.committed += 1

    def meets(self, command: Command) -> bool:
        expect, pods = command.expect, self.pods
        return expect is not None and (expect.uid, expect.generation, expect.replicas) == (
            pods.uid,
            pods.generation,
            pods.replicas,
        )

    def is_done(self, command: Command) -> bool:
        """Whether a zero finds its target at zero, whoever brought it there."""
        return command.expect is not None and command.expect.uid == self.pods.uid and not self.pods.replicas

    def next_command(self) -> Command | None:
        return self.commands[self.committed] if self.committed < len(self.commands) else None

    def land(self) -> None:
        """Let the call of a stalled handler take effect, if the target is still the version that it read."""
        if self.stalled is not None and self.stalled == self.pods:
            self.scaled(0, OWN_MANAGER)
        self.stalled = None


@dataclass
class Worker:
    """One owner of the service: folds, judges, and can be killed and started again from its last commit."""

    cluster: Cluster
    policy: Policy = POLICY
    state: ServiceState = AWAKE
    read: int = 0
    counter: int = 0
    requests: int = 0
    hosts: int = 0
    frozen: str | None = None
    committed: ServiceState = AWAKE
    promised: bool = False
    since: list[tuple[Callable[[ServiceState], Outcome | ServiceState], Outcome | None]] = field(default_factory=list)

    def look(self) -> None:
        """Note when a promise was kept: there are ready pods, whatever anybody believes."""
        if self.cluster.pods.ready and self.cluster.pods.replicas:
            self.promised = False

    def around(self, cause: RecordCause | CycleCause | None = None) -> Surroundings:
        self.counter += 1
        return replace(AROUND, cause=cause or CycleCause("producer-1/0", self.counter), frozen=self.frozen)

    def fold(self, event: Event, now: datetime) -> bool:
        before = self.state
        self.state = observe(before, event, now)
        self.since.append((lambda state: observe(state, event, now), None))
        return self.state is not before

    def judge(self, judgement: Callable[[ServiceState], Outcome]) -> Outcome:
        before, outcome = self.state, judgement(self.state)
        self.since.append((judgement, outcome))
        self.state = outcome.state
        if outcome.command is not None:
            self.check(before, outcome.command)
            self.cluster.commands.append(outcome.command)
        return outcome

    def check(self, before: ServiceState, command: Command) -> None:
        assert command.seq > before.seq
        if command.direction is Direction.UP:
            assert before.target is None or command.replicas >= max(1, before.target.replicas)
            return
        assert before.wake is None, "a wake that is owed was put to sleep"
        assert before.target is not None
        assert self.frozen is None
        assert self.policy.pause is None
        asked = before.last_request_at
        assert asked is None or command.decided_at >= asked + self.policy.cooldown, "put to sleep while in use"
        if command.direction is Direction.ZERO and self.policy.zero_guard is ZeroGuard.RESOLVER:
            assert before.hosts
            assert before.prepare is not None
            assert all(host.allowed and host.at >= before.prepare.since for host in before.hosts)

    def request(self, now: datetime, age: timedelta = timedelta()) -> None:
        self.requests += 1
        event = RequestSeen(1, now - age, RecordCause("requests", 0, self.requests))
        around, policy = self.around(event.origin), self.policy
        # A record may be older than the last of its partition only by its clock; its offset is always newer.
        assert self.fold(event, now)
        self.judge(lambda state: respond(policy, state, event, around, now))
        if age <= around.max_request_age:
            target = self.state.target
            assert self.state.wake is not None or (target is not None and target.replicas > 0)
            self.promised = self.promised or self.state.wake is not None

    def cycle(self, now: datetime, trigger: TriggerAnswers) -> Outcome:
        around, policy = self.around(), self.policy
        return self.judge(lambda state: decide(policy, state, said(trigger), around, now))

    def results(self, now: datetime, count: int) -> None:
        for event in self.cluster.results[self.read : self.read + count]:
            self.read += 1
            self.fold(event, now)
            if event.direct:
                self.adopted(event, now)
            self.retried(now)

    def adopted(self, event: ResultSeen, now: datetime) -> None:
        around, policy = self.around(event.origin), self.policy
        outcome = self.judge(lambda state: adopt(policy, state, event, around, now))
        last, at = self.state.last_request_at, event.triggered_at
        assert last is not None
        assert at is not None
        assert last >= min(at, now), "a request without the log was not seen"
        if event.phase is Phase.UNCHANGED and outcome.command is None and now - at <= around.max_request_age:
            ask = self.state.ask
            asked = ask is not None and ask.direction is Direction.UP
            assert asked or policy.pause is not None, "nothing overtakes a zero that was decided before it"

    def host(self, incoming: str, now: datetime, *, allowed: bool) -> None:
        self.hosts += 1
        assert self.fold(HostSeen(incoming, allowed, now, RecordCause("hosts", 0, self.hosts)), now)

    def edited(self, policy: Policy, now: datetime) -> None:
        self.policy = policy
        self.fold(PolicySeen(policy, now), now)
        self.retried(now)

    def repeated(self, now: datetime) -> None:
        """Read the last result once more, as after a rewind."""
        if self.read:
            assert not self.fold(self.cluster.results[self.read - 1], now)

    def retried(self, now: datetime) -> None:
        due = due_at(self.state, self.policy)
        if due is not None and due <= now:
            around, policy = self.around(), self.policy
            self.judge(lambda state: retry(policy, state, around, now))

    def commit(self) -> None:
        self.committed, self.since = self.state, []

    def killed(self) -> None:
        """Start again from the last commit with the same events: the same commands, the same decisions."""
        state = self.committed
        for step, expected in self.since:
            found = step(state)
            if isinstance(found, Outcome):
                assert found == expected
                state = found.state
            else:
                state = found
        assert state == self.state


def settle(cluster: Cluster, worker: Worker, now: datetime, rounds: int, judge: Judge = idle) -> datetime:
    """Let everything that is under way come to its end, with nobody interfering and all triggers saying the same."""
    for _ in range(rounds):
        now += CYCLE
        cluster.land()
        while (command := cluster.next_command()) is not None:
            cluster.answered(command, now)
        cluster.pods = replace(cluster.pods, ready=cluster.pods.replicas)
        worker.look()
        cluster.watched(now)
        worker.results(now, len(cluster.results))
        worker.retried(now)
        worker.cycle(now, judge(now))
        worker.look()
    return now


START = T0
RESTED = (Code.ASLEEP, Code.CONTESTED)
