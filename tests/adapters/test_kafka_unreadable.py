"""Records that aiokafka can not read are stepped over, each one told of, whichever of its two readers is at work."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy, _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c

from consumer.adapters.kafka.unreadable import ReadablePartitionRecords
from consumer.ports import UNREADABLE

# Where a batch has its first offset, its checksum, and what that is of.
_OFFSET, _CRC, _SUMMED = slice(0, 8), slice(17, 21), slice(21, None)
_READ_UNCOMMITTED = 0

Reader = Callable[[bytearray], Any]


class Fetched:
    """The batches of one answer of a broker, as one of the readers has them."""

    def __init__(self, reader: Reader, *batches: bytes) -> None:
        self._reader = reader
        self._left = list(batches)

    def has_next(self) -> bool:
        return bool(self._left)

    def next_batch(self) -> Any:  # noqa: ANN401 - aiokafka ships no types
        return self._reader(bytearray(self._left.pop(0)))


def batch(first: int, *, bad: int | None = None) -> bytes:
    """Four records; the header of the `bad` one has a name that is no UTF-8."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
    for number in range(4):
        builder.append(number, 1_000, b"key", b"value", [("?name", b"")] if number == bad else [])
    made = bytearray(builder.build().replace(b"?name", b"\xffname"))
    made[_OFFSET] = struct.pack(">q", first)
    return _summed(made)


def _summed(made: bytearray) -> bytes:
    made[_CRC] = struct.pack(">I", calc_crc32c(bytes(made[_SUMMED])))
    return bytes(made)


def read(reader: Reader, batches: Sequence[bytes], begin: int = 0) -> list[tuple[int, bool]]:
    """The offset of each record, and whether it could be read."""
    fetched = Fetched(reader, *batches)
    given = ReadablePartitionRecords(
        TopicPartition("requests", 0), fetched, [], begin, None, None, True, _READ_UNCOMMITTED
    )
    return [(record.offset, all(name != UNREADABLE for name, _ in record.headers)) for record in given]


readers = pytest.mark.parametrize("reader", [DefaultRecordBatch, _DefaultRecordBatchPy], ids=["compiled", "plain"])


@readers
def test_a_name_that_is_no_utf_8_costs_the_rest_of_its_batch_and_nothing_behind_it(reader: Reader) -> None:
    found = read(reader, [batch(0, bad=2), batch(4, bad=0), batch(8)])
    assert [offset for offset, _ in found] == list(range(12))
    assert [offset for offset, readable in found if readable] == [0, 1, 8, 9, 10, 11]


@readers
def test_who_begins_in_the_middle_of_such_a_batch_is_told_of_what_is_left(reader: Reader) -> None:
    found = read(reader, [batch(0, bad=1), batch(4)], begin=3)
    assert found == [(3, False), *((offset, True) for offset in range(4, 8))]


@readers
def test_what_was_damaged_on_its_way_is_not_stepped_over_but_fetched_again(reader: Reader) -> None:
    damaged = bytearray(batch(0))
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        read(reader, [bytes(damaged)])


def test_a_record_of_no_form_at_all_is_not_taken_for_one_with_a_strange_name() -> None:
    shapeless = bytearray(batch(0))
    # The length of the first record's key says that it is longer than all there is.
    shapeless[61 + 4] = 0x7E
    with pytest.raises(CorruptRecordException):
        read(_DefaultRecordBatchPy, [_summed(shapeless)])
