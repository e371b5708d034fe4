"""When a partition's evaluation cycles begin: spread over the interval, the same after a restart."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_cycle(now: datetime, interval: timedelta, *, partition: int, partitions: int) -> datetime:
    """Return the first moment after `now` at which the partition is evaluated.

    With 30 s and 3 partitions they begin at :00 and :30, :10 and :40, :20 and :50.
    """
    phase = interval * partition / partitions
    return now + interval - (now - _EPOCH - phase) % interval
