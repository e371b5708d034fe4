"""A cluster to be looked at, in memory: the fast twin of what single commands ask an API server."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from consumer.ports import Clock, Definition, ForeignScaler, Holding, ResourceRef, Right, TargetError


class MemorySurvey:
    """Implements `ports.Survey`: shows what a test puts into it; `behind` is how much its clock is behind ours."""

    def __init__(self, clock: Clock) -> None:
        self.definition_shown: Definition | None = None
        self.scalers_shown: list[ForeignScaler] = []
        self.behind = timedelta()
        self.failure: TargetError | None = None
        """What every call is answered with, when it is set."""
        self.hidden: TargetError | None = None
        """What is said to those who ask for the autoscalers of others, when it is set."""
        self._clock = clock
        self._holdings: dict[ResourceRef, Holding] = {}

    async def holdings(self) -> Sequence[Holding]:
        """Return every ElastiService."""
        await self._received()
        return list(self._holdings.values())

    async def scalers(self) -> Sequence[ForeignScaler]:
        """Return every autoscaler of others."""
        await self._received()
        if self.hidden is not None:
            raise self.hidden
        return list(self.scalers_shown)

    async def definition(self) -> Definition | None:
        """Return the definition."""
        await self._received()
        return self.definition_shown

    async def time(self) -> datetime:
        """Return the time, to the second."""
        await self._received()
        now = self._clock.read().now - self.behind
        return now.replace(microsecond=0)

    def put(self, holding: Holding) -> Holding:
        """Somebody applies it, or changes it."""
        self._holdings[holding.resource] = holding
        return holding

    async def _received(self) -> None:
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


class MemoryRights:
    """Implements `ports.Rights`: everything is allowed but what a test forbids."""

    def __init__(self) -> None:
        self.forbidden: set[Right] = set()
        self.asked: list[Right] = []

    async def missing(self, rights: Sequence[Right]) -> Sequence[Right]:
        """Return those that are forbidden."""
        await asyncio.sleep(0)
        self.asked.extend(rights)
        return [right for right in rights if right in self.forbidden]
