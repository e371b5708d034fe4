"""Which sleeps were decided without knowledge of a request that came without the log: they are pointless."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from consumer.core.inputs import KNOWN_WITHIN
from consumer.core.outcome import Command
from consumer.core.service import Direction, ServiceKey

_UNSURE_FOR: Final = KNOWN_WITHIN + timedelta(seconds=2)
"""Two clocks may differ by two seconds more: each is sure to one."""


class Knocks:
    """The requests that came without the log: those under way, those still to be told, and when the last ones were.

    A worker judges a sleep with everything read that the log had `KNOWN_WITHIN` before. So what it decided well after
    the log got a request was decided with it, and everything before without. Of a request that woke its target, or
    failed, it is enough that it came: the target is not any more what an older zero expects, or whoever asked knows.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._under_way: set[ServiceKey] = set()
        self._untold: dict[ServiceKey, datetime] = {}
        self._since: OrderedDict[ServiceKey, datetime] = OrderedDict()

    def came(self, key: ServiceKey) -> None:
        """Somebody asks for the service now; one at a time."""
        self._under_way.add(key)

    def found_up(self, key: ServiceKey, came: datetime) -> None:
        """The target was up already: nothing in the cluster tells that it is in use."""
        self._untold[key] = came

    def ended(self, key: ServiceKey, now: datetime) -> None:
        """Who asked has an answer."""
        self._under_way.discard(key)
        self._note(key, now)

    def told(self, key: ServiceKey, came: datetime, now: datetime) -> None:
        """The log has the request that came then; a later one is still to be told."""
        if self._untold.get(key) == came:
            del self._untold[key]
        self._note(key, now)

    def unknown_to(self, command: Command) -> bool:
        """Whether this is a sleep, or what leads to one, that was decided without knowledge of a request."""
        if command.direction is Direction.UP:
            return False
        if command.key in self._under_way or command.key in self._untold:
            return True
        since = self._since.get(command.key)
        return since is not None and command.decided_at < since + _UNSURE_FOR

    def _note(self, key: ServiceKey, now: datetime) -> None:
        self._since[key] = now
        self._since.move_to_end(key)
        if len(self._since) > self._room:
            self._since.popitem(last=False)
