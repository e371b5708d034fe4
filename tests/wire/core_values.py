"""Arbitrary values of the core, built from its own types, so that a new field is covered the day it appears."""

from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from consumer.core.policy import Trigger
from consumer.core.reasons import Code, Reason
from consumer.core.schedule import EnabledPeriod, Schedule, parse_schedule
from consumer.core.service import ServiceKey
from consumer.core.window import Window

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
NATURALS = st.integers(0, 2**53)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, fold=0)
)
SPANS = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))
FACTS = TEXTS | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda pairs: tuple(pairs.items()))

_KNOWN: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: NATURALS,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: MOMENTS,
    timedelta: SPANS,
    type(None): st.none(),
    ServiceKey: st.builds(ServiceKey, LABELS, LABELS),
    Reason: st.builds(
        Reason,
        st.sampled_from(Code),
        st.dictionaries(TEXTS, FACTS, max_size=3).map(lambda facts: tuple(facts.items())),
    ),
    # Headers come back with their names alone, so these begin with nothing to lose.
    Trigger: st.builds(
        Trigger, TEXTS, PAIRS, st.lists(TEXTS, max_size=2).map(lambda names: tuple((name, "") for name in names))
    ),
    Schedule: st.sampled_from(["0 0 * * *", "*/15 8-17 * * 1-5", "TZ=Europe/Berlin 0 9 1 * MON"]).map(parse_schedule),
    Window: st.builds(
        Window,
        length=SPANS,
        since=st.none() | MOMENTS,
        buckets=st.lists(st.tuples(NATURALS, NATURALS), max_size=3).map(tuple),
    ),
}
_KNOWN[EnabledPeriod] = st.builds(EnabledPeriod, _KNOWN[Schedule], SPANS)


def values(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type as typing spells it
    """Return values of a type of the core."""
    if hint in _KNOWN:
        return _KNOWN[hint]
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([values(member) for member in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    if is_dataclass(hint):
        return built(hint)
    msg = f"no strategy for {hint}; add one to core_values"
    raise TypeError(msg)


def built(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a dataclass
    """Return values of a dataclass, now and then with a field left at its default."""
    hints = get_type_hints(kind)
    return st.builds(
        kind,
        **{
            field.name: values(hints[field.name])
            if field.default is MISSING
            else st.just(field.default) | values(hints[field.name])
            for field in fields(kind)
        },
    )
