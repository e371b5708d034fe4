"""What is published of a target that no command asked about: a timeline of what is seen."""

from dataclasses import replace

import pytest

from consumer.core.service import Phase
from consumer.handler.news import Told, accepted, after, buried, news
from consumer.ports import TargetView
from tests.handler.samples import SECOND, T0, seen

ASLEEP = seen(replicas=0, generation=8)
STARTING = seen(replicas=1, generation=9)
READY = replace(STARTING, ready=1)


def said(told: Told | None, view: TargetView) -> tuple[list[Phase], Told | None]:
    """Publish all there is to say of a view, as the teller does."""
    phases = []
    while found := news(told, view):
        phases.append(found[0])
        told = after(told, found[0], view)
    return phases, told


def story(told: Told | None, *views: TargetView) -> list[list[Phase]]:
    phases = []
    for view in views:
        spoken, told = said(told, view)
        phases.append(spoken)
    return phases


def told_of(view: TargetView) -> Told:
    return Told(view.uid, view.generation, view.replicas, view.ready, up=view.ready > 0)


def test_a_first_sight_is_observed_and_said_once() -> None:
    assert story(None, ASLEEP, ASLEEP) == [[Phase.OBSERVED], []]


def test_a_first_sight_of_a_running_target_is_observed_and_ready() -> None:
    assert story(None, READY, READY) == [[Phase.OBSERVED, Phase.READY], []]


def test_our_own_wake_is_only_told_by_its_ready() -> None:
    told = accepted(told_of(ASLEEP), STARTING, "trace", T0)
    assert story(told, STARTING, READY, READY) == [[], [Phase.READY], []]


def test_ready_is_said_for_the_first_replica_only() -> None:
    two = replace(READY, replicas=2, ready=2)
    assert story(told_of(replace(two, ready=0)), replace(two, ready=1), two) == [[Phase.READY], []]


def test_ready_is_said_again_for_a_new_generation() -> None:
    assert story(told_of(READY), replace(READY, generation=10)) == [[Phase.READY]]


def test_the_last_replica_that_is_not_ready_any_more_is_told_and_its_return_too() -> None:
    assert story(told_of(READY), STARTING, READY) == [[Phase.NOT_READY], [Phase.READY]]


def test_somebody_else_s_change_of_the_replicas_is_observed() -> None:
    assert story(told_of(READY), replace(READY, replicas=3, generation=10)) == [[Phase.OBSERVED, Phase.READY]]


def test_the_pods_of_a_target_that_was_just_put_to_zero_are_no_news_until_they_are_gone() -> None:
    going = replace(READY, replicas=0, generation=10)
    told = accepted(told_of(READY), going, None, T0)
    assert story(told, going, replace(going, ready=0)) == [[], [Phase.NOT_READY]]


def test_a_hand_made_zero_is_observed_while_its_pods_go() -> None:
    going = replace(READY, replicas=0, generation=10)
    assert story(told_of(READY), going, replace(going, ready=0)) == [[Phase.OBSERVED], [Phase.NOT_READY]]


def test_a_target_made_anew_is_observed_whatever_its_replicas() -> None:
    assert story(told_of(ASLEEP), replace(ASLEEP, uid="u2", generation=1)) == [[Phase.OBSERVED]]
    assert story(told_of(READY), replace(READY, uid="u2", generation=1)) == [[Phase.OBSERVED, Phase.READY]]


def test_after_a_burial_the_next_of_that_name_is_observed() -> None:
    told = buried(told_of(READY))
    assert told.uid == ""
    assert story(told, READY) == [[Phase.OBSERVED, Phase.READY]]


def test_a_change_of_the_template_of_a_sleeping_target_is_no_news() -> None:
    assert story(told_of(ASLEEP), replace(ASLEEP, generation=12)) == [[]]


def test_an_accepted_change_of_nothing_keeps_what_was_said_of_its_readiness() -> None:
    told = accepted(told_of(READY), READY, None, T0)
    assert told.up
    assert not news(told, READY)


def test_ready_belongs_to_the_command_that_woke_the_target() -> None:
    told = accepted(None, STARTING, "00-trace", T0 + SECOND)
    _, later = said(told, READY)
    assert later is not None
    assert (later.trace, later.accepted_at) == ("00-trace", T0 + SECOND)


@pytest.mark.parametrize("view", [ASLEEP, STARTING, READY, replace(READY, replicas=0)])
def test_once_all_is_said_nothing_is_left_to_say(view: TargetView) -> None:
    for told in (None, told_of(ASLEEP), told_of(STARTING), told_of(READY), told_of(replace(READY, uid="u2"))):
        _, after_all = said(told, view)
        assert not news(after_all, view)
