"""What is known of targets when the watch and our own calls disagree."""

from dataclasses import replace

import pytest

from consumer.core.service import Mode
from consumer.handler.scene import Scene
from consumer.ports import TargetView
from tests.handler.samples import TARGET, WEB, policy, seen

OLD, NEW = seen(generation=7, version="100"), seen(generation=8, version="101", replicas=2)


def known(first: TargetView) -> Scene:
    scene = Scene(Mode.FULL)
    scene.watched(first)
    return scene


def test_a_watch_that_lags_behind_our_own_call_changes_nothing() -> None:
    scene = known(OLD)
    scene.read(NEW)
    scene.watched(replace(OLD, ready=1, resource_version="99"))
    assert scene.view(TARGET) == NEW


def test_of_one_generation_the_watch_is_believed() -> None:
    scene = known(NEW)
    scene.read(replace(NEW, ready=0, resource_version="100"))
    assert scene.view(TARGET) == NEW
    later = replace(NEW, ready=1, resource_version="102")
    scene.watched(later)
    assert scene.view(TARGET) == later


def test_what_a_target_had_above_zero_is_known_through_its_sleep_and_until_it_is_deleted() -> None:
    scene = known(NEW)
    scene.watched(replace(NEW, generation=9, replicas=0))
    assert scene.awake_replicas(TARGET) == 2
    scene.vanished(TARGET)
    assert scene.awake_replicas(TARGET) is None


@pytest.mark.parametrize("way", ["read", "watched"])
def test_another_uid_is_another_target_whatever_its_generation(way: str) -> None:
    scene, made_anew = known(NEW), seen(uid="u2", generation=1)
    getattr(scene, way)(made_anew)
    assert scene.view(TARGET) == made_anew


def test_only_the_loss_of_a_target_that_a_policy_names_is_remembered() -> None:
    scene = known(OLD)
    scene.vanished(TARGET)
    assert not scene.is_gone(TARGET)
    scene.put(policy())
    scene.vanished(TARGET)
    assert scene.is_gone(TARGET)
    scene.watched(NEW)
    assert not scene.is_gone(TARGET)


def test_a_target_is_somebody_s_as_long_as_one_policy_names_it() -> None:
    other = policy(replace(WEB, name="alias"), target=policy().target)
    scene = known(OLD)
    scene.put(policy())
    scene.put(other)
    scene.drop(WEB)
    scene.drop(WEB)
    assert scene.services(TARGET) == {other.key}
    scene.vanished(TARGET)
    scene.drop(other.key)
    assert scene.services(TARGET) == frozenset()
    assert not scene.is_gone(TARGET)


def test_a_zero_of_ours_stays_ours_though_the_cluster_keeps_no_name_for_it() -> None:
    scene = Scene(Mode.FULL)
    nameless = seen(replicas=0, generation=8)
    ours = replace(nameless, manager="elasti")
    scene.read(ours)
    scene.watched(replace(nameless, ready=1))
    view = scene.view(TARGET)
    assert view is not None
    assert (view.manager, view.ready) == ("elasti", 1)
    assert scene.attributed(nameless).manager == "elasti"


def test_a_watch_that_is_quicker_than_our_call_does_not_take_our_name_away() -> None:
    scene = Scene(Mode.FULL)
    scene.watched(seen(replicas=0, generation=8, version="101"))
    scene.read(replace(seen(replicas=0, generation=8), manager="elasti"))
    view = scene.view(TARGET)
    assert view is not None
    assert (view.manager, view.resource_version) == ("elasti", "101")


@pytest.mark.parametrize(
    "later",
    [
        seen(replicas=0, generation=9),
        seen(replicas=0, generation=8, uid="u2"),
        seen(replicas=1, generation=8),
        replace(seen(replicas=0, generation=9), manager="kubectl"),
    ],
)
def test_what_came_after_our_zero_is_not_called_ours(later: TargetView) -> None:
    scene = Scene(Mode.FULL)
    scene.read(replace(seen(replicas=0, generation=8), manager="elasti"))
    assert scene.attributed(later) == later
