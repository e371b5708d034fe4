"""The demo's scenario: every policy is valid in every part, and its traffic is what it says."""

from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.policy_files import PolicyFiles
from consumer.demo.metrics import evaluate, sample
from consumer.demo.scenario import ACTORS, SILENCE, Actor, Traffic, policy_of
from consumer.scalers.contract import Defaults
from consumer.scalers.registry import Registry

SECOND = timedelta(seconds=1)


async def test_every_policy_is_valid_for_reader_and_scalers(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text("---\n".join(policy_of(actor, prometheus="http://127.0.0.1:9090") for actor in ACTORS))
    files = PolicyFiles((path,), Registry(Defaults()).check)
    await files.read()
    assert files.problems() == ()
    read = {key: entry.policy for key, entry in files.entries().items()}
    assert {key: policy.cooldown for key, policy in read.items() if policy} == {
        actor.key: actor.cooldown for actor in ACTORS
    }
    assert {key: policy.target for key, policy in read.items() if policy} == {
        actor.key: actor.target for actor in ACTORS
    }


def test_a_dozen_services_play() -> None:
    assert len({actor.key for actor in ACTORS}) == 12


@pytest.mark.parametrize("actor", [actor for actor in ACTORS if actor.measured], ids=lambda actor: str(actor.key))
def test_the_make_believe_prometheus_answers_the_queries_of_the_scenario(actor: Actor) -> None:
    key = actor.key
    query = f'sum(http_requests_per_second{{namespace="{key.namespace}",service="{key.name}"}}) or vector(0)'
    assert query.removesuffix(" or vector(0)") in policy_of(actor, prometheus="http://p").replace("\n", "")
    load = sample("http_requests_per_second", 3, namespace=key.namespace, service=key.name)
    assert [one.value for one in evaluate(query, [load])] == [3]
    assert [one.value for one in evaluate(query, [])] == [0]


@pytest.mark.parametrize(
    ("second", "requests"),
    [(9, 0), (10, 2), (12, 2), (13, 0), (29, 0), (30, 2), (32, 2), (33, 0)],
)
def test_traffic_comes_in_bursts(second: int, requests: int) -> None:
    # Three seconds of every twenty, from the tenth on.
    traffic = Traffic(first=10 * SECOND, length=3 * SECOND, every=20 * SECOND, rate=2)
    assert traffic.at(second * SECOND) == requests


def test_silence_is_silent() -> None:
    assert {SILENCE.at(hour * timedelta(hours=1)) for hour in range(100)} == {0}
