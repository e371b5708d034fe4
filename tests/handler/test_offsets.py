"""An offset moves only over what is answered."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.handler.offsets import Ledger


def test_nothing_is_due_before_anything_is_done() -> None:
    ledger = Ledger(7)
    assert ledger.due() is None
    ledger.took(7)
    assert (ledger.due(), ledger.pending) == (None, 1)


def test_what_is_done_behind_an_open_record_waits_for_it() -> None:
    ledger = Ledger(7)
    for offset in (7, 8, 9):
        ledger.took(offset)
    ledger.done(7)
    ledger.done(9)
    assert ledger.due() == 8
    ledger.done(8)
    assert ledger.due() == 10


def test_what_is_committed_is_not_due_again() -> None:
    ledger = Ledger(0)
    ledger.took(0)
    ledger.done(0)
    ledger.committed(1)
    assert ledger.due() is None


def test_gaps_of_the_log_s_own_marks_are_passed() -> None:
    ledger = Ledger(0)
    ledger.took(0)
    ledger.took(4)
    ledger.done(0)
    assert ledger.due() == 4
    ledger.done(4)
    assert ledger.due() == 5
    ledger.read_to(6)
    assert ledger.due() == 6
    ledger.read_to(2)
    assert ledger.due() == 6


def test_a_record_that_is_done_twice_moves_nothing_more() -> None:
    ledger = Ledger(0)
    ledger.took(0)
    ledger.took(1)
    ledger.done(0)
    ledger.done(0)
    assert (ledger.due(), ledger.pending) == (1, 1)


@given(gaps=st.lists(st.integers(1, 3), min_size=1, max_size=20), data=st.data())
def test_the_due_offset_never_passes_an_open_record_and_ends_behind_the_last(
    gaps: list[int], data: st.DataObject
) -> None:
    offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    ledger = Ledger(0)
    for offset in offsets:
        ledger.took(offset)
    still_open = set(offsets)
    for offset in data.draw(st.permutations(offsets)):
        ledger.done(offset)
        still_open.discard(offset)
        if (due := ledger.due()) is not None:
            assert due <= min(still_open, default=offsets[-1] + 1)
            ledger.committed(due)
    assert ledger.due() is None
    assert ledger.pending == 0
