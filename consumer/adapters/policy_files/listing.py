"""Which files there are, and what could not be looked into: only a listing that is whole tells what was deleted."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from consumer.ports import Problem

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
ABSENT = "does not exist; name a file or a directory with ElastiService resources"


def find(paths: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the files in a fixed order, each once, and a problem for each place that could not be looked into."""
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - pathlib's raises where the way there is closed
            files |= dict.fromkeys(sorted(_inside(path, problems)))
        elif os.path.lexists(path):
            files |= dict.fromkeys([path] if _readable(path) else [])
        else:
            problems.append(Problem(str(path), "", ABSENT))
    return list(files), problems


def _inside(top: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield the files below a directory; hidden ones are the bookkeeping of editors and of ConfigMaps."""

    def closed(error: OSError) -> None:
        told = f"can not be listed ({error.strerror}); make it a readable directory, or remove it from the policies"
        problems.append(Problem(str(error.filename), "", told))

    for folder, folders, names in os.walk(top, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            wanted = not name.startswith(".") and Path(name).suffix in SUFFIXES
            if wanted and _readable(Path(folder, name)):
                yield Path(folder, name)


def _readable(path: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere: what it led to may be back at the next look."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 - as above
