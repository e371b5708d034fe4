"""Whatever happens, in any order, once it is quiet every wake is paid and what is wanted is what is there."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.core.policy import Pause, PauseKind, Policy, WakeReplicas, ZeroGuard
from consumer.core.service import OWN_MANAGER, Direction, Phase
from tests.core.stage import MINUTE, POLICY, blind, busy, idle
from tests.core.world import RESTED, START, Cluster, Pods, Worker, settle

POLICIES = (
    POLICY,
    replace(POLICY, hash="hash-2", zero_guard=ZeroGuard.RESOLVER),
    replace(POLICY, hash="hash-3", pause=Pause(PauseKind.ALL)),
    replace(POLICY, hash="hash-4", pause=Pause(PauseKind.SLEEP)),
    replace(POLICY, uid="policy-2", hash="hash-5", min_replicas=2, wake_replicas=WakeReplicas.PREVIOUS),
)


class Story(RuleBasedStateMachine):
    """One service, its worker, its handler and its cluster, and everybody's mishaps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.cluster = Cluster()
        self.worker = Worker(self.cluster)

    @rule(milliseconds=st.sampled_from((1, 900, 5_000, 31_000, 601_000, 960_000)))
    def time_passes(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)

    @rule(age=st.sampled_from((timedelta(), timedelta(seconds=5), 11 * MINUTE)))
    def a_request_comes(self, age: timedelta) -> None:
        self.worker.request(self.now, age)

    @rule(trigger=st.sampled_from((idle, idle, idle, busy, blind)))
    def a_cycle_judges(self, trigger: object) -> None:
        judge = next(each for each in (idle, busy, blind) if each is trigger)
        outcome = self.worker.cycle(self.now, judge(self.now))
        if outcome.command is not None and outcome.command.direction is Direction.ZERO:
            assert judge is idle

    @rule()
    def a_wake_is_due(self) -> None:
        self.worker.retried(self.now)

    @rule(count=st.integers(1, 3))
    def results_arrive(self, count: int) -> None:
        self.worker.results(self.now, count)

    @rule()
    def a_result_is_read_again(self) -> None:
        self.worker.repeated(self.now)

    @precondition(lambda self: self.cluster.next_command() is not None)
    @rule(how=st.sampled_from(("answered", "answered", "failed", "died")))
    def the_handler_takes_a_command(self, how: str) -> None:
        command = self.cluster.next_command()
        assert command is not None
        if how == "answered":
            self.cluster.answered(command, self.now)
        elif how == "failed":
            self.cluster.publish(Phase.FAILED, self.now, command)
            self.cluster.committed += 1
        else:
            # Its answer is lost with it, and the next handler gets the same command again.
            self.cluster.carried_out(command)

    @precondition(lambda self: self.cluster.next_command() is not None)
    @rule()
    def the_handler_stalls_within_a_zero(self) -> None:
        command = self.cluster.next_command()
        if command is not None and command.direction is Direction.ZERO and self.cluster.meets(command):
            self.cluster.stalled = self.cluster.pods

    @precondition(lambda self: self.cluster.pods.replicas > 0 and self.worker.state.wake is None)
    @rule()
    def a_zero_is_overtaken_by_a_request(self) -> None:
        """The interleaving that is hardest to come by: decided, stalled in its call, and landing after the wake."""
        self.now += 16 * MINUTE
        self.cluster.watched(self.now)
        self.worker.results(self.now, len(self.cluster.results))
        self.a_cycle_judges(idle)
        self.the_handler_stalls_within_a_zero()
        self.worker.request(self.now)
        # The handler knows of the newer command before it is done with the older one, which is superseded by it.
        self.cluster.highest = max([self.cluster.highest, *(command.seq for command in self.cluster.commands)])
        for _ in range(len(self.cluster.commands) - self.cluster.committed):
            self.the_handler_takes_a_command("answered")
        self.cluster.land()

    @rule()
    def a_stalled_call_lands(self) -> None:
        self.cluster.land()

    @rule()
    def pods_become_ready(self) -> None:
        self.cluster.pods = replace(self.cluster.pods, ready=self.cluster.pods.replicas)

    @rule()
    def the_watch_catches_up(self) -> None:
        self.cluster.watched(self.now)

    @rule(replicas=st.integers(0, 3), manager=st.sampled_from(("kubectl", "argocd")))
    def somebody_scales(self, replicas: int, manager: str) -> None:
        if replicas != self.cluster.pods.replicas:
            self.cluster.scaled(replicas, manager)

    @rule()
    def the_target_is_made_anew(self) -> None:
        uid = f"{self.cluster.pods.uid}+"[:20]
        if uid != self.cluster.pods.uid:
            self.cluster.pods = Pods(uid, 1, 1, 0)

    @rule()
    def the_gateway_wakes_directly(self) -> None:
        phase = Phase.UNCHANGED if self.cluster.pods.replicas else Phase.ACCEPTED
        if phase is Phase.ACCEPTED:
            self.cluster.scaled(1, OWN_MANAGER)
        self.cluster.publish(phase, self.now)
        self.cluster.results[-1] = replace(self.cluster.results[-1], direct=True, triggered_at=self.now)

    @rule(allowed=st.booleans(), incoming=st.sampled_from(("a", "b")))
    def the_resolver_speaks(self, incoming: str, allowed: bool) -> None:
        self.worker.host(incoming, self.now, allowed=allowed)

    @rule(policy=st.sampled_from(POLICIES))
    def the_policy_is_edited(self, policy: Policy) -> None:
        self.worker.edited(policy, self.now)

    @rule(frozen=st.sampled_from((None, "maria")))
    def somebody_freezes_or_thaws(self, frozen: str | None) -> None:
        self.worker.frozen = frozen

    @rule()
    def the_worker_commits(self) -> None:
        self.worker.commit()

    @rule()
    def the_worker_is_killed(self) -> None:
        self.worker.killed()

    @invariant()
    def ids_are_never_used_twice(self) -> None:
        ids = [command.id for command in self.cluster.commands]
        assert len(ids) == len(set(ids))

    @invariant()
    def promises_are_watched(self) -> None:
        self.worker.look()

    def teardown(self) -> None:
        """It becomes quiet: what is owed is paid, and in the end it sleeps, rests from a contest, or is busy."""
        self.worker.frozen = None
        self.worker.edited(POLICY, self.now)
        now = settle(self.cluster, self.worker, self.now, 22)
        pods, state = self.cluster.pods, self.worker.state
        assert state.wake is None
        assert not self.worker.promised, "a wake was owed, and no pod was ever ready after it"
        assert state.target is not None
        known = state.target
        assert (known.uid, known.replicas, known.ready > 0) == (pods.uid, pods.replicas, pods.ready > 0)
        if self.cluster.commands and self.cluster.commands[-1].direction is Direction.UP:
            assert self.cluster.draining is None, "the resolver was left with the traffic of a service that is up"
            assert pods.replicas or pods.manager != OWN_MANAGER, "a zero that landed late was not undone"
        self.it_ends_busy_or_asleep(now)

    def it_ends_busy_or_asleep(self, now: datetime) -> None:
        if len(self.cluster.commands) % 2:
            now = settle(self.cluster, self.worker, now, 3, busy)
            assert self.cluster.pods.replicas >= 1
        # Nothing is asked again and again once everything is as it should be.
        now = settle(self.cluster, self.worker, now, 62)
        sent = len(self.cluster.commands)
        settle(self.cluster, self.worker, now, 20)
        assert len(self.cluster.commands) == sent
        said = self.worker.state.said
        assert said is not None
        assert said.reason.code in RESTED
        assert (self.cluster.pods.replicas == 0) == (said.reason.code.value == "asleep")


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
