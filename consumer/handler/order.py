"""Which of two commands for one service counts: the highest `seq` seen, and what it overtakes."""

from collections import OrderedDict

from consumer.core.outcome import Command
from consumer.core.service import Direction, ServiceKey


def overtakes(newer: Command, older: Command) -> bool:
    """Whether `newer` makes `older` pointless.

    An up for another target is not overtaken: it gives the old workload back after its policy named a new one,
    and nobody would ever ask for that again.
    """
    releases = older.direction is Direction.UP and older.target != newer.target
    return newer.seq > older.seq and not releases


class Order:
    """The newest command seen of each service, of as many services as there is `room` for."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._newest: OrderedDict[ServiceKey, Command] = OrderedDict()

    def admit(self, command: Command) -> bool:
        """Take note of a command; False when one was seen before that overtakes it.

        The same `seq` again is a redelivery and is let through: carrying it out is conditional, so it does no harm.
        """
        newest = self._newest.get(command.key)
        if newest is not None and newest.seq > command.seq:
            return not overtakes(newest, command)
        self._newest[command.key] = command
        self._newest.move_to_end(command.key)
        if len(self._newest) > self._room:
            self._newest.popitem(last=False)
        return True

    def overtaken(self, command: Command) -> bool:
        """Whether a newer one came since it was admitted."""
        newest = self._newest.get(command.key)
        return newest is not None and overtakes(newest, command)

    def forget(self, keys: frozenset[ServiceKey]) -> None:
        """Drop what is known of these services: another handler answers for them now."""
        for key in keys:
            self._newest.pop(key, None)

    def keys(self) -> frozenset[ServiceKey]:
        """The services that a command was seen for."""
        return frozenset(self._newest)
