"""A hundred services of every kind, and their traffic in some hours of a night, drawn from a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from string import digits
from typing import Final

from tests.longtime.trace import DAY, HOUR, MINUTE, Nights, Plan, Rhythm, Trace, whole

START: Final = datetime(2026, 3, 6, tzinfo=UTC)
"""Midnight in UTC: batches run from 01:30 to 03:10."""
END: Final = START + 4 * HOUR
LAST_REQUEST: Final = START + 2 * HOUR + 50 * MINUTE
_COOLDOWNS: Final = (2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE)
_PERIODS: Final = (
    # From then on it has to be up, whatever else.
    Nights(0, 0, 90 * MINUTE, "UTC"),
    # Up until then.
    Nights(0, 2, 8 * HOUR, "UTC"),
)
_KINDS: Final = ("used", "visited", "counted", "late", "batch", "night", "newborn", "silent")


@dataclass(frozen=True, slots=True)
class Night(Trace):
    """A trace with the requests that it names, and no others."""

    def requests(self) -> Iterator[tuple[datetime, str]]:
        """Yield them by rising time."""
        return iter(sorted(self.asked))


def fleet(seed: int, services: int = 100) -> Night:
    """Draw it."""
    chance = random.Random(f"fleet/{seed}")
    plans = tuple(_plan(chance, number) for number in range(services))
    asked = tuple((at, plan.name) for plan in plans for at in _requests(chance, plan))
    return Night(seed, START, 1, MINUTE, plans, asked)


def kind_of(plan: Plan) -> str:
    """What kind of service it is; its name is a metric, too."""
    return plan.name.rstrip(digits)


def _plan(chance: random.Random, number: int) -> Plan:
    kind = _KINDS[number % len(_KINDS)]
    born = START - DAY if kind != "newborn" else whole(START + chance.uniform(0.2, 1.9) * HOUR)
    return Plan(
        name=f"{kind}{number}",
        rhythm=Rhythm.BATCH if kind == "batch" else Rhythm.NEVER,
        cooldown=chance.choice(_COOLDOWNS),
        created_at=born,
        zone="UTC",
        nights=_PERIODS[number // len(_KINDS) % 2] if kind == "night" else None,
        counted=kind == "counted" or (kind in ("used", "visited") and chance.random() < 0.3),
    )


def _requests(chance: random.Random, plan: Plan) -> Iterator[datetime]:
    """Yield when somebody asks for it."""
    first, gap = _traffic(plan)
    at = max(first, plan.created_at + MINUTE)
    while gap is not None and (at := at + chance.expovariate(1) * gap) < LAST_REQUEST:
        # A visit is a few requests in a row.
        for _ in range(chance.choice((1, 1, 2, 4))):
            yield whole(at)
            at += timedelta(seconds=chance.expovariate(0.2))


def _traffic(plan: Plan) -> tuple[datetime, timedelta | None]:
    """From when on, and how far apart."""
    match kind_of(plan):
        case "used":
            return START, 90 * timedelta(seconds=1)
        case "visited" | "counted" | "newborn":
            return START, 25 * MINUTE
        case "late":
            # Nobody comes before the hour from one to two.
            return START + HOUR, 15 * MINUTE
        case "night":
            return START, HOUR
        case _:
            return START, None
