"""How a fact changes what is known of a service: requests, hosts, results and policies, each applied once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from consumer.core.inputs import Event, HostSeen, PolicySeen, RequestSeen, ResultSeen
from consumer.core.policy import Policy
from consumer.core.remembering import waking_of
from consumer.core.results import fold_result, unasked
from consumer.core.state import MAX_HOSTS, HostFacts, Mark, ServiceState


def observe(state: ServiceState, event: Event, now: datetime) -> ServiceState:
    """Fold one fact into the state; returns the very same object when the marks say it was applied before."""
    if isinstance(event, RequestSeen):
        return observe_requests(state, (event,), now)
    if isinstance(event, PolicySeen):
        return _policy(state, event.policy)
    marks = _marked(state.marks, event)
    if marks is None:
        return state
    match event:
        case HostSeen():
            return replace(state, marks=marks, hosts=_hosts(state.hosts, event))
        case ResultSeen():
            return fold_result(replace(state, marks=marks), event, now)
        case _:
            assert_never(event)


def observe_requests(state: ServiceState, requests: Sequence[RequestSeen], now: datetime) -> ServiceState:
    """Fold requests of one service in their order, as `observe` would one by one, but build the state once."""
    marks, window, last, counted = state.marks, state.window, state.last_request_at, state.requests
    for request in requests:
        after = _marked(marks, request)
        if after is None:
            continue
        marks = after
        if request.count < 1:
            continue
        at = min(request.at, now)
        counted += request.count
        last = at if last is None else max(last, at)
        window = window and window.add(request.count, at)
    if marks is state.marks:
        return state
    return replace(state, marks=marks, window=window, last_request_at=last, requests=counted)


def moved(state: ServiceState, policy: Policy) -> bool:
    """Whether this policy names another target than the one held so far, which has to be released first."""
    return state.policy_uid is not None and state.target_ref not in (None, policy.target)


def _marked(marks: tuple[Mark, ...], event: RequestSeen | HostSeen | ResultSeen) -> tuple[Mark, ...] | None:
    """Return the marks with this event applied, or None when it is newer in neither offset nor time."""
    origin, at = event.origin, event.at
    mark = next((mark for mark in marks if mark.partition == origin.partition and mark.topic == origin.topic), None)
    if mark is None:
        return (*marks, Mark(origin.topic, origin.partition, origin.offset, at))
    if origin.offset > mark.offset:
        at = max(at, mark.at)
    elif at <= mark.at:
        return None
    # Lower in offset but later in time: the topic was made anew, and its offsets count from there.
    newest = Mark(origin.topic, origin.partition, origin.offset, at)
    return tuple(newest if other is mark else other for other in marks)


def _hosts(hosts: tuple[HostFacts, ...], event: HostSeen) -> tuple[HostFacts, ...]:
    known = next((host for host in hosts if host.incoming == event.incoming), None)
    if known is not None and known.at > event.at:
        return hosts
    others = [host for host in hosts if host is not known]
    if len(others) >= MAX_HOSTS:
        others.remove(min(others, key=lambda host: host.at))
    return (*others, HostFacts(event.incoming, event.allowed, event.at))


def _policy(state: ServiceState, policy: Policy) -> ServiceState:
    """Take a policy as the one in force; a new uid or target starts without asks, but a wake owed stays owed."""
    another_target = state.target_ref not in (None, policy.target)
    another_policy = state.policy_uid not in (None, policy.uid)
    if another_target:
        state = replace(state, target=None, before_sleep=None)
    if another_target or another_policy:
        state = replace(state, ask=None, prepare=None, wake=unasked(state.wake))
    if state.policy_hash != policy.hash or another_policy:
        # Who undid them counts no more; that they were does, or an edit of a whole fleet would let all of it sleep.
        state = replace(state, sleeps=tuple(replace(s, manager=None) for s in state.sleeps), contested_since=None)
    waking = waking_of(policy)
    held = (state.policy_uid, state.policy_hash, state.target_ref, state.waking)
    if held == (policy.uid, policy.hash, policy.target, waking):
        return state
    return replace(state, policy_uid=policy.uid, policy_hash=policy.hash, target_ref=policy.target, waking=waking)
