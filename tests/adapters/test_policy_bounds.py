"""Texts that nest or repeat themselves without measure are problems of their file, not the end of the process."""

import pytest

from consumer.adapters.policy_files.documents import read
from consumer.ports import Problem

_ALIASES = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 10)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("spec: " + "[" * 100_000 + "]" * 100_000, "nests more than 64 levels"),
        ("- " * 100_000 + "x", "nests more than 64 levels"),
        ("? " * 100_000 + "x", "nests more than 64 levels"),
        ("k0: &k0 [x]\n" + "".join(f"k{n}: &k{n} [*k{n - 1}]\n" for n in range(1, 100)), "nests more than 64 levels"),
        ("k0: &k0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + _ALIASES, "repeats itself"),
    ],
)
def test_what_nests_or_repeats_itself_without_measure_is_a_problem_with_its_line(text: str, why: str) -> None:
    problem = read("policies.yaml", text)
    assert isinstance(problem, Problem)
    assert problem.where.startswith("policies.yaml:")
    assert why in problem.message


def test_aliases_in_measure_are_read() -> None:
    text = "kind: ElastiService\nmetadata: &names {name: web, namespace: shop}\nspec: *names\n"
    reading = read("policies.yaml", text)
    assert not isinstance(reading, Problem)
    assert reading.documents[0].content["spec"] == {"name": "web", "namespace": "shop"}


def test_as_deep_as_allowed_is_read() -> None:
    assert not isinstance(read("policies.yaml", "kind: ConfigMap\ndata: " + "[" * 62 + "]" * 62), Problem)
    assert isinstance(read("policies.yaml", "kind: ConfigMap\ndata: " + "[" * 63 + "]" * 63), Problem)
