"""`elasti schema`: lists, prints and writes the contracts of the messages."""

import json
from pathlib import Path

from tests.cli.conftest import Elasti

COMMITTED = Path(__file__).parents[2] / "schemas" / "generated"


def test_it_lists_all_documents(elasti: Elasti) -> None:
    said = elasti("schema")
    assert said.code == 0
    assert said.out.split() == sorted(path.name for path in COMMITTED.iterdir())


def test_it_prints_one(elasti: Elasti) -> None:
    name = elasti("schema").out.split()[-1]
    said = elasti("schema", name)
    assert said.code == 0
    assert json.loads(said.out) == json.loads((COMMITTED / name).read_bytes())


def test_what_it_writes_is_what_is_committed(elasti: Elasti, tmp_path: Path) -> None:
    out = tmp_path / "new" / "directory"
    said = elasti("schema", "--out", out)
    assert said.code == 0
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    assert written == {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    assert said.out == f"{len(written)} documents written to {out}\n"
