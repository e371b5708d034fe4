"""How each fact changes a state: applied once, in its own time, and never backwards."""

from dataclasses import replace
from datetime import datetime

import pytest

from consumer.core.inputs import HostSeen, PolicySeen, RecordCause, RequestSeen
from consumer.core.observe import moved, observe, observe_requests
from consumer.core.policy import Policy
from consumer.core.reasons import Code
from consumer.core.remembering import waking_of
from consumer.core.service import Direction, Phase, TargetRef
from consumer.core.state import MAX_HOSTS, Ask, Prepare, ServiceState, Sleep, Wake
from consumer.core.window import Window
from tests.core.stage import AWAKE, KEY, MINUTE, POLICY, REF, SECOND, T0

NEW = ServiceState(KEY, T0)


def request(offset: int, at: datetime = T0, count: int = 1, partition: int = 0) -> RequestSeen:
    return RequestSeen(count, at, RecordCause("requests", partition, offset))


def test_a_request_is_counted_and_remembered() -> None:
    state = observe(NEW, request(7, count=3), T0)
    assert (state.requests, state.last_request_at) == (3, T0)


def test_a_request_without_traffic_is_only_marked() -> None:
    state = observe(NEW, request(7, count=0), T0)
    assert (state.requests, state.last_request_at, len(state.marks)) == (0, None, 1)


@pytest.mark.parametrize(
    ("offset", "at", "applied"),
    [
        (7, T0, False),  # the very same again
        (6, T0, False),  # an older one of the same millisecond
        (6, T0 - SECOND, False),
        (8, T0, True),  # the next of the same millisecond
        (8, T0 - SECOND, True),  # a producer's clock that went back
        (0, T0 + SECOND, True),  # the topic was made anew
    ],
)
def test_what_is_newer_in_neither_offset_nor_time_is_a_repetition(offset: int, at: datetime, applied: bool) -> None:
    before = observe(NEW, request(7), T0)
    after = observe(before, request(offset, at), T0)
    assert (after is not before) is applied
    assert after.requests == 1 + applied


def test_a_clock_that_went_back_does_not_open_the_door_to_repetitions() -> None:
    state = observe(observe(NEW, request(7), T0), request(8, T0 - SECOND), T0)
    assert observe(state, request(7), T0) is state


def test_every_partition_of_origin_has_its_own_mark() -> None:
    state = observe(observe(NEW, request(7), T0), request(7, partition=1), T0)
    assert state.requests == 2
    assert observe(state, request(7, partition=1), T0) is state
    assert observe(state, request(7), T0) is state


def test_an_older_request_does_not_make_the_last_one_older() -> None:
    state = observe(observe(NEW, request(7), T0), request(8, T0 - MINUTE), T0)
    assert state.last_request_at == T0


def test_a_request_from_the_future_counts_as_now() -> None:
    assert observe(NEW, request(7, T0 + MINUTE), T0).last_request_at == T0


def test_a_window_counts_the_requests_of_its_service() -> None:
    state = observe(replace(NEW, window=Window(MINUTE, since=T0)), request(7, count=5), T0)
    assert state.window is not None
    assert state.window.total(T0) == 5


def test_a_run_of_requests_equals_one_after_the_other() -> None:
    run = (request(1), request(1), request(2, count=0), request(3, T0 - MINUTE, 4), request(4, partition=1))
    one_by_one = replace(NEW, window=Window(MINUTE, since=T0))
    together = observe_requests(one_by_one, run, T0)
    for each in run:
        one_by_one = observe(one_by_one, each, T0)
    assert together == one_by_one


def test_a_run_of_repetitions_changes_nothing() -> None:
    state = observe(NEW, request(7), T0)
    assert observe_requests(state, (request(7), request(6)), T0) is state


def host(name: str, offset: int, at: datetime = T0, *, allowed: bool = True) -> HostSeen:
    return HostSeen(name, allowed, at, RecordCause("hosts", 0, offset))


def test_the_last_word_on_each_host_is_kept() -> None:
    state = observe(NEW, host("a", 1), T0)
    state = observe(state, host("b", 2), T0)
    state = observe(state, host("a", 3, T0 + SECOND, allowed=False), T0)
    assert [(each.incoming, each.allowed) for each in state.hosts] == [("b", True), ("a", False)]


def test_an_older_word_on_a_host_that_comes_late_is_not_believed() -> None:
    state = observe(NEW, host("a", 1), T0)
    late = replace(host("a", 1, T0 - SECOND, allowed=False), origin=RecordCause("hosts", 1, 1))
    assert observe(state, late, T0).hosts == state.hosts


def test_of_too_many_hosts_the_oldest_goes() -> None:
    state = NEW
    for number in range(MAX_HOSTS + 1):
        state = observe(state, host(f"h{number}", number, T0 + number * SECOND), T0)
    assert len(state.hosts) == MAX_HOSTS
    assert state.hosts[0].incoming == "h1"


ASKED = replace(
    AWAKE,
    ask=Ask("c", 9, Direction.UP, 1, T0, answer=Phase.ACCEPTED, answered_at=T0, generation=3),
    wake=Wake(T0, Code.REQUEST, RecordCause("requests", 0, 1), T0, None, 2, T0, T0, 3, "quota"),
    prepare=Prepare("c", T0),
    sleeps=(Sleep(T0, T0, "argocd"),) * 3,
    contested_since=T0,
    before_sleep=4,
    seq=9,
    waking=waking_of(POLICY),
)


def test_a_new_uid_of_the_policy_starts_without_asks_but_still_owes_the_wake() -> None:
    state = observe(ASKED, PolicySeen(replace(POLICY, uid="policy-2"), T0), T0)
    assert (state.ask, state.prepare, state.policy_uid, state.seq) == (None, None, "policy-2", 9)
    assert state.wake == Wake(T0, Code.REQUEST, RecordCause("requests", 0, 1), T0)
    assert state.target == AWAKE.target


def test_another_target_is_unknown_until_it_is_observed() -> None:
    state = observe(ASKED, PolicySeen(replace(POLICY, target=replace(REF, name="api")), T0), T0)
    assert (state.ask, state.target, state.before_sleep) == (None, None, None)
    assert state.wake is not None
    assert state.wake.asked == 0


def test_an_edit_ends_a_contest_and_nothing_else() -> None:
    state = observe(ASKED, PolicySeen(replace(POLICY, hash="hash-2"), T0), T0)
    assert (state.contested_since, state.policy_hash) == (None, "hash-2")
    assert state.sleeps == (Sleep(T0, T0),) * 3
    assert (state.ask, state.wake, state.prepare) == (ASKED.ask, ASKED.wake, ASKED.prepare)


def test_the_same_policy_again_changes_nothing() -> None:
    assert observe(ASKED, PolicySeen(POLICY, T0), T0) is ASKED


@pytest.mark.parametrize(
    ("state", "policy", "expected"),
    [
        (AWAKE, POLICY, False),
        (AWAKE, replace(POLICY, target=TargetRef("apps/v1", "StatefulSet", "web")), True),
        (NEW, POLICY, False),
        # Seen before any policy: nothing was ever asked of that target, so there is nothing to give back.
        (replace(NEW, target_ref=TargetRef("apps/v1", "Deployment", "old")), POLICY, False),
    ],
)
def test_a_target_is_moved_when_a_policy_held_another(state: ServiceState, policy: Policy, expected: bool) -> None:
    assert moved(state, policy) is expected
