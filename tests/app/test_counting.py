"""How many policies are valid is counted as they come, without a look at all of them for each."""

import asyncio
from collections.abc import Mapping
from typing import Final

import pytest

from consumer.app.running import count_policies
from consumer.core.service import ServiceKey
from consumer.ports import PolicyEntry, PolicyGone, Problem
from consumer.telemetry import Telemetry
from tests.handler.bed import HandPolicies, settled

MANY: Final = 200
BAD: Final = (Problem("shop", "spec", "it is wrong"),)


class Watched(HandPolicies):
    """Counts how often all of them were looked at."""

    looks = 0

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        self.looks += 1
        return super().entries()


def entry(number: int, *problems: Problem) -> PolicyEntry:
    return PolicyEntry(ServiceKey("shop", f"web-{number}"), None, problems)


def counts(telemetry: Telemetry) -> list[str]:
    lines = telemetry.render()[0].decode().splitlines()
    return sorted(line.rpartition(" ")[2] for line in lines if line.startswith("elasti_policies{"))


@pytest.mark.parametrize("early", [True, False])
async def test_policies_are_counted_each_for_itself(*, early: bool) -> None:
    policies, telemetry = Watched(), Telemetry("test", "1")
    task = asyncio.create_task(count_policies(policies, telemetry))
    if not early:
        await settled()
    for number in range(MANY):
        policies.put_entry(entry(number, *(BAD if number < 3 else ())))
    await settled()
    assert counts(telemetry) == ["197", "3"]
    policies.put_entry(entry(0))
    policies.leave(PolicyGone(ServiceKey("shop", "web-1"), None))
    await settled()
    assert counts(telemetry) == ["1", "198"]
    assert policies.looks == 1
    task.cancel()
