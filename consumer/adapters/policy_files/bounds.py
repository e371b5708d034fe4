"""How much a YAML text may hold: a few lines of it can nest or repeat themselves beyond all memory."""

from dataclasses import dataclass

import yaml

_DEEPEST = 64
"""Levels of one document. The parser goes down by recursion in C: some 10,000 levels end the process, not the file."""
_MOST = 1_000_000
"""Values of one file, those that its aliases repeat counted each time."""


@dataclass(slots=True)
class _Part:
    """A list or a mapping: its name for aliases, how many values are in it, and on how many levels."""

    anchor: str | None = None
    size: int = 1
    height: int = 1

    def take(self, inner: "_Part") -> None:
        self.size += inner.size
        self.height = max(self.height, inner.height + 1)


def check_bounds(text: str) -> None:
    """Look over the text without building anything of it.

    Raises:
        yaml.MarkedYAMLError: it is not YAML, or nests or repeats too much; the error knows the line.
    """
    open_parts = [_Part()]
    known: dict[str, _Part] = {}
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        closed = _step(event, open_parts, known)
        if closed is not None:
            open_parts[-1].take(closed)
        if len(open_parts) + (closed.height if closed else 0) > _DEEPEST:
            raise _refused(f"nests more than {_DEEPEST} levels", event)
        if sum(part.size for part in open_parts) > _MOST:
            raise _refused(f"repeats itself to over {_MOST} values", event)


def _step(event: yaml.Event, open_parts: list[_Part], known: dict[str, _Part]) -> _Part | None:
    """Follow one event; returns the part that it closes or repeats."""
    match event:
        case yaml.CollectionStartEvent():
            open_parts.append(_Part(event.anchor))
            return None
        case yaml.CollectionEndEvent():
            part = open_parts.pop()
            if part.anchor is not None:
                known[part.anchor] = part
            return part
        case yaml.AliasEvent():
            return known.get(event.anchor or "") or _Part()
        case yaml.ScalarEvent():
            return _Part(height=0)
        case _:
            return None


def _refused(why: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    mark = event.start_mark
    place = None if mark is None else yaml.Mark(str(mark.name), mark.index, mark.line, mark.column, None, 0)
    return yaml.MarkedYAMLError(problem=why, problem_mark=place)
