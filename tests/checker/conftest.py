"""The good run that most tests of the checker spoil."""

from collections.abc import Mapping

import pytest

from consumer.checker import Expectations, Recording
from tests.checker.runs import SHOP, Shop, a_day

_MADE: dict[str, tuple[Recording, Mapping[str, int]]] = {}


async def _made() -> tuple[Recording, Mapping[str, int]]:
    if "day" not in _MADE:
        shop = Shop()
        await a_day(shop)
        _MADE["day"] = shop.recording(), {str(key): shop.replicas(key) for key in SHOP}
    return _MADE["day"]


@pytest.fixture
async def day() -> Recording:
    """A whole day of four services, whose worker and handler are the real ones."""
    recording, _ = await _made()
    return recording


@pytest.fixture
async def quiet() -> Expectations:
    """What may be expected of that day: it came to rest, and the replicas are these."""
    _, actual = await _made()
    return Expectations(quiet=True, actual=actual)
