"""The desk of one partition: facts in, judgements out to the journal; it waits for nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from consumer.core.answers import Answers
from consumer.core.asks import due_at
from consumer.core.inputs import Cause, CycleCause, PolicySeen, RequestSeen, ResultSeen, Surroundings
from consumer.core.observe import moved, observe
from consumer.core.outcome import Outcome
from consumer.core.policy import Policy
from consumer.core.reasons import Code
from consumer.core.remembering import remembered
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.service import Direction, Mode, Phase, ServiceKey, strictest
from consumer.core.state import ServiceState
from consumer.core.window import Window
from consumer.ports import Moment, Output, PolicyEntry, Record, Subject
from consumer.telemetry import Presence
from consumer.wire.messages import path_of
from consumer.worker.alarms import Alarms
from consumer.worker.budget import SleepBudget
from consumer.worker.forgotten import Forgotten
from consumer.worker.intake import Fact, request_seen
from consumer.worker.journal import Journal
from consumer.worker.outputs import Outputs
from consumer.worker.presence import presence_of
from consumer.worker.shared import Conditions, Shared
from schemas.service_status import Path

log = structlog.get_logger(__name__)

# Requests of one service that follow a fresh one within this are counted together: nothing depends on each of them.
_FOLD = timedelta(seconds=1)
_SAY_AGAIN = timedelta(minutes=1)
# Handlers that waited for the log as we did have told by then what they saw meanwhile: they try every 5 s.
_HEARD_AFTER = timedelta(seconds=30)


@dataclass(slots=True)
class _Fold:
    """Requests behind the one that settled what this batch has to say of a service."""

    first: datetime
    count: int = 0
    last: Record | None = None


class Desk:
    """Holds the states of a partition's services and judges them one after the other."""

    def __init__(self, shared: Shared, owner: str, outputs: Outputs, states: dict[ServiceKey, ServiceState]) -> None:
        self._shared = shared
        self._owner = owner
        self._outputs = outputs
        self._counter = 0
        self._policies: dict[ServiceKey, PolicyEntry] = {}
        self._alarms = Alarms()
        self._shown: dict[ServiceKey, tuple[object, ...]] = {}
        self._modes: dict[ServiceKey, Mode] = {}
        self._awake = 0
        self._budget = SleepBudget.of(states.values())
        self._owed = {key for key, state in states.items() if state.policy_uid is None}
        self._logged: dict[ServiceKey, tuple[str, str]] = {}
        self._forgotten = Forgotten(shared.settings.most_owed)
        self._full_said_at: datetime | None = None
        self._heard_from = shared.ports.clock.read().now + _HEARD_AFTER
        self.states = states
        self.journal = Journal()
        for key, state in states.items():
            if state.wake is not None:
                # Also when its policy can not be seen for now.
                self._alarms.set(key, due_at(state, remembered(state)))

    def requests(self, key: ServiceKey, requests: Sequence[tuple[Record, int]], moment: Moment) -> None:
        """Take in a service's RequestCounts; what follows a fresh one within a second is folded into one fact."""
        fold: _Fold | None = None
        for record, count in requests:
            if fold is not None and not record.headers and record.at - fold.first < _FOLD:
                fold.count += count
                fold.last = record
                continue
            self._unfold(key, fold, moment)
            settled = self._request(key, request_seen(record, count), moment)
            fold = _Fold(record.at) if settled else None
        self._unfold(key, fold, moment)

    def _unfold(self, key: ServiceKey, fold: _Fold | None, moment: Moment) -> None:
        if fold is not None and fold.last is not None:
            # Judging them would say what was said at the first one: they only count.
            rest = request_seen(fold.last, fold.count)
            self._keep(key, observe(self.states[key], rest, moment.now))

    def _request(self, key: ServiceKey, request: RequestSeen, moment: Moment) -> bool:
        """Judge one request; returns whether more of them, at this moment, could change nothing but counts."""
        before = self._state(key, moment)
        policy = self._waking(key)
        if before is None:
            return False
        after = observe(before, request, moment.now)
        if after is before:
            return False
        if request.count < 1:
            if key in self.states:
                self._keep(key, after)
            return False
        around = self._surroundings(key, request.origin, Conditions(moment))
        judged = Judged(Occasion.REQUEST, policy, after, around, moment.now, event=request)
        outcome = judge(judged)
        nobodys = key not in self._policies and policy is None
        if nobodys and outcome.state.wake is None:
            # Too old to wake for: there is nothing to remember.
            return False
        if nobodys:
            self._owed.add(key)
        self._conclude(judged, outcome)
        return outcome.reason.code is Code.REQUEST

    def fact(self, key: ServiceKey, fact: Fact, moment: Moment) -> None:
        """Take in a host or a result, and ask again at once what it shows to be due."""
        before = self.states.get(key)
        if before is None:
            if not (isinstance(fact, ResultSeen) and fact.phase is Phase.OBSERVED):
                # Neither a policy nor a wake: what is seen of it is no affair of ours.
                return
            # The handler may know a policy before we do, and says only once what it sees of the target.
            before = self._state(key, moment)
            if before is None:
                return
            self._owed.add(key)
        after = observe(before, fact, moment.now)
        if after is before:
            return
        self._keep(key, after)
        policy = self._waking(key)
        if policy is None or not (isinstance(fact, ResultSeen) and fact.direct):
            self._if_due(key, moment, fact.origin)
            return
        around = self._surroundings(key, fact.origin, Conditions(moment))
        judged = Judged(Occasion.ADOPTION, policy, after, around, moment.now, event=fact)
        self._conclude(judged, judge(judged))
        # Of one cause comes one decision, whose id is made of it.
        self._if_due(key, moment, self._cycle())

    def subjects(self) -> list[Subject]:
        """Return what the next sweep has to ask about."""
        self._awake = sum(1 for state in self.states.values() if presence_of(state) is not Presence.ASLEEP)
        entries = self._policies.items()
        return [Subject(each.policy, self.states[key].window) for key, each in entries if each.policy is not None]

    def keys(self) -> list[ServiceKey]:
        """Return the services that a cycle judges: also those whose policy can not be seen."""
        return [*self._policies, *self._unseen()]

    def _unseen(self) -> list[ServiceKey]:
        """Return whose policy is known from the states alone: it went while nobody looked, or nobody can look."""
        return [key for key, state in self.states.items() if state.policy_uid is not None and key not in self._policies]

    def evaluate(self, key: ServiceKey, swept: Policy | None, answers: Answers | None, facts: Conditions) -> None:
        """Judge a service at a cycle, with the state of now; answers to another policy than its own do not count."""
        state, policy = self.states.get(key), self._policy(key)
        if state is None or (key not in self._policies and state.policy_uid is None):
            return
        if policy is None and state.wake is not None and state.policy_uid is not None:
            # Rule 2 keeps the last valid policy in force, as far as it is remembered: that is enough for a wake.
            self._if_due(key, facts.moment, self._cycle())
            return
        if policy is not swept:
            answers = None
        now = facts.moment.now
        around = self._surroundings(key, self._cycle(), facts)
        judged = Judged(Occasion.CYCLE, policy, state, around, now, answers)
        outcome = judge(judged)
        ask = outcome.state.ask
        if outcome.command is not None and ask is not None and ask.direction is Direction.ZERO and ask.attempts == 1:
            # Asking again for one that is under way costs nothing more.
            self._budget = self._budget.spend(now)
        self._conclude(judged, outcome)
        known = policy or remembered(state)
        mode = around.mode if known is None else strictest(around.mode, known.mode)
        if self._modes.setdefault(key, mode) is not mode:
            # Somebody switched it: the status shows that also of a service to which nothing else happens.
            self._modes[key] = mode
            self.journal.touch(key)

    def ring(self, moment: Moment) -> None:
        """Ask again for every wake whose time has come, and forget the ones whose callers are gone."""
        # All at once: what nothing can be said of yet rings again at the next tick, not in this one.
        for key in tuple(self._alarms.ring(moment.now)):
            self._if_due(key, moment, self._cycle())
        limit = self._shared.settings.max_request_age
        for key in [key for key in self._owed if self._gone(key, moment.now - limit)]:
            self._owed.discard(key)
            self._forget(key)

    def _gone(self, key: ServiceKey, limit: datetime) -> bool:
        state = self.states.get(key)
        if state is None:
            return True
        wake = state.wake
        return (state.first_seen_at if wake is None else max(wake.since, wake.triggered_at)) <= limit

    def _if_due(self, key: ServiceKey, moment: Moment, cause: Cause) -> None:
        state, policy = self.states.get(key), self._waking(key)
        if state is None:
            return
        if (due := due_at(state, policy)) is None or due > moment.now:
            self._alarms.set(key, due)
            return
        around = self._surroundings(key, cause, Conditions(moment))
        judged = Judged(Occasion.RETRY, policy, state, around, moment.now)
        self._conclude(judged, judge(judged))

    def outdated(self, entries: Mapping[ServiceKey, PolicyEntry]) -> list[ServiceKey]:
        """Return the services whose policy here is not the one in force: new ones, other ones, and gone ones."""
        found = [key for key, entry in entries.items() if self._policies.get(key) != entry]
        if self._shared.ports.policies.whole():
            found += [key for key in (*self._policies, *self._unseen()) if key not in entries]
        return found

    def update(self, key: ServiceKey, entry: PolicyEntry | None, moment: Moment, last: Policy | None = None) -> None:
        """Take what is in force for a service now; when nothing is, `last` is the content of what was."""
        if entry is not None:
            self._policy_seen(key, entry, moment)
        elif self._shared.ports.policies.whole():
            self._policy_gone(key, last, moment)

    def _policy_seen(self, key: ServiceKey, entry: PolicyEntry, moment: Moment) -> None:
        """Take a policy as the one in force; the target of an earlier one is given back first."""
        known = self._policies.get(key)
        self._policies[key] = entry
        self._owed.discard(key)
        state = self.states.get(key)
        if state is None or state.policy_uid is None:
            # It is ours from now on, whatever was seen or owed before.
            state = state or ServiceState(key, first_seen_at=moment.now, marks=self._forgotten.back(key))
            state = replace(state, first_seen_at=moment.now)
        if entry.policy is None:
            self._keep(key, state)
            self._if_due(key, moment, self._cycle())
            return
        if moved(state, entry.policy):
            old = known.policy if known is not None and known.policy is not None else entry.policy
            state = self._release(key, old, state, moment, Code.TARGET_CHANGED)
        after = observe(state, PolicySeen(entry.policy, moment.now), moment.now)
        self._keep(key, self._watched(after, entry.policy, moment.now))
        self._if_due(key, moment, self._cycle())

    def _watched(self, state: ServiceState, policy: Policy, now: datetime) -> ServiceState:
        """Count requests over the longest window that a trigger asks for."""
        length = self._shared.ports.judges.window_of(policy)
        if length is None:
            return state if state.window is None else replace(state, window=None)
        if state.window is not None and state.window.length == length:
            return state
        return replace(state, window=Window(length, since=now))

    def _policy_gone(self, key: ServiceKey, last: Policy | None, moment: Moment) -> None:
        """Give the target back and forget the service."""
        known = self._policies.pop(key, None)
        state = self.states.get(key)
        if state is None or (known is None and state.policy_uid is None):
            return
        policy = last or (known.policy if known is not None else None) or remembered(state)
        if policy is not None:
            self._release(key, policy, state, moment, Code.POLICY_DELETED)
        self._forgotten.keep(key, state.marks)
        self._forget(key)

    def _release(
        self, key: ServiceKey, policy: Policy, state: ServiceState, moment: Moment, code: Code
    ) -> ServiceState:
        around = self._surroundings(key, self._cycle(), Conditions(moment))
        judged = Judged(Occasion.RELEASE, policy, state, around, moment.now, code=code)
        self._conclude(judged, judge(judged))
        return self.states[key]

    def present(self, key: ServiceKey, now: datetime) -> Iterator[Output]:
        """Yield the last records of a service: its state, and its status when it shows something new."""
        state = self.states.get(key)
        if state is None:
            self._shown.pop(key, None)
            self._shared.ports.telemetry.service_gone(key)
            yield from self._outputs.forgotten(key)
            return
        yield self._outputs.state(state, now)
        policy = self._waking(key)
        if policy is None:
            return
        self._modes[key] = mode = strictest(self._mode(key, now), policy.mode)
        shows = self._shows(state, policy, mode)
        if self._shown.get(key) == shows:
            return
        if (status := self._outputs.status(state, policy, mode, now)) is not None:
            self._shown[key] = shows
            self._tell_path(key, state)
            yield status

    def _tell_path(self, key: ServiceKey, state: ServiceState) -> None:
        if (path := path_of(state.hosts)) is not Path.UNKNOWN:
            self._shared.ports.telemetry.path(key, resolver=path is Path.RESOLVER)

    def _shows(self, state: ServiceState, policy: Policy, mode: Mode) -> tuple[object, ...]:
        """Return what a status shows; the time of the last request only to the interval, or traffic would flood it."""
        last = state.last_request_at
        age = None if last is None else last.timestamp() // self._shared.settings.interval.total_seconds()
        asked = None if state.ask is None else (state.ask.direction, state.ask.replicas)
        said = None if state.said is None else state.said.id
        return mode, policy.target, state.target, asked, state.hosts, said, state.last_wake_at, age

    def presences(self) -> Counter[Presence]:
        """Count the services by what they are now."""
        return Counter(presence_of(state) for state in self.states.values())

    def _state(self, key: ServiceKey, moment: Moment) -> ServiceState | None:
        """Return the service's state, a new one for a new service, or None when no more of nobody's fit."""
        state = self.states.get(key)
        if state is not None:
            return state
        if key not in self._policies and len(self._owed) >= self._shared.settings.most_owed:
            self._turned_away(key, moment.now)
            return None
        return ServiceState(key, first_seen_at=moment.now, marks=self._forgotten.back(key))

    def _turned_away(self, key: ServiceKey, now: datetime) -> None:
        """Say now and then that no more of nobody's services are remembered."""
        if self._full_said_at is None or now - self._full_said_at >= _SAY_AGAIN:
            self._full_said_at = now
            log.warning("too many services without a policy", turned_away=str(key), remembered=len(self._owed))

    def _policy(self, key: ServiceKey) -> Policy | None:
        return entry.policy if (entry := self._policies.get(key)) else None

    def _waking(self, key: ServiceKey) -> Policy | None:
        """Return the policy in force; while it is invalid, or can not be seen, what is remembered of it for waking."""
        policy, state = self._policy(key), self.states.get(key)
        return policy if policy is not None or state is None else remembered(state)

    def _cycle(self) -> CycleCause:
        self._counter += 1
        return CycleCause(self._owner, self._counter)

    def _mode(self, key: ServiceKey, now: datetime) -> Mode:
        install, controls = self._shared.settings.mode, self._shared.controls
        return strictest(install, controls.mode(key, now)) if controls.set_modes else install

    def _surroundings(self, key: ServiceKey, cause: Cause, facts: Conditions) -> Surroundings:
        now, controls, policy = facts.moment.now, self._shared.controls, self._policy(key)
        span = max(self._shared.settings.max_request_age, policy.cooldown if policy else timedelta())
        return Surroundings(
            cause=cause,
            mode=self._mode(key, now),
            frozen=controls.frozen(key, now) if controls.set_freezes else None,
            clock_sure=facts.moment.sure_over(span),
            inputs_read=facts.inputs_read and (now >= self._heard_from or not self._waits_for_ready(key)),
            conflict=None if policy is None else self._shared.ports.policies.conflict(policy),
            budget_left=self._budget.left(self._awake, now),
            stale_after=facts.stale_after,
            max_request_age=self._shared.settings.max_request_age,
        )

    def _waits_for_ready(self, key: ServiceKey) -> bool:
        """Whether the news that a replica is ready may be on its way: it would end a wake that is owed."""
        state = self.states.get(key)
        return state is not None and state.wake is not None

    def _keep(self, key: ServiceKey, state: ServiceState) -> None:
        # The core returns the very state that nothing changed; comparing 25 fields would cost as much as judging.
        if self.states.get(key) is not state:
            self.states[key] = state
            self.journal.touch(key)

    def _forget(self, key: ServiceKey) -> None:
        self._alarms.set(key, None)
        self._logged.pop(key, None)
        self._modes.pop(key, None)
        if self.states.pop(key, None) is not None:
            self.journal.touch(key)

    def _conclude(self, judged: Judged, outcome: Outcome) -> None:
        """Keep what came of a judgement, and write what has to be written of it."""
        key = judged.state.key
        self._keep(key, outcome.state)
        if outcome.command is not None:
            self.journal.command(outcome.command, self._outputs.command(outcome.command))
        if outcome.changed:
            policy = judged.policy
            # What is remembered of a policy is not its content: that was logged when it could be seen.
            seen = policy is self._policy(key) or judged.occasion is Occasion.RELEASE
            # Deleted and made again with the same content, it has another uid, and is newborn.
            known = (policy.uid, policy.hash) if seen and policy is not None else None
            is_new = known is not None and self._logged.get(key) != known
            if known is not None:
                self._logged[key] = known
            self.journal.decision(outcome, self._outputs.decision(judged, outcome, policy_is_new=is_new))
        self._alarms.set(key, due_at(outcome.state, judged.policy))
