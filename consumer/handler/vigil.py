"""Wakes that failed since the cluster was away: one at a time looks whether it is back, and then they all go on."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from consumer.handler.backoff import Backoff
from consumer.handler.errands import Spawn
from consumer.ports import Clock

_TWO: Final = 2
_SETTLED: Final = 10
"""The attempt at which a back-off has grown to its longest."""


class Vigil:
    """Hands out turns to try once more.

    While nobody is answered there is one turn after each back-off, however many wait: an hour without an API server
    costs it nothing. Everybody who is answered lets two more try: of a thousand the last has its turn after ten rounds
    of calls, and a server that can answer only some of them is asked no faster than it answers.
    """

    def __init__(self, spawn: Spawn, clock: Clock, backoff: Backoff, chance: Callable[[], float]) -> None:
        self._spawn = spawn
        self._clock = clock
        self._backoff = backoff
        self._chance = chance
        self._waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._keeping: asyncio.Task[None] | None = None

    def ask(self) -> asyncio.Future[bool]:
        """Ask for a turn; who waits longest has the next one, and whoever withdraws is passed over."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        turn.add_done_callback(self._forget)
        if self._keeping is None:
            self._keeping = self._spawn(self._keep())
        return turn

    def answered(self) -> None:
        """The cluster answered a call."""
        for _ in range(_TWO):
            self._next()

    async def _keep(self) -> None:
        try:
            while self._waiting:
                await self._clock.sleep(self._backoff.delay(_SETTLED, self._chance()))
                self._next()
        finally:
            self._keeping = None

    def _next(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(True)
                return

    def _forget(self, turn: asyncio.Future[bool]) -> None:
        # Whoever withdraws may do so a thousand times before its turn comes.
        self._waiting.pop(turn, None)
