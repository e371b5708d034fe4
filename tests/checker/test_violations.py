"""Every rule, broken by hand in a run that keeps all of them: the checker names it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumer.checker import Expectations, Outage, Record, Recording, Rule, Verdict, check
from tests.checker.runs import MINUTE, SECOND
from tests.checker.spoiling import also, edited, found, headed, json_of, of, replaced, without

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def rules(verdict: Verdict) -> set[Rule]:
    return {violation.rule for violation in verdict.violations}


def said(verdict: Verdict, rule: Rule) -> str:
    return "\n".join(violation.sentence for violation in verdict.violations if violation.rule is rule)


def test_a_run_of_the_real_worker_and_handler_violates_nothing(day: Recording, quiet: Expectations) -> None:
    verdict = check(day, quiet)
    assert verdict.violations == ()
    figures = verdict.figures
    assert (figures.sleeps, figures.wakes, figures.requests, figures.services) == (7, 3, 20, 4)
    assert figures.decisions == figures.replayed > 20
    assert figures.delay(1.0) == 5 * SECOND
    assert not figures.unjudged


def test_topics_may_come_in_any_order(day: Recording, quiet: Expectations) -> None:
    backwards = sorted(day.records, key=lambda record: record.topic, reverse=True)
    assert check(Recording(backwards, day.partitions), quiet).violations == ()


def test_the_number_of_partitions_is_found_out(day: Recording, quiet: Expectations) -> None:
    assert check(Recording(day.records), quiet).violations == ()


# Rule 1


def _woken(day: Recording) -> tuple[Record, Record]:
    """The first request for web, and the result of its wake."""
    request = found(day, of("request-counts"))[0]
    return request, next(one for one in found(day, of("scale-results", phase="accepted", replicas=1)))


def test_a_request_whose_wake_was_never_accepted_is_found(day: Recording) -> None:
    request, woken = _woken(day)
    lost = without(day, lambda one: of("scale-results")(one) and one.offset >= woken.offset)
    verdict = check(lost)
    assert Rule.WAKES in rules(verdict)
    assert f"request-counts/{request.partition}@{request.offset} found it at zero" in said(verdict, Rule.WAKES)


def test_a_wake_that_took_too_long_is_found_to_the_millisecond(day: Recording) -> None:
    request, woken = _woken(day)
    limit = woken.time - request.time
    assert check(day, Expectations(wake_within=limit)).violations == ()
    assert rules(check(day, Expectations(wake_within=limit - timedelta(milliseconds=1)))) == {Rule.WAKES}


def test_time_in_an_outage_does_not_count(day: Recording) -> None:
    request, woken = _woken(day)
    outage = Outage(request.time, woken.time)

    def first(verdict: Verdict) -> list[str]:
        spot = f"request-counts/{request.partition}@{request.offset} "
        return [one.sentence for one in verdict.violations if one.rule is Rule.WAKES and spot in one.sentence]

    assert first(check(day, Expectations(wake_within=SECOND)))
    assert first(check(day, Expectations(wake_within=SECOND, outages=(outage,)))) == []


def test_a_request_that_is_not_due_yet_is_not_judged(day: Recording) -> None:
    request, woken = _woken(day)
    lost = without(day, lambda one: of("scale-results")(one) and one.offset >= woken.offset)
    early = check(lost, Expectations(until=request.time + 30 * SECOND))
    assert Rule.WAKES not in rules(early)
    assert early.figures.unjudged["requests whose wake was not due yet when the run ended"]


@pytest.mark.parametrize("mode", ["observe", "full"])
def test_a_request_that_the_mode_withholds_wakes_nobody(day: Recording, mode: str) -> None:
    request, woken = _woken(day)
    lost = without(day, lambda one: of("scale-results")(one) and one.offset >= woken.offset)
    switch = Record(
        "control",
        0,
        0,
        request.time - MINUTE,
        b"shop/*",
        b'{"cluster":"default","scope":"shop/*","by":"maria","at":"2026-01-31T12:00:00.000Z","why":"-",'
        b'"mode":{"mode":"%s","by":"maria","at":"2026-01-31T12:00:00.000Z","why":"-"}}' % mode.encode(),
    )
    verdict = check(Recording((*lost.records, switch), lost.partitions))
    assert (Rule.WAKES in rules(verdict)) is (mode == "full")


# Rule 3


def test_two_decisions_with_one_id_are_found(day: Recording) -> None:
    zero = found(day, of("decisions", action="zero"))[0]
    verdict = check(also(day, zero, action="hold"))
    assert Rule.UNIQUE in rules(verdict)
    assert "stands for two different ones" in said(verdict, Rule.UNIQUE)


def test_a_decision_that_was_logged_twice_is_found(day: Recording) -> None:
    zero = found(day, of("decisions", action="zero"))[0]
    assert "was written twice" in said(check(also(day, zero)), Rule.UNIQUE)


def test_two_commands_with_one_id_are_found(day: Recording) -> None:
    command = found(day, of("scale-commands"))[-1]
    assert Rule.UNIQUE in rules(check(also(day, command, replicas=0, seq=json_of(command)["seq"] + 1)))


# Rule 4


def test_a_state_of_an_owner_that_was_replaced_is_found(day: Recording) -> None:
    states = found(day, lambda one: one.topic == "state" and one.value is not None)
    middle = [one for one in states if one.partition == states[0].partition][3]
    verdict = check(replaced(day, middle, headed(middle, ce_id="9-0/1")))
    assert Rule.FENCED in rules(verdict)
    assert "after 9-0 had taken over" in said(verdict, Rule.FENCED)


def test_a_command_of_an_owner_that_was_replaced_is_found(day: Recording) -> None:
    """One that a cycle caused names its owner; the others have that of the state with their number."""
    zeros = found(day, lambda one: one.topic == "scale-commands" and json_of(one)["direction"] == "zero")
    first = [one for one in zeros if one.partition == zeros[0].partition][1]
    verdict = check(replaced(day, first, edited(first, "cause", "cycle", to="9-0#1")))
    assert "of scale-commands" in said(verdict, Rule.FENCED)


# Rule 5


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("inputs", "requests"), 77),
        (("inputs", "surroundings", "budgetLeft"), 3),
        (("reason", "message"), "because"),
        (("after", "requests"), 4),
        (("action",), "hold"),
    ],
)
def test_a_decision_that_does_not_repeat_is_found(day: Recording, path: tuple[str, ...], to: object) -> None:
    zero = found(day, of("decisions", action="zero"))[0]
    changed = edited(zero, *path, to=to)
    verdict = check(replaced(day, zero, changed))
    # What the decision does not depend on repeats with it: only the bytes behind it differ.
    expected = path[-1] not in ("budgetLeft",)
    assert (Rule.REPLAYS in rules(verdict)) is expected


def test_a_command_that_its_decision_does_not_give_is_found(day: Recording) -> None:
    up = found(day, of("scale-commands", direction="up"))[0]
    assert Rule.REPLAYS in rules(check(replaced(day, up, edited(up, "replicas", to=2))))


# Rule 6


def test_a_service_that_is_not_as_it_was_told_is_found(day: Recording, quiet: Expectations) -> None:
    other = replace(quiet, actual={**(quiet.actual or {}), "shop/web": 3})
    verdict = check(day, other)
    assert rules(verdict) == {Rule.SETTLED}
    assert "it has 3 replicas" in said(verdict, Rule.SETTLED)


def test_a_service_that_is_down_although_it_was_woken_last_is_found(day: Recording) -> None:
    """Its last sleep never was: what is left is an up, and a target at zero."""
    last = found(day, of("scale-commands", direction="zero"))[-1]
    identity = json_of(last)["id"]
    spoiled = without(day, lambda one: one is last or of("decisions", commandId=identity)(one))
    spoiled = without(spoiled, of("scale-results", commandId=identity))
    assert "its last command is up to 1" in said(
        check(spoiled, Expectations(quiet=True, actual={"shop/web": 0})), Rule.SETTLED
    )


# Rule 8


def test_a_wake_that_is_still_owed_is_found(day: Recording) -> None:
    state = found(day, of("state"))[-1]
    owed = next(json_of(one)["wake"] for one in found(day, of("state")) if "wake" in json_of(one))
    verdict = check(replaced(day, state, edited(state, "wake", to=owed)), Expectations(quiet=True))
    assert "owes a wake (request)" in said(verdict, Rule.PAID)


def test_a_wake_that_never_got_ready_is_found(day: Recording) -> None:
    """Everything after the acceptance is gone: nobody knows whether a pod ever came."""
    _, woken = _woken(day)
    cut = without(day, lambda one: of("scale-results")(one) and one.offset > woken.offset)
    assert "nothing shows a ready replica" in said(check(cut, Expectations(quiet=True)), Rule.PAID)


def test_an_acceptance_that_is_told_behind_the_pod_that_came_of_it_ended_well(day: Recording) -> None:
    """Its handler could not reach the log, and another one told what there was to see."""
    _, woken = _woken(day)
    after = [one for one in found(day, of("scale-results")) if one.offset > woken.offset]
    ready = next(one for one in after if json_of(one)["phase"] == "ready")
    first, last = (woken.offset, woken.time), (ready.offset, ready.time)
    told = replaced(day, woken, ready._replace(offset=first[0], time=first[1]))
    told = replaced(told, ready, woken._replace(offset=last[0], time=last[1]))
    cut = without(told, lambda one: of("scale-results")(one) and one.offset > ready.offset)
    assert "nothing shows a ready replica" not in said(check(cut, Expectations(quiet=True)), Rule.PAID)


def test_a_late_zero_that_nobody_undid_is_found(day: Recording) -> None:
    """The answer to the last zero is taken for that of the first one: it landed after the wake."""
    zeros = found(day, of("scale-commands", direction="zero"))
    answer = found(day, of("scale-results", phase="accepted", commandId=json_of(zeros[-1])["id"]))[0]
    late = edited(answer, "commandId", to=json_of(zeros[0])["id"])
    verdict = check(replaced(day, answer, late), Expectations(until=answer.time + 10 * MINUTE))
    assert "was not undone" in said(verdict, Rule.PAID)


# Rule 9


def test_a_command_that_is_missing_is_found(day: Recording) -> None:
    """The first of a partition would be taken for one that is not kept any more."""
    command = found(day, of("scale-commands"))[1]
    verdict = check(without(day, lambda one: one is command))
    assert "sent a command that is not in its topic" in said(verdict, Rule.ANSWERED)
    assert "answers a command that nobody sent" in said(verdict, Rule.ANSWERED)


def test_a_command_that_nobody_decided_is_found(day: Recording) -> None:
    decision = found(day, of("decisions", action="zero"))[0]
    assert "nobody decided the command" in said(check(without(day, lambda one: one is decision)), Rule.ANSWERED)


def test_a_number_that_falls_is_found(day: Recording) -> None:
    command = found(day, of("scale-commands"))[-1]
    assert "is not above" in said(check(replaced(day, command, edited(command, "seq", to=5))), Rule.ANSWERED)


def test_a_command_without_an_answer_is_found_when_all_is_at_rest(day: Recording) -> None:
    command = found(day, of("scale-commands"))[-1]
    answers = of("scale-results", commandId=json_of(command)["id"])
    cut = without(day, answers)
    assert "has no answer" in said(check(cut, Expectations(quiet=True)), Rule.ANSWERED)
    assert "has no answer" not in said(check(cut), Rule.ANSWERED)


@pytest.mark.parametrize(
    ("direction", "replicas", "says"), [("zero", 1, "accepted at"), ("up", 0, "accepted at"), ("up", 1, "")]
)
def test_an_accepted_change_that_did_not_happen_is_found(
    day: Recording, direction: str, replicas: int, says: str
) -> None:
    command = found(day, of("scale-commands", direction=direction))[0]
    answer = found(day, of("scale-results", phase="accepted", commandId=json_of(command)["id"]))[0]
    sentence = said(check(replaced(day, answer, edited(answer, "replicas", to=replicas))), Rule.ANSWERED)
    assert says in sentence
    assert bool(sentence) is bool(says)


@pytest.mark.parametrize(("number", "wrong"), [(-1, True), (0, False)])
def test_a_zero_that_was_carried_out_after_it_was_superseded_is_found(
    day: Recording, number: int, *, wrong: bool
) -> None:
    """One that was on its way when a newer up overtook it may land: that is undone, and judged as such."""
    command = found(day, of("scale-commands", direction="zero"))[number]
    answer = found(day, of("scale-results", phase="accepted", commandId=json_of(command)["id"]))[0]
    refused = edited(edited(answer, "phase", to="superseded"), "replicas", to=1)
    before = Recording(
        tuple(
            one._replace(offset=one.offset + 1) if one.topic == answer.topic and one.offset >= answer.offset else one
            for one in day.records
        ),
        day.partitions,
    )
    moved = found(before, of("scale-results", phase="accepted", commandId=json_of(command)["id"]))[0]
    records = [each for one in before.records for each in ((refused, one) if one is moved else (one,))]
    sentence = said(check(Recording(records, day.partitions)), Rule.ANSWERED)
    assert ("was superseded, and carried out after that" in sentence) is wrong


def test_a_zero_of_another_target_than_was_expected_is_found(day: Recording) -> None:
    command = found(day, of("scale-commands", direction="zero"))[0]
    answer = found(day, of("scale-results", phase="accepted", commandId=json_of(command)["id"]))[0]
    spoiled = replaced(day, answer, edited(answer, "target", "uid", to="another"))
    assert "of another, not one after" in said(check(spoiled), Rule.ANSWERED)


# What is not ours


@pytest.mark.parametrize("topic", ["decisions", "state", "service-status"])
def test_a_record_that_is_not_ours_is_found(day: Recording, topic: str) -> None:
    last = found(day, of(topic))[-1]
    more = last._replace(offset=last.offset + 100, value=b"{}")
    verdict = check(Recording((*day.records, more), day.partitions))
    assert Rule.READABLE in rules(verdict)


def test_a_record_of_an_unknown_topic_is_found() -> None:
    record = Record("gossip", 0, 0, MOMENT, None, b"")
    assert rules(check(Recording((record,)))) == {Rule.READABLE}


def test_nothing_at_all_violates_nothing() -> None:
    assert check(Recording(()), Expectations(quiet=True)).violations == ()
