"""Records that aiokafka can not read: it gives up their partition for good, and we step over them, each one told of.

A header's name that is no UTF-8, or a codec that is not installed, makes its reading raise at the same place again and
again. Kafka's broker takes such records from any producer, so one of them would end all wakes of a partition.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from consumer.ports import UNREADABLE


class _Batches:
    """The batches of a fetch, which knows the last one that it gave."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - aiokafka ships no types
        self._inner = inner
        self.last: Any = None

    def has_next(self) -> bool:
        """Whether there is one more."""
        return bool(self._inner.has_next())

    def next_batch(self) -> Any:  # noqa: ANN401 - aiokafka ships no types
        """Return it."""
        self.last = self._inner.next_batch()
        return self.last


class ReadablePartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """What was fetched of a partition, with a record that says so for each one that can not be read."""

    _records: Any
    next_fetch_offset: int

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*given, **named)
        self._records = _Batches(self._records)

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        """Yield the records; the rest of a batch behind one that can not be read can not be read either."""
        while True:
            try:
                yield from super()._unpack_records()
            except (UnicodeDecodeError, UnsupportedCodecError, CorruptRecordException) as error:
                if (why := _why(error)) is None:
                    raise
            else:
                return
            batch = self._records.last
            for stepped_over in self._told(range(self.next_fetch_offset, batch.next_offset), batch, why):
                self.next_fetch_offset = stepped_over.offset + 1
                yield stepped_over

    def _told(self, offsets: range, batch: Any, why: str) -> Iterator[ConsumerRecord]:  # noqa: ANN401 - no types
        for offset in offsets:
            yield ConsumerRecord(
                topic=self._tp.topic,
                partition=self._tp.partition,
                offset=offset,
                timestamp=batch.max_timestamp,
                timestamp_type=batch.timestamp_type,
                key=None,
                value=None,
                checksum=None,
                serialized_key_size=-1,
                serialized_value_size=-1,
                headers=((UNREADABLE, why.encode()),),
            )


def _why(error: Exception) -> str | None:
    """Say why it can not be read; None when it was damaged on its way, and may be read when it is fetched again."""
    # The reader that is not compiled, for want of a wheel, says so by the way.
    cause = error.__cause__ if isinstance(error, CorruptRecordException) else error
    match cause:
        case UnicodeDecodeError(reason=reason):
            return f"it, or one before it in its batch, has a header whose name is no UTF-8: {reason}"
        case UnsupportedCodecError():
            return f"its compression is not known here: {cause}"
        case _:
            return None


def step_over_unreadable_records() -> None:
    """Have every consumer of this process do so; it has no setting for it."""
    fetcher.PartitionRecords = ReadablePartitionRecords
