"""The plug-in of the how-to works as its readers will use it: found by its entry point, checked, asked."""

import sys
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from consumer.core.answers import No, Yes
from consumer.ports import Subject
from consumer.scalers.batcher import Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import GROUP, Registry
from tests.scalers.bed import World, policy, trigger

EXAMPLE = Path(__file__).parents[2] / "examples" / "scaler-plugin"
HOURS = {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:30", "days": "mon,tue,wed,thu,fri"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An environment in which the example is installed: its code on the path, and what an installer writes of it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"][GROUP].items())
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, "elasti_business_hours", raising=False)
    return Registry()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_plug_in_is_found_by_its_entry_point(registry: Registry) -> None:
    assert registry.names() == ("business-hours", "prometheus", "request-count")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"timezone": "Berlin"}, "metadata.timezone"),
        ({"timezone": "../etc"}, "metadata.timezone"),
        ({"from": "8 o'clock"}, "metadata.from"),
        ({"to": ""}, "metadata.to"),
        ({"days": "monday"}, "metadata.days"),
    ],
)
def test_its_check_names_the_field_that_is_wrong(registry: Registry, wrong: dict[str, str], field: str) -> None:
    assert [name for name, _ in registry.check(trigger("business-hours", **(HOURS | wrong)))] == [field]


def test_its_check_takes_a_good_trigger(registry: Registry) -> None:
    assert registry.check(trigger("business-hours", **HOURS)) == ()


@pytest.mark.parametrize(
    ("now", "hours", "busy"),
    [
        # 08:00 in Berlin is 07:00 UTC in winter; 18:30 is the first minute outside.
        ("2026-01-05T06:59:59Z", HOURS, False),
        ("2026-01-05T07:00:00Z", HOURS, True),
        ("2026-01-05T17:29:59Z", HOURS, True),
        ("2026-01-05T17:30:00Z", HOURS, False),
        ("2026-01-10T10:00:00Z", HOURS, False),
        ("2026-01-10T10:00:00Z", {"from": "08:00", "to": "18:00"}, True),
        # A night shift that begins on Friday ends on Saturday.
        ("2026-01-09T23:00:00Z", {"from": "22:00", "to": "06:00", "days": "fri"}, True),
        ("2026-01-10T05:59:59Z", {"from": "22:00", "to": "06:00", "days": "fri"}, True),
        ("2026-01-10T06:00:00Z", {"from": "22:00", "to": "06:00", "days": "fri"}, False),
        ("2026-01-09T05:00:00Z", {"from": "22:00", "to": "06:00", "days": "fri"}, False),
    ],
)
async def test_a_service_is_busy_in_its_hours_and_idle_outside(
    registry: Registry, now: str, hours: dict[str, str], busy: bool
) -> None:
    judges = SweepJudges(registry, Batcher(World().twin()), limit=timedelta(seconds=10))
    subject = policy("web", trigger("business-hours", **hours))
    answers = await judges.sweep([Subject(subject, None)], at(now))
    judged = answers[subject.key].triggers[0]
    assert isinstance(judged.healthy, Yes)
    assert isinstance(judged.from_zero, Yes if busy else No)
    assert isinstance(judged.to_zero, No if busy else Yes)
    await judges.close()
