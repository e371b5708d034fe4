"""How many requests came lately: counts over a sliding window, in bounded memory."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

MOST_BUCKETS: Final = 60
# A window of 58 widths touches 59 buckets; the 60th allows for a request one width ahead of now.
_WIDTHS: Final = MOST_BUCKETS - 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of the last ``length``, counted in at most 60 buckets of equal width.

    A bucket counts for as long as any part of it lies inside the window. So a
    request inside is never missed, and one outside is counted for a width
    (1/58 of the length) at most: a service can fall asleep that much late,
    never early. The same requests give the same window in any order.

    Requests must not lie further ahead of the ``now`` that is asked about
    than one width; who adds a request with a foreign time limits it to now.
    A window of another length starts afresh, with ``since`` set to now.
    """

    length: timedelta
    since: datetime | None = None
    """From when on every request was counted; None when that is not known."""
    buckets: tuple[tuple[int, int], ...] = ()
    """Pairs of a bucket's index (widths since 1970) and its count above zero, by rising index."""

    def __post_init__(self) -> None:
        if self.length <= timedelta():
            raise ValueError(f"window {self.length}: must be above zero; write a duration like 5m")

    @property
    def width(self) -> timedelta:
        """Give the width of a bucket, rounded up to a microsecond."""
        return -(-self.length // _WIDTHS)

    def add(self, count: int, at: datetime) -> Self:
        """Count ``count`` requests at ``at``; raises ``ValueError`` for a negative count."""
        if count < 0:
            raise ValueError(f"count {count}: must not be negative; leave the record out")
        if count == 0:
            return self
        index = self._index(at)
        newest, newest_count = self.buckets[-1] if self.buckets else (index, 0)
        if index == newest:
            return replace(self, buckets=(*self.buckets[:-1], (index, newest_count + count)))
        counts = dict(self.buckets)
        counts[index] = counts.get(index, 0) + count
        oldest = max(newest, index) - MOST_BUCKETS + 1
        return replace(self, buckets=tuple((key, counts[key]) for key in sorted(counts) if key >= oldest))

    def total(self, now: datetime, *, over: timedelta | None = None) -> int:
        """Give the requests of the window that ends now, its first instant included; never too few.

        ``over`` asks about the last part of the window, not longer than itself.
        """
        oldest = self._index(now - (self.length if over is None else over))
        return sum(count for index, count in self.buckets if index >= oldest)

    def full(self, now: datetime, *, over: timedelta | None = None) -> bool:
        """Tell whether a whole window (or its last part, ``over``) was watched, so that its total says something."""
        return self.since is not None and now - self.since >= (self.length if over is None else over)

    def _index(self, at: datetime) -> int:
        return (at - _EPOCH) // self.width
