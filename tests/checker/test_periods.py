"""The checker's own reading of enabledPeriods agrees with robfig/cron, as the golden file has it."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from consumer.checker.periods import contains
from consumer.core.schedule import parse_go_duration, parse_schedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cron.json").read_text(encoding="utf-8"))
# Minute by minute longer ones would take a while.
SHORT = [one for one in GOLDEN["schedules"] if parse_go_duration(one["duration"]) <= timedelta(days=1)]


@pytest.mark.parametrize("schedule", SHORT, ids=lambda one: f"{one['expr']} {one['duration']}")
def test_the_golden_schedules(schedule: dict[str, object]) -> None:
    text, duration = str(parse_schedule(str(schedule["expr"]))), parse_go_duration(str(schedule["duration"]))
    seen = schedule["seen"]
    assert isinstance(seen, list)
    for now, _, inside, _ in seen:
        assert contains(text, duration, datetime.fromisoformat(now)) is inside
