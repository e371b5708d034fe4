"""The commands that start servers, on a machine that has no place for temporary files."""

import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Elasti


@pytest.mark.parametrize("words", [("demo",), ("run", "--dev", "--policies")], ids=lambda words: words[0])
def test_without_a_place_for_temporary_files_it_says_so_and_what_to_do(
    elasti: Elasti, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    said = elasti(*words, *([tmp_path] if "--policies" in words else []))
    assert (said.code, said.out) == (3, "")
    assert "no temporary folder can be made" in said.err
    assert "TMPDIR" in said.err
    assert "Traceback" not in said.err
