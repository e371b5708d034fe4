"""The log in memory forgets as Kafka does: by key or by age, and no offset is given out twice."""

from datetime import timedelta

from consumer.adapters.clock import ManualClock
from consumer.adapters.memory import MemoryLog, MemoryReader
from consumer.adapters.memory.log import Fate, Span
from consumer.ports import Output

TOPIC = "states"


def log_of(clock: ManualClock, *pairs: tuple[bytes, bytes | None]) -> MemoryLog:
    log = MemoryLog(clock)
    log.create(TOPIC, 1)
    for key, value in pairs:
        log.append(Output(TOPIC, 0, key, value))
        clock.advance(timedelta(hours=1))
    return log


def kept(log: MemoryLog) -> list[tuple[int, bytes | None]]:
    return [(record.offset, record.value) for record in log.records(TOPIC)]


def test_compaction_keeps_the_last_record_of_a_key_under_its_offset() -> None:
    log = log_of(ManualClock(), (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"c", None))
    log.compact(TOPIC)
    assert kept(log) == [(1, b"1"), (2, b"2"), (4, None)]
    assert log.append(Output(TOPIC, 0, b"a", b"3")).offset == 5
    log.compact(TOPIC)
    assert kept(log) == [(1, b"1"), (4, None), (5, b"3")]


def test_retention_forgets_what_was_appended_before() -> None:
    clock = ManualClock()
    begun = clock.now
    log = log_of(clock, (b"a", b"1"), (b"a", b"2"), (b"a", b"3"))
    log.expire(TOPIC, begun + timedelta(hours=2))
    assert kept(log) == [(2, b"3")]
    assert log.append(Output(TOPIC, 0, b"a", b"4")).offset == 3


async def test_an_aborted_record_supersedes_nothing_and_a_reader_passes_over_what_is_gone() -> None:
    log = log_of(ManualClock(), (b"a", b"1"), (b"a", b"2"))
    aborted = Span()
    log.append(Output(TOPIC, 0, b"a", b"3"), aborted)
    log.finish(aborted, Fate.ABORTED)
    log.compact(TOPIC)
    read = [record.value async for records in MemoryReader(log).read_to_end(TOPIC, 0) for record in records]
    assert read == [b"2"]
