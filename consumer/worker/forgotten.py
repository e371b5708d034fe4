"""What was applied to services that are forgotten: an owner before us may not have moved its offsets so far."""

from collections import OrderedDict

from consumer.core.service import ServiceKey
from consumer.core.state import Mark


class Forgotten:
    """The marks of the last services that went, of as many as there is `room` for.

    They matter for a moment only, until the offsets are behind what was applied; the oldest go first, or an
    installation whose services come and go would keep them all.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._marks: OrderedDict[ServiceKey, tuple[Mark, ...]] = OrderedDict()

    def keep(self, key: ServiceKey, marks: tuple[Mark, ...]) -> None:
        """A service goes."""
        self._marks[key] = marks
        self._marks.move_to_end(key)
        while len(self._marks) > self._room:
            self._marks.popitem(last=False)

    def back(self, key: ServiceKey) -> tuple[Mark, ...]:
        """It is there again: return what was applied to it."""
        return self._marks.pop(key, ())
