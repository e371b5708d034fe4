"""Recorded runs as files: what was saved is read again, and what is no recorded run is said to be none."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.checker import Expectations, Record, Recording, RecordingError, Rule, check, load, saved

GOLDEN = Path(__file__).parents[1] / "golden" / "recordings"
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 5_000, tzinfo=UTC)
BYTES = st.one_of(st.none(), st.binary(max_size=40), st.text(max_size=20).map(str.encode))


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_what_was_saved_is_what_is_loaded(day: Recording, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert saved(day, path) == len(tuple(day.records))
    loaded = load(path)
    assert tuple(loaded.records) == tuple(day.records)
    # It is read as often as it is gone through.
    assert tuple(loaded.records) == tuple(day.records)
    assert loaded.partitions == day.partitions


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=BYTES, value=BYTES, headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=3))
def test_any_bytes_come_back(
    tmp_path: Path, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    record = Record("hosts", 3, 2**40, MOMENT, key, value, tuple(headers))
    saved(Recording((record,)), tmp_path / "one.jsonl")
    assert tuple(load(tmp_path / "one.jsonl").records) == (record,)


def test_the_same_run_gives_the_same_file(day: Recording, tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        saved(day, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.gz", "b.gz"))
    assert gzip.decompress(first) == gzip.decompress(second)


def test_an_empty_file_is_a_run_without_records(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert tuple(load(tmp_path / "empty.jsonl").records) == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello\n", "line 1: not JSON"),
        (b"[]\n", "line 1: not a record"),
        (b"{}\n", "line 1: not a record (KeyError('topic'))"),
        (b'{"topic":"x","partition":"0"}\n', "line 1: not a record"),
    ],
)
def test_what_is_no_recorded_run_is_said_to_be_none(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(RecordingError, match="is it a recorded run") as raised:
        load(tmp_path / "run.jsonl")
    assert says in str(raised.value)


def test_a_line_that_is_broken_is_named(day: Recording, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    saved(day, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((*lines[:4], lines[4][:30] + b"\n", *lines[5:])))
    with pytest.raises(RecordingError, match="line 5: not JSON"):
        list(load(path).records)


def test_a_file_that_was_cut_short_is_not_taken_for_a_whole_run(day: Recording, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    saved(day, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RecordingError, match="record it anew"):
        list(load(path).records)


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_a_run_that_was_recorded_from_kafka_violates_nothing(path: Path) -> None:
    """But for the repetition of its decisions: rules that are changed on purpose decide otherwise than they did."""
    verdict = check(load(path), Expectations(quiet=True))
    assert [one for one in verdict.violations if one.rule is not Rule.REPLAYS] == []
    assert verdict.figures.wakes
    assert verdict.figures.sleeps
    assert verdict.figures.decisions == verdict.figures.replayed
