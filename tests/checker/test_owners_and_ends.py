"""Owners that were replaced, told by what they write, and ends of runs that are not what was told: each is found."""

import pytest

from consumer.checker import Expectations, Record, Recording, Rule, Verdict, check
from tests.checker.spoiling import edited, found, headed, json_of, of, replaced

QUIET = Expectations(quiet=True)
STRANGER = "9-0"


def said(verdict: Verdict, rule: Rule) -> str:
    return "\n".join(one.sentence for one in verdict.violations if one.rule is rule)


def between(records: list[Record]) -> Record:
    """One of them with others of its partition before and after it."""
    partition = records[0].partition
    return [one for one in records if one.partition == partition][1]


def test_a_decision_of_an_owner_that_was_replaced_is_found(day: Recording) -> None:
    cycles = found(day, lambda one: one.topic == "decisions" and "cycle" in json_of(one)["cause"])
    decision = between(cycles)
    verdict = check(replaced(day, decision, edited(decision, "cause", "cycle", to=f"{STRANGER}#1")))
    assert f"of decisions/{decision.partition} wrote at" in said(verdict, Rule.FENCED)
    assert f"after {STRANGER} had taken over" in said(verdict, Rule.FENCED)


def test_a_command_for_a_request_is_its_owners_who_wrote_the_state_of_the_same_number(day: Recording) -> None:
    ups = found(day, lambda one: one.topic == "scale-commands" and "offset" in json_of(one)["cause"])
    command = ups[-1]
    (state, *_) = found(day, of("state", (command.key or b"").decode(), seq=json_of(command)["seq"]))
    verdict = check(replaced(day, state, headed(state, ce_id=f"{STRANGER}/1")))
    assert f"of scale-commands/{command.partition} wrote at" in said(verdict, Rule.FENCED)


@pytest.mark.parametrize(
    ("topic", "path", "sentence"),
    [
        ("state", ("target", "replicas"), "its state at"),
        ("state", ("target", "generation"), "its state at"),
        ("service-status", ("replicas",), "its status at"),
    ],
)
def test_a_state_or_a_status_that_shows_another_present_than_was_told_is_found(
    day: Recording, topic: str, path: tuple[str, ...], sentence: str
) -> None:
    last = found(day, of(topic))[-1]
    other = edited(last, *path, to=7)
    assert sentence in said(check(replaced(day, last, other), QUIET), Rule.SETTLED)
    # While things are on their way, it may be so.
    assert said(check(replaced(day, last, other)), Rule.SETTLED) == ""


def test_a_service_that_was_let_go_and_left_asleep_is_found(day: Recording) -> None:
    last = found(day, of("state"))[-1]
    ends = max(one.offset for one in day.records if (one.topic, one.partition) == ("state", last.partition))
    tombstone = last._replace(offset=ends + 1, value=None, headers=())
    forgotten = Recording((*day.records, tombstone), day.partitions)
    assert "its policy is gone, its last command is zero to 0" in said(check(forgotten, QUIET), Rule.SETTLED)
    # Somebody put it up again: then it is theirs.
    up = Expectations(quiet=True, actual={"shop/web": 1})
    assert "its policy is gone" not in said(check(forgotten, up), Rule.SETTLED)


@pytest.mark.parametrize("headers", [(), (("topic", b"elasti.hosts"), ("partition", b"x"), ("offset", b"1"))])
def test_a_dead_letter_that_does_not_say_what_it_is_about_is_for_nothing(
    day: Recording, headers: tuple[tuple[str, bytes], ...]
) -> None:
    letter = found(day, lambda one: one.topic == "dead-letter")[0]
    verdict = check(replaced(day, letter, letter._replace(headers=headers)), QUIET)
    assert "can not be read, and is not in the dead letters" in said(verdict, Rule.INPUTS)
