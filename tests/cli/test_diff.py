"""`elasti diff`: the figures before somebody says `full`."""

import json
from datetime import timedelta

import pytest

from consumer.ports import LogError
from schemas.decision import Action, Decision
from schemas.topics import Topic
from tests.cli.conftest import Elasti
from tests.cli.installation import T0, Installation

EXAMPLE = Decision.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
KAFKA = ("--kafka-bootstrap", "k:9092")


@pytest.fixture
def here() -> Installation:
    return Installation()


def decided(here: Installation, name: str, action: Action, ago: timedelta) -> None:
    """The worker decided something that the mode withheld."""
    read = Decision.model_validate(EXAMPLE)
    reason = read.reason.model_copy(update={"facts": {"cooldown": "15m00s"}})
    inputs = read.inputs.model_copy(update={"replicas": 2})
    changes = {"service": name, "action": action, "now": T0 - ago, "withheld": True, "reason": reason, "inputs": inputs}
    value = read.model_copy(update={**changes, "command_id": None}).encode()
    here.write(Topic.DECISIONS, f"shop/{name}", value, partition=1)


def test_the_figures_of_each_service_and_of_all(elasti: Elasti, here: Installation) -> None:
    decided(here, "web", Action.ZERO, timedelta(hours=10))
    decided(here, "web", Action.UP, timedelta(hours=4))
    decided(here, "cart", Action.ZERO, timedelta(minutes=40))
    decided(here, "cart", Action.UP, timedelta(minutes=30))
    said = elasti("diff", *KAFKA, places=here)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "                             --- would have ---------------  --- in truth -------",
        "service                      slept  woken  false   saved  slept  woken  others",
        "shop/cart                        1      1      1    0.3h      0      0  0",
        "shop/web                         1      1      0   12.0h      0      0  0",
        "",
        "In the last 24h00m00s: 2 sleeps withheld, 1 of 2 false;",
        "they would have saved 12.3 replica hours.",
        "  shop/cart: 1 of 1 came too early; raise its cooldownPeriod",
    ]


def test_one_right_sleep_is_no_percentage(elasti: Elasti, here: Installation) -> None:
    decided(here, "web", Action.ZERO, timedelta(hours=1))
    said = elasti("diff", *KAFKA, places=here)
    assert "1 sleep withheld, 0 of 1 false;\nit would have saved 2.0 replica hours.\n" in said.out
    assert "%" not in said.out


@pytest.mark.parametrize(
    ("sleeps", "told"),
    [(19, "19 sleeps withheld, 1 of 19 false;"), (20, "20 sleeps withheld, 1 of 20 false (95.0% of 20 right);")],
)
def test_of_enough_sleeps_the_share_is_told_with_what_it_is_a_share_of(
    elasti: Elasti, here: Installation, sleeps: int, told: str
) -> None:
    for hour in range(1, sleeps + 1):
        decided(here, "web", Action.ZERO, timedelta(hours=hour))
        short = timedelta(minutes=5) if hour == sleeps else timedelta(minutes=30)
        decided(here, "web", Action.UP, timedelta(hours=hour) - short)
    assert told in elasti("diff", *KAFKA, places=here).out


def test_one_false_sleep_of_many_is_never_rounded_away(elasti: Elasti, here: Installation) -> None:
    for number in range(2001):
        decided(here, f"web-{number}", Action.ZERO, timedelta(hours=2))
        if not number:
            decided(here, "web-0", Action.UP, timedelta(hours=2) - timedelta(minutes=1))
    assert "2001 sleeps withheld, 1 of 2001 false (99.9% of 2001 right);" in elasti("diff", *KAFKA, places=here).out


def test_the_same_as_json_for_a_shorter_time(elasti: Elasti, here: Installation) -> None:
    decided(here, "web", Action.ZERO, timedelta(hours=10))
    said = elasti("diff", *KAFKA, "--since", "2h", "--json", places=here)
    assert said.code == 0
    told = json.loads(said.out)
    assert (told["since"], told["until"]) == ("2026-01-31T10:00:00.000Z", "2026-01-31T12:00:00.000Z")
    (web,) = told["services"]
    assert (web["service"], web["wouldHaveSlept"], web["hoursAtZero"]) == ("shop/web", 0, 2.0)
    assert web["replicaHoursSaved"] == 4.0


def test_another_namespace_is_left_out(elasti: Elasti, here: Installation) -> None:
    decided(here, "web", Action.ZERO, timedelta(hours=10))
    assert elasti("diff", *KAFKA, "-n", "shop", places=here).code == 0
    said = elasti("diff", *KAFKA, "-n", "bank", places=here)
    assert said.code == 1
    assert "nothing was decided" in said.out


def test_a_log_that_is_away_is_a_failure(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka is away")
    said = elasti("diff", *KAFKA, places=here)
    assert (said.code, said.out) == (3, "")


def test_without_a_log_its_setting_is_named(elasti: Elasti, here: Installation) -> None:
    said = elasti("diff", places=here)
    assert said.code == 2
    assert "ELASTI_KAFKA_BOOTSTRAP" in said.err
