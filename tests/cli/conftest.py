"""The command line inside the test's process: words in, exit code and output out."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import structlog

from consumer.app.places import Places
from consumer.cli import main


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


Elasti = Callable[..., Said]


@pytest.fixture
def elasti(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Elasti]:
    """Run `elasti WORDS...` without any setting of the surroundings; the logging is put back afterwards."""
    for name in os.environ:
        if name.startswith("ELASTI_"):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*words: object, places: Places | None = None) -> Said:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words], places)
        captured = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return Said(code, captured.out, captured.err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
