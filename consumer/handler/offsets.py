"""How far a partition is answered: work ends in any order, but an offset moves only over what is done."""

from collections import OrderedDict


class Ledger:
    """The records of one partition that were read and not answered yet, in the order of the log."""

    def __init__(self, position: int) -> None:
        # Finding the first key of a plain dict takes as long as keys were taken out before it.
        self._open: OrderedDict[int, None] = OrderedDict()
        self._read = position
        self._committed = position

    @property
    def pending(self) -> int:
        """How many records wait for their answer."""
        return len(self._open)

    def took(self, offset: int) -> None:
        """A record was read; offsets come in order, with gaps where the log keeps its own marks."""
        self._open[offset] = None
        self._read = offset + 1

    def done(self, offset: int) -> None:
        """The answer to this record is in the log."""
        self._open.pop(offset, None)

    def read_to(self, position: int) -> None:
        """Nothing but the log's own marks lies between the last record that was read and `position`."""
        self._read = max(self._read, position)

    def due(self) -> int | None:
        """The next offset to commit: the first that is not answered; None when that is committed already."""
        # 7 and 9 are done, 8 is open: 8 is committed, although two answers are out.
        offset = next(iter(self._open), self._read)
        return offset if offset > self._committed else None

    def committed(self, offset: int) -> None:
        """The log has it."""
        self._committed = max(self._committed, offset)
