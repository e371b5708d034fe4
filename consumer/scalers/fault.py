"""Where a PromQL text stops making sense: the parser says what is wrong, people also want to know where.

The parser gives no positions. For what it names, the place is looked up; for its plain "invalid query", the
longest beginning that could still be completed is looked for, and the token behind it is the culprit.
"""

import re
from collections.abc import Sequence
from typing import Final

from consumer.scalers.promql import PromqlError, parse

_TOKEN = re.compile(
    r"""\#[^\n]*|`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[0-9][0-9a-zA-Z.]*|[a-zA-Z_:][a-zA-Z0-9_:]*
    |=~|!~|!=|==|<=|>=|[^\s]""",
    re.VERBOSE,
)
_NAMED = re.compile(r"(?:function|function with name|call to) '(\w+)'")
_CLOSERS: Final = {"(": ")", "{": "}", "[": "]"}
_TAILS: Final = {
    "": ("", " x", " (x)", " 5m", " (a) (x)", " 5"),
    "(": ("", " x", " (x)", " 5m", " 5", '"a"', " (a) (x)", "x)", ") (x"),
    "{": ("", 'a="b"', '="b"', '"b"'),
    "[": ("5m", "", ":", "m", "5m:"),
}
_SHOWN: Final = 24
_SYNTAX: Final = ("invalid promql query", "unexpected", "unclosed", "unterminated", "no expression", "missing", "bad")


def explained(query: str, problem: str) -> str:
    """Return the parser's message with line, column and the text at that place."""
    place = _place(query, problem)
    line = query.count("\n", 0, place) + 1
    column = place - (query.rfind("\n", 0, place) + 1) + 1
    rest = query[place:].split("\n", 1)[0].strip()
    near = f'at "{rest[:_SHOWN]}"' if rest else "at its end"
    return f"line {line}, column {column}: {problem.strip()}, {near}; correct the PromQL there"


def _place(query: str, problem: str) -> int:
    tokens = [token for token in _TOKEN.finditer(query) if not token[0].startswith("#")]
    if named := _NAMED.search(problem):
        return _start(tokens, named[1])
    if problem.startswith("unclosed"):
        return next((token.start() for token in reversed(_open(tokens)) if token[0] == "("), len(query))
    if problem.startswith("unterminated"):
        return next((token.start() for token in tokens if token[0] in {'"', "'", "`"}), len(query))
    for count in range(1, len(tokens) + 1):
        if _is_culprit(problem, _said(query, tokens[:count])):
            return tokens[count - 1].start()
    return len(query)


def _is_culprit(problem: str, said: set[str]) -> bool:
    """A token is where a broken form can not be completed any more, or where a wrong meaning first shows."""
    if problem.startswith(_SYNTAX):
        return all(message.startswith(_SYNTAX) for message in said)
    return problem in said


def _start(tokens: Sequence[re.Match[str]], text: str) -> int:
    return next((token.start() for token in tokens if token[0] == text), 0)


def _open(tokens: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """The brackets that nothing closes, outermost first."""
    found: list[re.Match[str]] = []
    for token in tokens:
        if token[0] in _CLOSERS:
            found.append(token)
        elif found and token[0] == _CLOSERS[found[-1][0]]:
            found.pop()
    return found


def _said(query: str, tokens: Sequence[re.Match[str]]) -> set[str]:
    """What the parser says to each completion of this beginning; "" where it has nothing to say."""
    beginning = query[: tokens[-1].end()]
    left_open = [token[0] for token in _open(tokens)]
    closing = "".join(_CLOSERS[bracket] for bracket in reversed(left_open))
    return {_problem(beginning + tail + closing) for tail in _TAILS[left_open[-1] if left_open else ""]}


def _problem(query: str) -> str:
    try:
        parse(query)
    except PromqlError as error:
        return str(error)
    return ""
