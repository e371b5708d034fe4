"""What a measuring server is asked and what it says: questions, readings and failures, before any judgement."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from consumer.core.answers import UnknownCause

CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""User and password in an address: whoever tells of the address hides them."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Where a value is kept that a policy names and does not hold; `prefix` goes before the value."""

    namespace: str
    name: str
    key: str
    prefix: str = ""

    def __str__(self) -> str:
        """Return `Secret namespace/name, key "key"`, as a message names it."""
        return f'Secret {self.namespace}/{self.name}, key "{self.key}"'


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust and who to be: a CA from a Secret or a file, a client certificate and its key from Secrets."""

    ca: SecretKey | None = None
    ca_file: str | None = None
    certificate: SecretKey | None = None
    key: SecretKey | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A server that measures, and the headers that it wants; their values are secrets and never shown.

    What is kept in Secrets is named only: it is read when the server is asked, and nobody else has it.
    """

    server: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers_from: tuple[tuple[str, SecretKey], ...] = ()
    tls: Tls | None = None

    def __str__(self) -> str:
        """Return the address as it may be told."""
        return CREDENTIALS_IN_URL.sub("********", self.server)

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
