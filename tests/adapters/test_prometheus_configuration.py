"""How often a server evaluates is read out of its configuration, or not known."""

import socket
from datetime import timedelta

import pytest

from consumer.adapters.prometheus.configuration import evaluation_interval, interval_in


def answer(text: str) -> object:
    return {"status": "success", "data": {"yaml": text}}


def test_the_interval_is_what_the_configuration_says() -> None:
    assert interval_in(answer("global:\n  scrape_interval: 15s\n  evaluation_interval: 1m\n")) == timedelta(minutes=1)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"status": "error"},
        answer("global: {}"),
        answer("global: [1"),
        answer("global: {evaluation_interval: often}"),
        answer("- 1"),
    ],
)
def test_what_says_nothing_of_it_is_not_known(told: object) -> None:
    assert interval_in(told) is None


async def test_a_server_that_is_away_is_not_known() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{held.getsockname()[1]}"
        assert await evaluation_interval(server, {}, timedelta(seconds=5)) is None
