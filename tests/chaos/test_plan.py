"""The plan of a chaos run: the same for the same seed, and as full of faults as it has to be."""

from datetime import timedelta

import orjson
import pytest

from tests.chaos.deeds import Away, Break, Change, Deceive, Edit, Kill, Lie, Load, Server, Trouble, Visit, Zombie
from tests.chaos.fleet import Held, Trigger
from tests.chaos.plan import SESSION, SPARES, STEADY, Plan, Way, plan

FULL = timedelta(minutes=5)


@pytest.fixture(scope="module")
def full() -> Plan:
    return plan(7, FULL, 200)


def test_a_seed_has_one_plan() -> None:
    assert plan(3, FULL, 50) == plan(3, FULL, 50)
    assert orjson.dumps(plan(3, FULL, 50).told()) == orjson.dumps(plan(3, FULL, 50).told())


def test_another_seed_has_another_plan() -> None:
    assert plan(3, FULL, 50) != plan(4, FULL, 50)


def test_a_full_run_has_the_faults_that_are_asked_of_it(full: Plan) -> None:
    assert full.count(Kill) >= 50
    assert full.count(Zombie) >= 20
    assert full.count(Visit) * 2 >= 10
    assert full.count(Break) >= 30
    assert {step.deed.server for step in full.steps if isinstance(step.deed, Away)} == set(Server)


def test_every_kind_of_trouble_comes_up(full: Plan) -> None:
    assert {step.deed.trouble for step in full.steps if isinstance(step.deed, Break)} == set(Trouble)
    assert {step.deed.lie for step in full.steps if isinstance(step.deed, Deceive)} == set(Lie)
    assert {step.deed.change for step in full.steps if isinstance(step.deed, Edit)} == set(Change)


def test_every_kind_of_service_comes_up(full: Plan) -> None:
    assert {spec.trigger for spec in full.fleet} == set(Trigger)
    assert {spec.held for spec in full.fleet} == set(Held)
    assert len({spec.name for spec in full.fleet}) == 200


@pytest.mark.parametrize("seed", range(20))
def test_a_process_is_itself_again_before_it_is_broken_anew(seed: int) -> None:
    until = dict.fromkeys(STEADY, timedelta())
    for step in plan(seed, FULL, 10).steps:
        if isinstance(step.deed, Kill | Zombie):
            assert step.at >= until[step.deed.slot]
            busy = step.deed.down if isinstance(step.deed, Kill) else step.deed.length
            until[step.deed.slot] = step.at + busy


@pytest.mark.parametrize("seed", range(20))
def test_a_server_is_back_before_it_goes_away_again(seed: int) -> None:
    until = dict.fromkeys(Server, timedelta())
    for step in plan(seed, FULL, 10).steps:
        if isinstance(step.deed, Away):
            assert step.at >= until[step.deed.server]
            until[step.deed.server] = step.at + step.deed.length


@pytest.mark.parametrize("seed", range(20))
def test_a_visitor_leaves_before_it_comes_again(seed: int) -> None:
    until = dict.fromkeys(SPARES, timedelta())
    for step in plan(seed, FULL, 10).steps:
        if isinstance(step.deed, Visit):
            assert step.at >= until[step.deed.slot]
            until[step.deed.slot] = step.at + step.deed.stay


def test_a_zombie_outlives_its_session(full: Plan) -> None:
    assert all(step.deed.length > SESSION for step in full.steps if isinstance(step.deed, Zombie))


def test_an_operator_touches_a_service_once(full: Plan) -> None:
    touched = [name for step in full.steps if isinstance(step.deed, Edit) for name in step.deed.among]
    assert len(touched) == len(set(touched))


def test_a_metric_that_rose_has_fallen_when_the_faults_end(full: Plan) -> None:
    last = {step.deed.service: step.deed.value for step in full.steps if isinstance(step.deed, Load)}
    assert set(last.values()) == {0}


def test_requests_come_in_every_way_and_each_has_its_own_mark(full: Plan) -> None:
    assert {call.way for call in full.calls} == set(Way)
    assert len({call.trace for call in full.calls}) == len(full.calls)
    assert all(timedelta() <= call.at < FULL for call in full.calls)


def test_a_short_run_has_a_few_of_everything() -> None:
    short = plan(1, timedelta(seconds=60), 30)
    assert short.count(Kill) >= 10
    assert short.count(Zombie) >= 4
    assert short.calls
