"""A decision of another version is held to what was decided and from what; one of this version to every byte."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.checker import Record, Recording, Rule, Verdict, check
from consumer.wire.program import PROGRAM
from schemas.cloudevents import PROGRAM as PROGRAM_HEADER
from schemas.cloudevents import header
from schemas.topics import Topic
from tests.checker.spoiling import Json, edited, found, headed, json_of, of, replaced

RELEASE = Path(__file__).parents[1] / "golden" / "release-0"
OTHER = "0.0.9+beefbeef"
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
Edit = Callable[[Record], Record]


def replays(verdict: Verdict) -> list[str]:
    return [one.sentence for one in verdict.violations if one.rule is Rule.REPLAYS]


def undated(record: Record) -> Record:
    """The decision of a release that did not say who it was yet."""
    return record._replace(headers=tuple((name, value) for name, value in record.headers if name != PROGRAM_HEADER))


def of_another(record: Record) -> Record:
    return headed(record, **{PROGRAM_HEADER: OTHER})


def reworded(record: Record) -> Record:
    """The decision with every sentence of it told otherwise, and with other facts."""
    for path in (("reason",), ("before", "said", "reason"), ("after", "said", "reason")):
        record = edited(record, *path, "message", to="in other words")
        record = edited(record, *path, "facts", to={"whatever": 1})
    return record


def zero_of(day: Recording) -> Record:
    """A zero before which something had been said: it tells three reasons."""
    zeros = found(day, of("decisions", action="zero"))
    return next(one for one in zeros if json_of(one)["before"]["said"])


def test_every_decision_says_which_program_made_it(day: Recording) -> None:
    told = {header(one.headers, PROGRAM_HEADER) for one in day.records if one.topic == Topic.DECISIONS}
    assert told == {PROGRAM.encode()}
    assert check(day).figures.reworded == 0


@pytest.mark.parametrize("elsewhere", [undated, of_another])
def test_how_another_version_told_its_reasons_is_no_violation(day: Recording, elsewhere: Edit) -> None:
    zero = zero_of(day)
    verdict = check(replaced(day, zero, elsewhere(reworded(zero))))
    assert replays(verdict) == []
    assert (verdict.figures.replayed, verdict.figures.reworded) == (verdict.figures.decisions, 1)


def test_the_command_of_another_versions_decision_may_tell_its_reason_otherwise(day: Recording) -> None:
    zero = zero_of(day)
    command = found(day, of("scale-commands", json_service(zero), id=json_of(zero)["commandId"]))[0]
    told = edited(edited(command, "reason", "message", to="in other words"), "reason", "facts", to={})
    old = replaced(replaced(day, zero, of_another(zero)), command, told)
    assert replays(check(old)) == []
    other = replaced(old, told, edited(told, "policy", "hash", to="another"))
    assert ["is not the one that its decision gives" in sentence for sentence in replays(check(other))] == [True]
    assert replays(check(replaced(day, command, told))), "of this version every byte counts"


def json_service(record: Record) -> str:
    return (record.key or b"").decode()


def test_what_this_version_says_is_held_to_the_byte(day: Recording) -> None:
    zero = zero_of(day)
    assert len(replays(check(replaced(day, zero, edited(zero, "reason", "message", to="in other words"))))) == 1


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("action",), "hold"),
        (("reason", "code"), "busy"),
        (("id",), "another"),
        (("commandId",), None),
        (("withheld",), True),
        (("cause",), {"cycle": "1:0#1"}),
        (("inputs", "requests"), 77),
        (("inputs", "replicas"), 77),
        (("inputs", "policyUid"), None),
        (("inputs", "path"), "direct"),
        (("before", "lastRequestAt"), "2020-01-01T00:00:00.000Z"),
        (("after", "seq"), 1),
        (("after", "ask"), None),
        (("after", "said", "action"), "hold"),
        (("after", "said", "reason", "code"), "busy"),
    ],
    ids=lambda part: ".".join(part) if isinstance(part, tuple) else None,
)
def test_anything_else_that_another_version_says_counts(day: Recording, path: tuple[str, ...], to: object) -> None:
    zero = zero_of(day)
    spoiled = of_another(reworded(edited(zero, *path, to=to)))
    sentences = replays(check(replaced(day, zero, spoiled)))
    assert sentences
    assert all(f"it was written by {OTHER}, this is {PROGRAM}" in sentence for sentence in sentences)


def without_field(record: Record, *path: str) -> Record:
    content: Json = json_of(record)
    inner = content
    for step in path[:-1]:
        inner = inner[step]
    shorter = {name: value for name, value in inner.items() if name != path[-1]}
    return edited(record, *path[:-1], to=shorter) if path[:-1] else record


def test_a_field_that_one_of_two_versions_does_not_write_is_no_violation(day: Recording) -> None:
    zero = of_another(zero_of(day))
    older = without_field(without_field(zero, "after", "contestedSince"), "inputs", "path")
    newer = edited(edited(older, "after", "mood", to="calm"), "season", to="autumn")
    assert replays(check(replaced(day, zero_of(day), newer))) == []


def test_what_release_0_decided_is_still_decided() -> None:
    """Its decisions do not say who made them, have sentences of their own, and lack what states have got since."""
    records = [
        Record(kind, 0, offset, MOMENT + timedelta(seconds=offset), None, line)
        for kind in ("decisions", "scale-commands")
        for offset, line in enumerate((RELEASE / f"{kind}.jsonl").read_bytes().splitlines())
    ]
    verdict = check(Recording(records, 1))
    assert replays(verdict) == []
    assert verdict.figures.decisions == verdict.figures.replayed == verdict.figures.reworded > 40
