"""What a measuring server is asked and what it says: questions, readings and failures, before any judgement."""

from dataclasses import dataclass, field
from enum import StrEnum

from consumer.core.answers import UnknownCause


@dataclass(frozen=True, slots=True)
class Source:
    """A server that measures, and the headers that it wants; their values are secrets and never shown."""

    server: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __hash__(self) -> int:
        """Few sources share a server; hashing its name alone keeps look-ups cheap."""
        return hash(self.server)


@dataclass(frozen=True, slots=True)
class Question:
    """One PromQL query for one source; equal questions have equal answers at one time."""

    source: Source
    query: str

    def __hash__(self) -> int:
        """A text remembers its hash: 10,000 services look up 80,000 questions in each sweep."""
        return hash(self.query)


class Shape(StrEnum):
    """What kind of result a query gave; only the first two can hold a single number."""

    VECTOR = "vector"
    SCALAR = "scalar"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Series:
    """One element of a result: its labels by name, and its value as the server wrote it (None: a histogram)."""

    labels: tuple[tuple[str, str], ...]
    value: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A result as it was measured; `partial` holds the server's warnings that data is missing from it."""

    shape: Shape
    series: tuple[Series, ...]
    partial: tuple[str, ...] = ()


class Blame(StrEnum):
    """Whose fault a failure is, as far as the failure tells: asking again in smaller parts helps, or not."""

    QUERY = "query"
    SERVER = "server"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Failure:
    """No result: why, whose fault that is, and what the server said; never a header's value."""

    cause: UnknownCause
    blame: Blame
    detail: str
