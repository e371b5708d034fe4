"""What a query is, told without a server."""

import pytest

from consumer.scalers.fault import explained
from consumer.scalers.promql import Backed, Kind, PromqlError, backed, is_selector, kind_of, masked, parse


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("load", Kind.VECTOR),
        ("-load", Kind.VECTOR),
        ("sum(load) > bool 1", Kind.VECTOR),
        ("2 * load", Kind.VECTOR),
        ("vector(1)", Kind.VECTOR),
        ("(rate(load[5m]))", Kind.VECTOR),
        ("load{a=~`x\\d`}", Kind.VECTOR),
        ("load # it's a comment", Kind.VECTOR),
        ('load{a="# none"}', Kind.VECTOR),
        ('load{a=`x\n"y`}', Kind.VECTOR),
        ("1", Kind.SCALAR),
        ("-(1 + 2)", Kind.SCALAR),
        ("time()", Kind.SCALAR),
        ("scalar(load) * 2", Kind.SCALAR),
        ('"text"', Kind.OTHER),
        ("load[5m]", Kind.OTHER),
        ("load[5m:1m]", Kind.OTHER),
        ("load +", Kind.OTHER),
        ("load\r", Kind.OTHER),
        ("load\x00", Kind.OTHER),
    ],
)
def test_a_query_is_a_vector_a_scalar_or_asked_alone(query: str, kind: Kind) -> None:
    assert kind_of(query) is kind


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        ("sum(load)", ()),
        ("sum(load) or vector(0)", ("sum(load)",)),
        ("((sum(load)) or (vector((0))))", ("(sum(load))",)),
        ("load or on() vector(1)", ("load",)),
        ("vector(0) or load", ()),
        ("load or other", ()),
        ("load or vector(time())", ("load",)),
        ("load or vector(scalar(other))", ("load",)),
        ("sum(a or vector(0)) / sum(b or vector(1))", ("a", "b")),
        ("(a or vector(0)) + (a or vector(1))", ("a",)),
        ("a or b or vector(0)", ("a or b",)),
        ("max_over_time((a or vector(0))[5m:])", ("a",)),
        ('a{b=~"x\\\\d"} or vector(0) # note', ('a{b=~"x\\\\d"}',)),
    ],
)
def test_what_a_constant_would_hide_is_found_at_any_depth(query: str, metrics: tuple[str, ...]) -> None:
    assert masked(query) == metrics
    for metric in metrics:
        assert kind_of(metric) is Kind.VECTOR


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("sum(load) or vector(0)", Backed("sum(load)", 0.0)),
        ("((load) or (vector((-2.5)))) # note", Backed("(load)", -2.5)),
        ("a or b or vector(0x10)", Backed("a or b", 16.0)),
        ("load or on(pod) vector(0)", None),
        ("load or vector(time())", None),
        ("load and vector(0)", None),
        ("load or other", None),
        ("sum(load or vector(0))", None),
        ("load or vector(0) > 1", None),
        ("1", None),
    ],
)
def test_a_metric_with_a_constant_behind_it_is_taken_apart(query: str, found: Backed | None) -> None:
    assert backed(query) == found


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sum(rate(load[30s])", 'line 1, column 4: unclosed left parenthesis, at "(rate(load[30s])"'),
        ("sum(load))", "line 1, column 10: unexpected right parenthesis ')', at \")\""),
        ("load\n  + ", "line 2, column 5: invalid promql query, at its end"),
        ("sum(load) orr vector(0)", 'line 1, column 11: invalid promql query, at "orr vector(0)"'),
        ("rate(load)", "line 1, column 1: expected type matrix in call to function 'rate'"),
        ("1 + rat(load[5m])", "line 1, column 5: unknown function with name 'rat'"),
        ("sum(load)\n/ histogram_quantile(load)", "line 2, column 3: expected 2 argument(s)"),
        ('load{a="b" c="d"}', 'line 1, column 12: invalid promql query, at "c="d"}"'),
        ('load{a=~"("}', "line 1, column 9: illegal regex"),
        ("sum by (a b) (load)", 'line 1, column 11: invalid promql query, at "b) (load)"'),
        ("load[5mm]", 'line 1, column 6: bad number or duration syntax: 5mm, at "5mm]"'),
        ("load{a='b}", "line 1, column 8: unterminated quoted string"),
        ('load{a="b"', "line 1, column 11: unexpected end of input inside braces, at its end"),
        ("# all comment", "line 1, column 14: no expression found"),
        ("sum(load)[5m]", "line 1, column 10: ranges only allowed for vector selectors"),
        ("1 or vector(0)", "line 1, column 3: set operator 'or' not allowed"),
    ],
)
def test_a_wrong_query_is_explained_with_the_place_where_it_goes_wrong(query: str, told: str) -> None:
    with pytest.raises(PromqlError) as refused:
        parse(query)
    assert explained(query, str(refused.value)).startswith(told)


def test_a_problem_that_no_beginning_shows_is_placed_at_the_end() -> None:
    assert explained("load", "a problem of another kind").startswith("line 1, column 5: a problem of another kind, at")
    assert explained("load)", "unclosed left parenthesis").startswith("line 1, column 6")


@pytest.mark.parametrize(
    ("query", "plain"), [('up{a="b"}', True), ("up", True), ("sum(up)", False), ("up{", False), ("up[5m]", False)]
)
def test_a_plain_selector_is_told_from_everything_else(query: str, plain: bool) -> None:
    assert is_selector(query) is plain
