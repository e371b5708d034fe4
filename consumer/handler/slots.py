"""A bounded number of calls at a time: wakes before sleeps, and of one rank the first that asked."""

import asyncio
from heapq import heappop, heappush


class Slots:
    """Hands out `free` places; whoever waits holds a future that says whether the place was given."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._asked = 0
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []

    def ask(self, rank: int) -> asyncio.Future[bool]:
        """Ask for a place; the lower rank is served first."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._free > 0:
            self._free -= 1
            turn.set_result(True)
            return turn
        self._asked += 1
        heappush(self._waiting, (rank, self._asked, turn))
        return turn

    async def granted(self, turn: asyncio.Future[bool]) -> bool:
        """Wait for the answer; True: the place is ours until `give_back`."""
        try:
            return await turn
        except asyncio.CancelledError:
            # Given in the very moment in which we were cancelled: nobody else would give it back.
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Pass the place on to the next, or keep it free."""
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            # Withdrawn or cancelled while it waited: the place goes to the one behind.
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1


def withdraw(turn: asyncio.Future[bool]) -> None:
    """Stop waiting for a place; does nothing when it was given already."""
    if not turn.done():
        turn.set_result(False)
