"""The plan of a chaos run: the same for the same seed, and as full of faults as it has to be."""

from datetime import timedelta

import orjson
import pytest

from tests.chaos.deeds import (
    Away,
    Break,
    Change,
    Deceive,
    Edit,
    Kill,
    Lie,
    Load,
    Rename,
    Server,
    Trouble,
    Visit,
    Zombie,
)
from tests.chaos.fleet import Held, Trigger
from tests.chaos.plan import AHEAD, SESSION, SPARES, STEADY, Plan, Way, plan, without_kafka

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


@pytest.mark.parametrize("seed", range(20))
def test_a_metric_is_renamed_while_it_is_high_and_nothing_else_is_done_to_it(seed: int) -> None:
    drawn = plan(seed, FULL, 200)
    names = [step.deed.service for step in drawn.steps if isinstance(step.deed, Rename)]
    assert len(names) == 3
    for name in names:
        (spec,) = (spec for spec in drawn.fleet if spec.name == name)
        assert spec.trigger is Trigger.HIDDEN
        rise, rename, fall = (
            step for step in drawn.steps if isinstance(step.deed, Load | Rename) and step.deed.service == name
        )
        assert isinstance(rise.deed, Load)
        assert rise.deed.value
        assert isinstance(rename.deed, Rename)
        assert rise.at < rename.at
        assert rename.at + rename.deed.length < fall.at
        # Longer than any cooldown: a perfect zero would have put it to sleep.
        assert rename.deed.length > max(spec.cooldown for spec in drawn.fleet)


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_fleet_falls_idle_at_once(seed: int) -> None:
    drawn = plan(seed, FULL, 200)
    assert drawn.lull
    begin, end = drawn.lull
    assert end - begin > max(spec.cooldown for spec in drawn.fleet)
    assert not [call for call in drawn.calls if begin <= call.at < end]
    loads = [(step.at, step.deed) for step in drawn.steps if isinstance(step.deed, Load)]
    renamed = {step.deed.service for step in drawn.steps if isinstance(step.deed, Rename)}
    for spec in drawn.fleet:
        if spec.by_metric and spec.name not in renamed:
            mine = [(at, load.value) for at, load in loads if load.service == spec.name]
            assert [value for at, value in mine if at < begin][-1]
            assert [value for at, value in mine if begin <= at <= end] == [0]


def test_two_workers_and_two_handlers_are_five_minutes_apart() -> None:
    assert AHEAD["w1"] - AHEAD["w2"] == timedelta(minutes=5)
    assert AHEAD["h2"] - AHEAD["h1"] == timedelta(minutes=5)
    assert set(AHEAD) <= set(STEADY)


def test_without_kafka_nothing_else_is_broken_and_every_request_comes_to_a_gateway() -> None:
    drawn = without_kafka(3, timedelta(minutes=10), 200)
    assert {type(step.deed) for step in drawn.steps} == {Away}
    assert [step.deed.lesser for step in drawn.steps if isinstance(step.deed, Away)] == [False, True]
    assert {call.way for call in drawn.calls} == {Way.GATEWAY}
    (began, length), *_ = [(step.at, step.deed.length) for step in drawn.steps if isinstance(step.deed, Away)]
    first: dict[str, timedelta] = {}
    for call in drawn.calls:
        first.setdefault(call.service, call.at)
    # There are some to wake from the first minute without Kafka to the last.
    minutes = {(at - began) // timedelta(minutes=1) for at in first.values() if began <= at < began + length}
    assert minutes == set(range(10))


def test_requests_come_in_every_way_and_each_has_its_own_mark(full: Plan) -> None:
    assert {call.way for call in full.calls} == set(Way)
    assert len({call.trace for call in full.calls}) == len(full.calls)
    assert all(timedelta() <= call.at < FULL for call in full.calls)


def test_a_short_run_has_a_few_of_everything() -> None:
    short = plan(1, timedelta(seconds=60), 30)
    assert short.count(Kill) >= 10
    assert short.count(Zombie) >= 4
    assert short.calls
