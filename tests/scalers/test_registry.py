"""Scaler types are found by name, and a broken one costs only the policies that name it."""

import tomllib
from datetime import timedelta
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from consumer.core.service import ServiceKey
from consumer.scalers import Assignment, Defaults, ScalerType, Trigger
from consumer.scalers.batcher import Batcher
from consumer.scalers.registry import BUILT_IN, GROUP, Registry, ScalerTypeError
from tests.scalers.bed import SERVER, World, asking, trigger
from tests.scalers.plugins import STEADY, Steady

HERE = "tests.scalers.plugins"


def registry(**points: str) -> Registry:
    found = [EntryPoint(name.replace("_", "-"), value, GROUP) for name, value in points.items()]
    return Registry(Defaults(SERVER), installed=lambda: found)


def assigned(to: Trigger) -> Assignment:
    batcher = Batcher(World().twin())
    return Assignment(ServiceKey("shop", "web"), to, timedelta(minutes=15), Defaults(), batcher, lambda: None)


def test_the_built_in_types_work_without_an_installation() -> None:
    bare = registry()
    assert bare.names() == ("prometheus", "request-count")
    assert bare.check(asking("load")) == ()
    assert bare.check(trigger("request-count", threshold="1", window="1m")) == ()


def test_the_installation_names_the_built_in_types_as_its_entry_points() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    points = project["project"]["entry-points"][GROUP]
    assert {name: EntryPoint(name, value, GROUP).load() for name, value in points.items()} == BUILT_IN


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    ((field, message),) = registry(steady=f"{HERE}:STEADY").check(trigger("promtheus"))
    assert field == "type"
    assert message == "unknown scaler type 'promtheus'; known are: prometheus, request-count, steady"


def test_a_plug_in_is_used_as_instance_or_as_class() -> None:
    for value in ("STEADY", "SteadyType"):
        plugged = registry(steady=f"{HERE}:{value}")
        assert plugged.check(trigger("steady", good="5")) == ()
        assert plugged.check(trigger("steady")) == (("metadata.good", f"missing; ask {SERVER}"),)
        assert plugged.window(trigger("steady", good="5")) == timedelta(minutes=5)
        assert isinstance(plugged.create(assigned(trigger("steady", good="5"))), Steady)


def test_a_plug_in_can_not_take_the_name_of_a_built_in_type() -> None:
    assert registry(prometheus=f"{HERE}:STEADY").check(trigger("prometheus")) != ()


def test_of_two_plug_ins_with_one_name_the_first_by_module_wins() -> None:
    pair = [EntryPoint("twice", value, GROUP) for value in (f"{HERE}:STEADY", f"{HERE}:BrokenType")]
    for order in (pair, pair[::-1]):
        told = Registry(Defaults(SERVER), installed=partial(list, order)).check(trigger("twice"))
        assert "failed: RuntimeError: can not check twice" in told[0][1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("no.such.module:THING", "can not be loaded: ModuleNotFoundError"),
        (f"{HERE}:MISSING", "can not be loaded: AttributeError"),
        (f"{HERE}:HALF", "lacks check, create, window"),
    ],
)
def test_a_plug_in_that_can_not_be_used_is_reported_and_the_others_still_work(value: str, told: str) -> None:
    mixed = registry(bad=value, steady=f"{HERE}:STEADY")
    ((field, message),) = mixed.check(trigger("bad"))
    assert field == "type"
    assert told in message
    with pytest.raises(ScalerTypeError, match="bad"):
        mixed.create(assigned(trigger("bad")))
    assert mixed.window(trigger("bad")) is None
    assert mixed.check(trigger("steady", good="1")) == ()


def test_a_plug_in_that_raises_is_told_with_its_own_words() -> None:
    broken = registry(broken=f"{HERE}:BrokenType")
    assert "can not check" in broken.check(trigger("broken"))[0][1]
    assert broken.window(trigger("broken")) is None
    with pytest.raises(ScalerTypeError, match="can not create"):
        broken.create(assigned(trigger("broken")))


def test_every_scaler_type_here_fulfils_the_contract() -> None:
    types: list[ScalerType] = [*BUILT_IN.values(), STEADY]
    assert len(types) == 3
