"""What a command means for a target, by how well the target is known."""

from dataclasses import replace

import pytest

from consumer.core.service import Phase
from consumer.handler.judge import Apply, Conclude, Look, Sight, judge
from consumer.ports import Change, TargetView
from tests.handler.samples import prepare, seen, up, zero

AWAKE = seen(replicas=1, generation=7, version="100")


@pytest.mark.parametrize("command", [up(1), zero(1, AWAKE), prepare(1)])
def test_a_target_that_was_never_seen_is_looked_at(command: object) -> None:
    assert judge(command, None, Sight.WATCHED) == Look()  # type: ignore[arg-type]


@pytest.mark.parametrize("sight", list(Sight))
@pytest.mark.parametrize("there", [0, 1, 2])
def test_an_up_raises_what_is_below_from_exactly_what_is_there(sight: Sight, there: int) -> None:
    assert judge(up(1, replicas=3), seen(replicas=there), sight) == Apply(Change(expected=there, wanted=3))


@pytest.mark.parametrize("there", [3, 4])
@pytest.mark.parametrize("sight", [Sight.READ, Sight.REFUSED])
def test_an_up_never_lowers_and_leaves_what_is_enough(sight: Sight, there: int) -> None:
    assert judge(up(1, replicas=3), seen(replicas=there), sight) == Conclude(Phase.UNCHANGED)


def test_that_a_target_is_up_already_is_not_believed_of_the_watch() -> None:
    assert judge(up(1), seen(replicas=1), Sight.WATCHED) == Look()


@pytest.mark.parametrize("sight", [Sight.WATCHED, Sight.READ])
def test_a_zero_tests_the_replicas_and_the_version_of_the_very_object_that_is_as_expected(sight: Sight) -> None:
    assert judge(zero(1, AWAKE), AWAKE, sight) == Apply(Change(expected=1, wanted=0, resource_version="100"))


MOVED = [
    replace(AWAKE, uid="u2"),
    replace(AWAKE, generation=8),
    replace(AWAKE, replicas=2),
    replace(AWAKE, uid="u2", replicas=0),
]


@pytest.mark.parametrize("now", MOVED)
def test_a_zero_for_a_target_that_moved_is_superseded_with_both_sides_of_the_story(now: TargetView) -> None:
    assert judge(zero(1, AWAKE), now, Sight.WATCHED) == Look()
    step = judge(zero(1, AWAKE), now, Sight.READ)
    assert isinstance(step, Conclude)
    assert step.phase is Phase.SUPERSEDED
    assert step.obstacle is not None
    assert step.obstacle.code == "moved"
    assert "generation 7" in step.obstacle.message
    assert f"generation {now.generation}" in step.obstacle.message


def test_a_zero_that_was_refused_is_superseded_even_if_the_target_is_as_expected_again() -> None:
    step = judge(zero(1, AWAKE), replace(AWAKE, resource_version="101"), Sight.REFUSED)
    assert isinstance(step, Conclude)
    assert step.phase is Phase.SUPERSEDED


@pytest.mark.parametrize("sight", [Sight.READ, Sight.REFUSED])
def test_a_zero_that_had_landed_already_is_unchanged(sight: Sight) -> None:
    asleep = replace(AWAKE, replicas=0, generation=8)
    assert judge(zero(1, AWAKE), asleep, sight) == Conclude(Phase.UNCHANGED)


def test_a_zero_without_its_expectation_is_never_carried_out() -> None:
    step = judge(replace(zero(1, AWAKE), expect=None), AWAKE, Sight.READ)
    assert isinstance(step, Conclude)
    assert step.phase is Phase.SUPERSEDED
    assert step.obstacle is not None
    assert step.obstacle.code == "no-expectation"


@pytest.mark.parametrize("sight", list(Sight))
def test_a_prepare_changes_nothing_and_asks_the_resolver(sight: Sight) -> None:
    assert judge(prepare(1), AWAKE, sight) == Conclude(Phase.DRAINING)
