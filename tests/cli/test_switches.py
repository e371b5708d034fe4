"""freeze, unfreeze, mode and switches: in both places, in one, in none; never one switch instead of another."""

import json
from datetime import timedelta

import pytest

from consumer.app.places import UnnamedError
from consumer.core.control import ControlKind
from consumer.core.service import Mode, ServiceKey
from consumer.ports import LogError, TargetBusyError
from schemas.topics import Topic
from tests.cli.conftest import Elasti
from tests.cli.installation import T0, Installation

WEB, TILL = ServiceKey("shop", "web"), ServiceKey("bank", "till")


@pytest.fixture
def here() -> Installation:
    return Installation()


def test_a_freeze_is_written_to_both_places(elasti: Elasti, here: Installation) -> None:
    said = elasti("freeze", "--why", "sale", "--by", "maria", "--for", "2h", places=here)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "sleeps of * are frozen until 2026-01-31T14:00:00.000Z; wakes go on",
        "  written to topic elasti.control",
        "  written to ConfigMap elasti/elasti-switches",
    ]
    (kept,) = here.switches.content()
    assert (kept.key_pattern, kept.kind, kept.by, kept.why) == ("*", ControlKind.FREEZE, "maria", "sale")
    assert here.book().freezes["*"] == kept
    assert here.book().frozen(TILL, T0 + timedelta(hours=2) - timedelta(milliseconds=1))
    assert here.book().frozen(TILL, T0 + timedelta(hours=2)) is None


@pytest.mark.parametrize(
    ("words", "scope"),
    [((), "*"), (("-n", "shop"), "shop/*"), (("--namespace", "shop"), "shop/*"), (("shop/web",), "shop/web")],
)
def test_what_is_frozen_is_what_was_named(
    elasti: Elasti, here: Installation, words: tuple[str, ...], scope: str
) -> None:
    assert elasti("freeze", *words, "--why", "sale", places=here).code == 0
    assert list(here.book().freezes) == [scope]
    assert [each.key_pattern for each in here.switches.content()] == [scope]


@pytest.mark.parametrize(
    "words",
    [
        ("web",),
        ("-n", "Shop"),
        ("-n", "*"),
        ("shop/web", "-n", "shop"),
        ("shop/*",),
        ("--for", "0s"),
        ("--until", "soon"),
    ],
)
def test_what_can_not_be_meant_is_refused_and_nothing_is_written(
    elasti: Elasti, here: Installation, words: tuple[str, ...]
) -> None:
    said = elasti("freeze", *words, "--why", "sale", places=here)
    assert (said.code, said.out) == (2, "")
    assert here.records(Topic.CONTROL) == []
    assert here.switches.content() == ()


def test_a_freeze_that_would_be_over_already_is_refused(elasti: Elasti, here: Installation) -> None:
    said = elasti("freeze", "--why", "sale", "--until", "2026-01-31T12:00:00Z", places=here)
    assert said.code == 2
    assert "over already" in said.err


def test_without_a_reason_nothing_is_frozen(elasti: Elasti, here: Installation) -> None:
    said = elasti("freeze", places=here)
    assert said.code == 2
    assert "--why" in said.err


def test_a_freeze_with_kafka_away_is_in_the_cluster(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka at k:9092 is away")
    said = elasti("freeze", "--why", "sale", places=here)
    assert said.code == 0
    assert "  written to ConfigMap elasti/elasti-switches" in said.out
    assert "NOT written to topic elasti.control: Kafka at k:9092 is away" in said.err
    assert len(here.switches.content()) == 1


def test_a_freeze_with_the_cluster_away_is_in_the_log(elasti: Elasti, here: Installation) -> None:
    here.cluster_trouble = TargetBusyError("the API broke off")
    said = elasti("freeze", "--why", "sale", places=here)
    assert said.code == 0
    assert "NOT written to ConfigMap elasti/elasti-switches: the API broke off" in said.err
    assert here.book().frozen(WEB, T0)


def test_a_place_that_nobody_named_is_no_alarm(elasti: Elasti, here: Installation) -> None:
    here.cluster_trouble = UnnamedError("no cluster is named")
    said = elasti("freeze", "--why", "sale", places=here)
    assert said.code == 0
    assert "  not written to ConfigMap elasti/elasti-switches: no cluster is named" in said.err
    assert "say it again" not in said.err


def test_a_freeze_that_nobody_took_is_a_failure(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka is away")
    here.cluster_trouble = TargetBusyError("the API broke off")
    said = elasti("freeze", "--why", "sale", places=here)
    assert (said.code, said.out) == (3, "")
    assert "nothing was changed" in said.err
    assert "Kafka is away" in said.err
    assert "the API broke off" in said.err


def test_a_freeze_leaves_the_mode_of_its_scope_as_it_was(elasti: Elasti, here: Installation) -> None:
    assert elasti("mode", "observe", "-n", "shop", "--why", "first week", places=here).code == 0
    assert elasti("freeze", "-n", "shop", "--why", "sale", places=here).code == 0
    assert elasti("unfreeze", "-n", "shop", "--why", "over", places=here).code == 0
    book = here.book()
    assert book.mode(WEB, T0) is Mode.OBSERVE
    assert book.frozen(WEB, T0) is None
    assert {each.kind for each in here.switches.content()} == {ControlKind.MODE, ControlKind.UNFREEZE}


def test_unfreezing_a_service_leaves_the_freeze_of_its_namespace(elasti: Elasti, here: Installation) -> None:
    elasti("freeze", "-n", "shop", "--why", "sale", places=here)
    elasti("unfreeze", "shop/web", "--why", "over", places=here)
    assert here.book().frozen(WEB, T0)


def test_nothing_switched_is_said(elasti: Elasti, here: Installation) -> None:
    said = elasti("switches", places=here)
    assert (said.code, said.out, said.err) == (0, "nothing is frozen or switched\n", "")


def test_what_is_switched_is_told_with_who_why_and_until_when(elasti: Elasti, here: Installation) -> None:
    elasti("freeze", "--why", "sale", "--by", "maria", "--for", "2h", places=here)
    elasti("mode", "wake-only", "shop/web", "--why", "trial", "--by", "tom", places=here)
    elasti("freeze", "-n", "bank", "--why", "audit", "--by", "tom", places=here)
    elasti("unfreeze", "-n", "bank", "--why", "over", places=here)
    said = elasti("switches", places=here)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "*                        frozen: no sleeps",
        "  since 2026-01-31T12:00:00.000Z, until 2026-01-31T14:00:00.000Z",
        "  by maria: sale",
        "shop/web                 mode wake-only",
        "  since 2026-01-31T12:00:00.000Z, until somebody ends it",
        "  by tom: trial",
    ]


def test_a_switch_that_only_one_place_knows_is_pointed_at(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka is away")
    elasti("freeze", "--why", "sale", places=here)
    here.log_trouble = None
    said = elasti("switches", places=here)
    assert "written only to ConfigMap elasti/elasti-switches" in said.out


def test_a_switch_that_ended_by_itself_is_not_shown(elasti: Elasti, here: Installation) -> None:
    elasti("freeze", "--why", "sale", "--for", "2h", places=here)
    here.clock.advance(timedelta(hours=2))
    assert elasti("switches", places=here).out == "nothing is frozen or switched\n"


def test_switches_as_json_with_one_place_away(elasti: Elasti, here: Installation) -> None:
    elasti("freeze", "--why", "sale", "--by", "maria", places=here)
    here.log_trouble = LogError("Kafka is away")
    said = elasti("switches", "--json", places=here)
    assert said.code == 0
    told = json.loads(said.out)
    assert told["unreadable"] == {"topic elasti.control": "Kafka is away"}
    (switch,) = told["switches"]
    assert (switch["scope"], switch["kind"], switch["by"], switch["until"]) == ("*", "freeze", "maria", None)
    assert switch["writtenTo"] == ["ConfigMap elasti/elasti-switches"]


def test_switches_that_can_not_be_read_anywhere_are_a_failure(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = LogError("Kafka is away")
    here.cluster_trouble = UnnamedError("no cluster is named")
    said = elasti("switches", places=here)
    assert (said.code, said.out) == (3, "")
