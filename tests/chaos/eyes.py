"""A watch on the Deployments from outside: every change of replicas, when it was seen, and of what generation."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Api
from consumer.adapters.kubernetes.watching import Appeared, Pace, Watching
from tests.chaos.fleet import NAMESPACE

_NEVER = datetime.min.replace(tzinfo=UTC)
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a Deployment was at a moment."""

    at: datetime
    replicas: int
    ready: int
    generation: int


@dataclass(slots=True)
class Eyes:
    """The history of every Deployment; the first sight of each is what it began with."""

    histories: dict[str, list[Sight]] = field(default_factory=dict)
    changed: datetime = _NEVER
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, api: Api) -> None:
        """Watch, for ever."""
        async for event in Watching(api, BrokerClock(), chance, Pace()).follow(DEPLOYMENTS):
            if isinstance(event, Appeared):
                async with self._moved:
                    self._saw(event.content)
                    self._moved.notify_all()

    def replicas(self, name: str) -> int:
        """What a Deployment has now; 0 when nobody ever saw it."""
        history = self.histories.get(name)
        return history[-1].replicas if history else 0

    def unready(self) -> list[str]:
        """Those that have replicas to wait for."""
        return [name for name, history in self.histories.items() if history[-1].ready < history[-1].replicas]

    async def until(self, holds: Callable[[], bool], within: float) -> bool:
        """Wait for it; tells whether it came true."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within), self._moved:
                await self._moved.wait_for(holds)
        return holds()

    async def quiet(self, length: float, within: float) -> bool:
        """Wait until nothing has changed for so many seconds; tells whether it came to that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    before = self.changed
                    if not await self._changes(before, length):
                        return True
        return False

    async def _changes(self, since: datetime, within: float) -> bool:
        return await self.until(lambda: self.changed != since, within)

    def _saw(self, content: Mapping[str, object]) -> None:
        match content:
            case {"metadata": {"name": str(name), "generation": int(generation)}, "spec": dict(spec), **rest}:
                status = rest.get("status")
                ready = status.get("readyReplicas", 0) if isinstance(status, dict) else 0
                now = datetime.now(UTC)
                sight = Sight(now, int(spec.get("replicas", 1)), int(ready), generation)
                history = self.histories.setdefault(name, [])
                if not history or (history[-1].replicas, history[-1].ready) != (sight.replicas, sight.ready):
                    history.append(sight)
                    self.changed = now
            case _:
                raise AssertionError(content)
