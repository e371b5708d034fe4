"""The make-believe Prometheus evaluates what the demo's policies and the worker's batches are made of."""

import pytest

from consumer.demo.metrics import UnknownPromQLError, evaluate, sample

SAMPLES = (
    sample("up", 1, container="prometheus"),
    sample("rps", 2, service="web"),
    sample("rps", 3, service="cart"),
)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ('rps{service="web"}', [2]),
        ("sum(rps)", [5]),
        ("max(rps)", [3]),
        ('sum(rps{service="none"})', []),
        ('sum(rps{service="none"}) or vector(0)', [0]),
        ('sum(rps{service="web"}) or vector(0)', [2]),
        ('min_over_time((max(up{container="prometheus"}) or vector(0))[15s:])', [1]),
        ("last_over_time(rps[1d])", [2, 3]),
        ('label_replace((sum(rps)\n), "id", "1", "", "") or label_replace((vector(7)\n), "id", "2", "", "")', [5, 7]),
    ],
)
def test_known_queries_are_evaluated(query: str, values: list[float]) -> None:
    assert [found.value for found in evaluate(query, SAMPLES)] == values


def test_a_chunk_keeps_the_id_of_each_query() -> None:
    chunk = 'label_replace((vector(1)\n), "id", "a", "", "") or label_replace((vector(1)\n), "id", "b", "", "")'
    assert [dict(found.labels) for found in evaluate(chunk, ())] == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize("query", ["rate(rps[1m])", "sum by (service) (rps)", 'rps{service=~"w.*"}', "1 + 1"])
def test_what_it_does_not_know_is_refused_rather_than_guessed(query: str) -> None:
    with pytest.raises(UnknownPromQLError, match="the demo's Prometheus"):
        evaluate(query, SAMPLES)
