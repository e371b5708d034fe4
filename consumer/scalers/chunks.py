"""How many queries become one and one answer many: pure text and values, no I/O.

Queries of one source are joined with `or`, each behind a label that carries its number. Prometheus' `or` drops
a right-hand series whose labels match a left-hand one; the numbers keep all of them apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from consumer.core.readings import Question, Reading, Series, Shape, Source
from consumer.scalers.promql import Kind, kind_of

LARGEST: Final = 125
"""Queries in a chunk: 1,000 cost Prometheus 2.42 the same in chunks of 50 to 125, and 1.5 times that in 250."""
_MOST_TEXT: Final = 100_000
"""Characters in a chunk: about 150 kB as a form, far below what servers and proxies refuse."""
_PARTS: Final = 4
"""A chunk that fails is asked again in up to four parts: one bad query in 125 is alone after four steps."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Queries of one source that are asked in one request."""

    source: Source
    queries: tuple[str, ...]

    def questions(self) -> tuple[Question, ...]:
        """The questions behind the queries, in their order."""
        return tuple(Question(self.source, query) for query in self.queries)

    def parts(self) -> "tuple[Chunk, ...]":
        """The same queries in smaller chunks; a chunk of one has no parts."""
        size = -(-len(self.queries) // _PARTS)
        starts = range(0, len(self.queries), size)
        return tuple(Chunk(self.source, self.queries[start : start + size]) for start in starts)


@dataclass(frozen=True, slots=True)
class Joined:
    """The one query for a chunk, and the label by which its answer is taken apart."""

    text: str
    label: str


def pack(questions: Iterable[tuple[Question, int]]) -> tuple[Chunk, ...]:
    """Sort questions, each with the largest chunk that it may be in, into chunks by source."""
    groups: dict[tuple[Source, int], list[str]] = {}
    for question, width in questions:
        size = 1 if kind_of(question.query) is Kind.OTHER else min(width, LARGEST)
        groups.setdefault((question.source, size), []).append(question.query)
    return tuple(chunk for (source, size), queries in groups.items() for chunk in _filled(source, queries, size))


def _filled(source: Source, queries: Sequence[str], size: int) -> Iterable[Chunk]:
    # Even chunks: 251 queries are two requests of 126 and 125, not one of 250 and one of 1.
    size = -(-len(queries) // -(-len(queries) // size))
    members: list[str] = []
    length = 0
    for query in queries:
        if members and (len(members) == size or length + len(query) > _MOST_TEXT):
            yield Chunk(source, tuple(members))
            members, length = [], 0
        members.append(query)
        length += len(query)
    yield Chunk(source, tuple(members))


def join(queries: Sequence[str]) -> Joined:
    """Write one query for all; its label is one that no query mentions and no series has but by intent."""
    label = _label(queries)
    branches = [_branch(query, label, number) for number, query in enumerate(queries)]
    while len(branches) > 1:
        # A balanced tree: a chain of 125 would cost the server a copy of everything at each step.
        pairs = [f"({left} or {right})" for left, right in zip(branches[::2], branches[1::2], strict=False)]
        branches = pairs + branches[2 * len(pairs) :]
    return Joined(branches[0], label)


def _label(queries: Sequence[str]) -> str:
    everything = "\n".join(queries)
    digest = sha256(everything.encode()).hexdigest()
    while (label := f"elasti_{digest[:12]}") in everything:
        digest = sha256(digest.encode()).hexdigest()
    return label


def _branch(query: str, label: str, number: int) -> str:
    # The line feed ends a comment that the query may close with; label_replace takes no scalar.
    vector = f"vector(({query}\n))" if kind_of(query) is Kind.SCALAR else f"({query}\n)"
    return f'label_replace({vector}, "{label}", "{number}", "", "")'


def attribute(reading: Reading, queries: Sequence[str], label: str) -> tuple[Reading, ...] | None:
    """Take the answer apart into what each lone query would have given; None if that can not be done."""
    if reading.shape is not Shape.VECTOR:
        return None
    found: list[list[Series]] = [[] for _ in queries]
    for series in reading.series:
        number = next((value for name, value in series.labels if name == label), "")
        if not number.isdecimal() or int(number) >= len(queries):
            return None
        found[int(number)].append(_without(series, label))
    readings = tuple(_lone(query, series) for query, series in zip(queries, found, strict=True))
    return None if None in readings else tuple(reading for reading in readings if reading is not None)


def _without(series: Series, label: str) -> Series:
    return Series(tuple(pair for pair in series.labels if pair[0] != label), series.value)


def _lone(query: str, series: list[Series]) -> Reading | None:
    if kind_of(query) is not Kind.SCALAR:
        return Reading(Shape.VECTOR, tuple(series))
    return Reading(Shape.SCALAR, tuple(series)) if len(series) == 1 else None
