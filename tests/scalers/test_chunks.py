"""Many queries become one, and its answer becomes many again."""

from datetime import timedelta

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.readings import Question, Reading, Shape, Source
from consumer.scalers.chunks import LARGEST, Chunk, attribute, join, pack
from tests.scalers.bed import NOTHING, SOURCE, T0, World, one, scalar

OTHER = Source("http://other:9090")
TOLD = Source(SOURCE.server, (("Authorization", "a"),))


def test_queries_of_unlike_sources_or_headers_never_share_a_chunk() -> None:
    chunks = pack((Question(source, query), LARGEST) for source in (SOURCE, OTHER, TOLD) for query in ("a", "b"))
    assert [(chunk.source, chunk.queries) for chunk in chunks] == [
        (SOURCE, ("a", "b")),
        (OTHER, ("a", "b")),
        (TOLD, ("a", "b")),
    ]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (125, [125]), (126, [63, 63]), (250, [125, 125]), (251, [84, 84, 83])]
)
def test_chunks_are_full_but_even(count: int, sizes: list[int]) -> None:
    chunks = pack((Question(SOURCE, f"q{number}"), LARGEST) for number in range(count))
    assert [len(chunk.queries) for chunk in chunks] == sizes


def test_a_chunks_text_is_bounded_and_a_huge_query_travels_alone() -> None:
    huge = f'up{{a="{"x" * 120_000}"}}'
    long = [f'up{{a="{number}{"x" * 40_000}"}}' for number in range(4)]
    chunks = pack((Question(SOURCE, query), LARGEST) for query in (huge, *long))
    assert [len(chunk.queries) for chunk in chunks] == [1, 2, 2]


@pytest.mark.parametrize("query", ['"text"', "load[5m]", "load[5m:1m]", "sum(", "load #\r) or (load", "a) or (b"])
def test_what_can_not_be_joined_safely_is_asked_alone(query: str) -> None:
    chunks = pack((Question(SOURCE, each), LARGEST) for each in ("a", query, "b"))
    assert sorted(chunk.queries for chunk in chunks) == sorted([("a", "b"), (query,)])


def test_a_query_that_failed_before_travels_in_small_company() -> None:
    widths = {"a": 2, "b": 2, "c": 2, "d": 1}
    chunks = pack((Question(SOURCE, query), widths.get(query, LARGEST)) for query in "abcdef")
    assert sorted(chunk.queries for chunk in chunks) == [("a", "b"), ("c",), ("d",), ("e", "f")]


@given(st.integers(1, 300))
def test_the_parts_of_a_chunk_are_the_chunk(count: int) -> None:
    chunk = Chunk(SOURCE, tuple(f"q{number}" for number in range(count)))
    parts = chunk.parts()
    assert tuple(query for part in parts for query in part.queries) == chunk.queries
    assert all(len(part.queries) < count for part in parts) or count == 1


@given(st.lists(st.sampled_from(["a", "sum(a) # note", "1", "time()", "a or vector(0)"]), min_size=1, max_size=40))
def test_a_joined_query_is_a_vector_whatever_it_holds(queries: list[str]) -> None:
    tree = promql_parser.parse(join(queries).text)
    assert isinstance(tree, promql_parser.BinaryExpr | promql_parser.ParenExpr | promql_parser.Call)


def test_the_label_is_one_that_no_query_mentions() -> None:
    first = join(["a", "b"]).label
    # A query that mentions the label changes the text, and so the label.
    second = join(["a", f"sum by ({first}) (b)"]).label
    assert second != first
    assert second not in f"sum by ({first}) (b)"


async def test_what_comes_back_is_what_each_alone_would_have_given() -> None:
    world = World(
        {
            "a": one("1"),
            "b": one("2", pod="x"),
            "1": scalar("1"),
            "many": Reading(Shape.VECTOR, one("1", a="x").series * 2),
        }
    )
    queries = ("a", "b", "1", "none", "many")
    joined = join(queries)
    answer = await world.twin().ask(Question(SOURCE, joined.text), T0, timedelta(seconds=1))
    assert isinstance(answer, Reading)
    assert attribute(answer, queries, joined.label) == (
        *(world.results[query] for query in queries[:3]),
        NOTHING,
        world.results["many"],
    )


@pytest.mark.parametrize(
    "reading",
    [
        scalar("1"),
        one("1"),
        one("1", label="x"),
        one("1", label="-1"),
        one("1", label="2"),
        one("1", label="0"),
    ],
)
def test_an_answer_that_fits_no_query_is_not_believed(reading: Reading) -> None:
    # The second query is a scalar, so an answer to the first alone is not whole either.
    assert attribute(reading, ("a", "1"), "label") is None


def test_an_answer_without_the_first_queries_series_means_that_it_has_none() -> None:
    assert attribute(one("7", label="1"), ("a", "1"), "label") == (NOTHING, scalar("7"))
