"""What a run refuses before it reaches for anything."""

import asyncio
from pathlib import Path

import pytest

from consumer.app.running import Assignment, run
from consumer.settings import ALL_ROLES, ClusterAccess, Settings, SettingsError


async def test_policies_that_do_not_exist_are_refused_by_path_and_setting(tmp_path: Path) -> None:
    absent = tmp_path / "polices"
    settings = Settings(
        kafka_bootstrap=("127.0.0.1:1",), cluster_access=ClusterAccess.SIMULATED, policies=(tmp_path, absent)
    )
    with pytest.raises(SettingsError) as refused:
        await run(Assignment(settings, ALL_ROLES), stopping=asyncio.Event(), started=lambda _: None)
    (line,) = str(refused.value).splitlines()
    assert f"{absent} do not exist" in line
    assert "ELASTI_POLICIES or --policies" in line
