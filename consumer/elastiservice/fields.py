"""The fields of a resource, read one by one; each fault is noted with its path and what to write instead."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar

import orjson

from consumer.core.schedule import parse_go_duration
from consumer.ports import Problem
from schemas.message import LABEL_PATTERN, MAX_LABEL, utc_milliseconds

FieldPath = tuple[str | int, ...]
Locator = Callable[[FieldPath], str]
"""Says where a field is, as in `policies/shop.yaml:12`."""

E = TypeVar("E", bound=StrEnum)

_LONGEST = 1_000
"""Characters of a message: it repeats what somebody wrote, goes into a status and is logged."""
_AS_JSON = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class Form:
    """A text's permitted form, and how it is described to a person."""

    pattern: re.Pattern[str]
    longest: int
    write: str

    def fits(self, text: str) -> bool:
        """Tell whether a text has this form."""
        return len(text) <= self.longest and self.pattern.fullmatch(text) is not None


LABEL: Final = Form(
    re.compile(LABEL_PATTERN), MAX_LABEL, "a name of at most 63 lower-case letters, digits and inner hyphens, like web"
)
SUBDOMAIN: Final = Form(
    re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"),
    253,
    "a name of at most 253 lower-case letters, digits, inner hyphens and dots, like web",
)
GROUP_VERSION: Final = Form(
    re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+[a-z0-9]*"), 253, "group/version, like apps/v1"
)
KIND_FORM: Final = Form(
    re.compile(r"[A-Z][A-Za-z0-9]*"), 63, "a kind in singular, like Deployment, StatefulSet or Rollout"
)
WORD: Final = Form(re.compile(r"\S+"), 253, "a word")


@dataclass(frozen=True, slots=True)
class Report:
    """Where problems go."""

    where: str | Locator
    problems: list[Problem]

    def add(self, path: FieldPath, message: str) -> None:
        """Note one problem."""
        where = self.where if isinstance(self.where, str) else self.where(path)
        self.problems.append(Problem(where, field_name(path), message[:_LONGEST]))


@dataclass(frozen=True, slots=True)
class Node:
    """One object inside the resource; reads its fields and reports what is wrong with them."""

    content: Mapping[str, object]
    path: FieldPath
    report: Report

    def wrong(self, name: str, message: str) -> None:
        """Report a field of this object."""
        self.report.add((*self.path, name), message)

    def suspect(self, known: Sequence[str]) -> None:
        """Report a field that looks like a slip of the pen; what is merely unknown is left to newer versions."""
        for name in self.content:
            if name not in known and (meant := get_close_matches(name, known, n=1, cutoff=0.8)):
                self.wrong(name, f'is not a field; write "{meant[0]}"')

    def text(self, name: str) -> str | None:
        """Return a text, None when it is absent."""
        value = self.content.get(name)
        if value is None or isinstance(value, str):
            return value
        self.wrong(name, f"must be text, got {shown(value)}; put it in quotes")
        return None

    def required(self, name: str, form: Form) -> str:
        """Return a text of that form; "" after reporting that it is missing or wrong."""
        if name not in self.content or self.content[name] in (None, ""):
            self.wrong(name, f"is missing; write {form.write}")
            return ""
        value = self.text(name)
        if value is not None and not form.fits(value):
            self.wrong(name, f"can not be {shown(value)}; write {form.write}")
        return value or ""

    def whole(self, name: str, *, least: int, most: int, usual: int) -> int | None:
        """Return a whole number within the bounds, None when it is absent."""
        value = self.content.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(name, f"must be a whole number from {least} to {most}, got {shown(value)}; write {usual}")
            return None
        return value

    def choice(self, name: str, options: type[E], default: E) -> E:
        """Return one of a closed set of words."""
        value = self.content.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value in tuple(options):
            return options(value)
        self.wrong(name, f"can not be {shown(value)}; write {' or '.join(options)}")
        return default

    def duration(self, name: str, default: timedelta) -> timedelta:
        """Return a Go duration above zero."""
        value = self.text(name)
        if value is None:
            return default
        try:
            length = parse_go_duration(value)
        except ValueError as error:
            self.wrong(name, str(error))
            return default
        if length <= timedelta():
            self.wrong(name, f'must be above zero, got {shown(value)}; write a duration like "60s"')
        return length

    def moment(self, name: str) -> datetime | None:
        """Return a time in UTC and whole milliseconds, None when it is absent."""
        value = self.content.get(name)
        if value is None:
            return None
        try:
            return utc_milliseconds(value if isinstance(value, datetime) else datetime.fromisoformat(str(value)))
        except ValueError:
            self.wrong(name, f'can not be {shown(value)}; write UTC, like "2026-01-31T09:30:00Z"')
            return None

    def child(self, name: str) -> "Node":
        """Return an object; an empty one when it is absent or none."""
        value = self.content.get(name)
        if not isinstance(value, Mapping):
            if value is not None:
                self.wrong(name, f"must be an object with fields, got {shown(value)}; write its fields below it")
            value = {}
        return Node(value, (*self.path, name), self.report)

    def items(self, name: str) -> "Sequence[Node]":
        """Return the objects of a list; none when it is absent."""
        value = self.content.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self.wrong(name, f'must be a list of objects, got {shown(value)}; begin each with "- "')
            return ()
        return [Node(item, (*self.path, name, index), self.report) for index, item in enumerate(value)]


def field_name(path: FieldPath) -> str:
    """Write a path the way people do: `spec.triggers[0].metadata.threshold`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def plain(value: object) -> str:
    """Return a metadata value as text: 0.5 and "0.5" mean the same; what is nested becomes JSON."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return to_json(value).decode()


def to_json(value: object) -> bytes:
    """Write any value as JSON, its names in order; what JSON does not know as text."""
    try:
        # Copied, since it is kept: orjson leaves 4 KB of buffer behind its bytes, 80 MB for 10,000 resources.
        return bytes(memoryview(orjson.dumps(value, option=_AS_JSON, default=str)))
    except orjson.JSONEncodeError:
        # Numbers beyond 64 bits and halves of surrogate pairs: nobody means them, but any file can hold them.
        return json.dumps(value, default=str).encode()


def shown(value: object) -> str:
    """Write a value for a message."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what fits a line of a terminal
