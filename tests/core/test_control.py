"""Who may freeze what, until when, and which of several modes wins."""

from datetime import datetime

import pytest

from consumer.core.control import Control, ControlKind, Controls, unreadable
from consumer.core.service import Mode, ServiceKey
from tests.core.stage import KEY, MINUTE, SECOND, T0

ELSEWHERE = ServiceKey("bank", "web")


def freeze(pattern: str, until: datetime | None = None, by: str = "maria") -> Control:
    return Control(pattern, ControlKind.FREEZE, None, by, "sale", until, T0)


def unfreeze(pattern: str) -> Control:
    return Control(pattern, ControlKind.UNFREEZE, None, "maria", "over", None, T0)


def mode(pattern: str, wanted: Mode | None, until: datetime | None = None) -> Control:
    return Control(pattern, ControlKind.MODE, wanted, "maria", "trial", until, T0)


@pytest.mark.parametrize(
    ("pattern", "here", "elsewhere"),
    [("*", True, True), ("shop/*", True, False), ("shop/web", True, False), ("shop/api", False, False)],
)
def test_a_freeze_holds_in_its_scope_only(pattern: str, here: bool, elsewhere: bool) -> None:
    controls = Controls().apply(freeze(pattern))
    assert (controls.frozen(KEY, T0) is not None) is here
    assert (controls.frozen(ELSEWHERE, T0) is not None) is elsewhere


def test_a_freeze_says_who_why_where_and_until_when() -> None:
    assert Controls().apply(freeze("shop/*")).frozen(KEY, T0) == "maria (shop/*): sale"
    until = Controls().apply(freeze("*", T0 + MINUTE))
    assert until.frozen(KEY, T0) == "maria (*): sale, until 2026-03-01T12:01:00.000Z"


def test_a_freeze_ends_at_its_exact_end() -> None:
    controls = Controls().apply(freeze("*", T0 + MINUTE))
    assert controls.frozen(KEY, T0 + MINUTE - SECOND) is not None
    assert controls.frozen(KEY, T0 + MINUTE) is None


def test_a_later_record_of_a_scope_replaces_the_earlier_and_leaves_other_scopes_alone() -> None:
    controls = Controls().apply(freeze("*")).apply(freeze("shop/web", by="bob")).apply(unfreeze("*"))
    assert controls.frozen(KEY, T0) == "bob (shop/web): sale"
    assert controls.frozen(ELSEWHERE, T0) is None


def test_the_strictest_mode_over_all_levels_wins() -> None:
    controls = Controls().apply(mode("shop/web", Mode.FULL)).apply(mode("*", Mode.WAKE_ONLY))
    assert controls.mode(KEY, T0) is Mode.WAKE_ONLY
    assert controls.apply(mode("shop/*", Mode.OBSERVE)).mode(KEY, T0) is Mode.OBSERVE
    assert Controls().mode(KEY, T0) is Mode.FULL


def test_a_mode_ends_at_its_exact_end_or_when_it_is_taken_back() -> None:
    controls = Controls().apply(mode("*", Mode.OBSERVE, T0 + MINUTE))
    assert controls.mode(KEY, T0 + MINUTE - SECOND) is Mode.OBSERVE
    assert controls.mode(KEY, T0 + MINUTE) is Mode.FULL
    assert controls.apply(mode("*", None)).mode(KEY, T0) is Mode.FULL


def test_a_mode_and_a_freeze_of_one_scope_do_not_replace_each_other() -> None:
    controls = Controls().apply(freeze("*")).apply(mode("*", Mode.WAKE_ONLY)).apply(unfreeze("*"))
    assert (controls.frozen(KEY, T0), controls.mode(KEY, T0)) == (None, Mode.WAKE_ONLY)


def test_a_tombstone_takes_both_back() -> None:
    controls = Controls().apply(freeze("*")).apply(mode("*", Mode.OBSERVE)).apply(freeze("shop/web", by="bob"))
    left = controls.forget("*")
    assert (left.frozen(KEY, T0), left.mode(KEY, T0)) == ("bob (shop/web): sale", Mode.FULL)


def test_applying_does_not_change_the_book_it_is_applied_to() -> None:
    before = Controls()
    before.apply(freeze("*"))
    assert before.frozen(KEY, T0) is None


@pytest.mark.parametrize("by_log", [True, False])
@pytest.mark.parametrize("by_cluster", [True, False])
def test_it_is_frozen_if_either_place_says_so(by_log: bool, by_cluster: bool) -> None:
    controls = Controls().apply(freeze("shop/*") if by_log else unfreeze("shop/*"))
    controls = controls.beside((freeze("*", by="kubectl") if by_cluster else unfreeze("*"),))
    assert (controls.frozen(KEY, T0) is not None) is (by_log or by_cluster)
    assert controls.set_freezes


@pytest.mark.parametrize("log", [None, *Mode])
@pytest.mark.parametrize("cluster", [None, *Mode])
def test_the_strictest_mode_of_both_places_counts(log: Mode | None, cluster: Mode | None) -> None:
    controls = Controls().apply(mode("shop/web", log)).beside((mode("*", cluster),))
    order = [Mode.FULL, Mode.WAKE_ONLY, Mode.OBSERVE]
    assert controls.mode(KEY, T0) is max(log or Mode.FULL, cluster or Mode.FULL, key=order.index)
    assert controls.set_modes


def test_each_place_is_taken_back_by_itself() -> None:
    controls = Controls().apply(freeze("*", by="log")).beside((freeze("*", by="cluster"),))
    assert controls.emptied().frozen(KEY, T0) == "cluster (*): sale"
    assert controls.beside(()).frozen(KEY, T0) == "log (*): sale"
    assert controls.forget("*").frozen(KEY, T0) == "cluster (*): sale"
    assert controls.apply(mode("*", Mode.OBSERVE)).frozen(KEY, T0) == "log (*): sale"
    assert controls.emptied().beside(()).frozen(KEY, T0) is None


def test_what_is_switched_nowhere_is_cheap_to_tell() -> None:
    assert not Controls().beside(()).set_freezes
    assert not Controls().beside(()).set_modes
    assert Controls().beside((mode("*", Mode.OBSERVE),)).set_modes


def test_switches_that_can_not_be_read_count_as_frozen_and_say_why() -> None:
    told = Controls().beside((unreadable("403", T0),)).frozen(KEY, T0)
    assert told == "elasti (*): the switches kept in the cluster can not be read: 403"
