"""What a PromQL text is, without asking a server: a vector, a scalar or something else, and what it masks."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import promql_parser as parser

_REMEMBERED = 32_768
# A sweep must not parse ten thousand unchanged queries again: 40 µs each is more than the rest of it costs.
_TOKENS = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<raw>`[^`]*`)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.VERBOSE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Kind(Enum):
    """How a query can be asked together with others; OTHER: only alone."""

    VECTOR = auto()
    SCALAR = auto()
    OTHER = auto()


class PromqlError(ValueError):
    """The text is not PromQL; the message is the parser's."""


def parse(query: str) -> parser.Expr:
    """Return the tree of a query; raises PromqlError."""
    try:
        return parser.parse(_plain(query))
    except ValueError as error:
        raise PromqlError(str(error)) from error


@lru_cache(_REMEMBERED)
def kind_of(query: str) -> Kind:
    """Tell how a query can be joined with others.

    Where the local parser and the server could disagree about what is text and what is comment, the query
    could reach out of its parentheses: only the server's own rule for comments (up to a line feed) is safe.
    """
    if _CONTROL.search(query):
        return Kind.OTHER
    try:
        return _kind(parse(query))
    except PromqlError:
        return Kind.OTHER


@lru_cache(_REMEMBERED)
def masked(query: str) -> tuple[str, ...]:
    """Return each X of an `X or vector(c)` anywhere in the query: what vanishes behind a constant."""
    found: list[str] = []

    def visit(node: parser.Expr) -> None:
        if isinstance(node, parser.BinaryExpr) and str(node.op) == "or" and _is_constant(node.rhs):
            found.append(node.lhs.prettify())

    parser.walk(parse(query), visit)
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Backed:
    """A query of the form `metric or vector(constant)`: what it says without the metric is known beforehand."""

    metric: str
    constant: float


def backed(query: str) -> Backed | None:
    """Take such a query apart; None for every other one, and for one that matches by certain labels only."""
    node = _bare(parse(query))
    if not isinstance(node, parser.BinaryExpr) or str(node.op) != "or":
        return None
    call = _bare(node.rhs)
    plain = node.modifier is None or node.modifier.matching is None
    if not (plain and isinstance(call, parser.Call) and call.func.name == "vector"):
        return None
    value = _bare(call.args[0])
    if not isinstance(value, parser.NumberLiteral):
        return None
    # The parser's own spelling of the metric, which a live test holds against the server's reading of the original.
    return Backed(node.lhs.prettify(), value.val)


def _bare(node: parser.Expr) -> parser.Expr:
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    return node


def _kind(node: parser.Expr) -> Kind:
    match node:
        case parser.ParenExpr() | parser.UnaryExpr():
            return _kind(node.expr)
        case parser.NumberLiteral():
            return Kind.SCALAR
        case parser.VectorSelector() | parser.AggregateExpr():
            return Kind.VECTOR
        case parser.BinaryExpr():
            return Kind.SCALAR if _kind(node.lhs) is _kind(node.rhs) is Kind.SCALAR else Kind.VECTOR
        case parser.Call():
            return _RETURNED.get(str(node.func.return_type), Kind.OTHER)
        case _:
            return Kind.OTHER


_RETURNED = {"ValueType.Vector": Kind.VECTOR, "ValueType.Scalar": Kind.SCALAR}


def _is_constant(node: parser.Expr) -> bool:
    call = _bare(node)
    return isinstance(call, parser.Call) and call.func.name == "vector"


def _plain(query: str) -> str:
    """Comments become blanks and raw strings quoted ones, which the local parser reads differently from Prometheus."""
    return _TOKENS.sub(_plain_token, query)


def _plain_token(token: re.Match[str]) -> str:
    if token["comment"]:
        return " "
    if token["raw"]:
        return '"' + token["raw"][1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return token[0]


def is_selector(query: str) -> bool:
    """Tell whether the query is one plain instant selector and nothing else."""
    try:
        return isinstance(parse(query), parser.VectorSelector)
    except PromqlError:
        return False
