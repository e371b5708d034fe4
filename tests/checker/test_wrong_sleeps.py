"""Rule 2: a sleep that must not be is found, whichever of its conditions was not true."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from consumer.checker import Expectations, Record, Recording, Rule, Verdict, check
from consumer.core.policy import ZeroGuard
from consumer.core.service import ServiceKey
from schemas.message import rfc3339
from schemas.topics import Topic
from tests.checker.runs import COOLDOWN, MINUTE, SECOND, SHOP, Shop, host
from tests.checker.spoiling import also, edited, found, json_of, later, of, replaced, without
from tests.worker.bed import policy

MILLISECOND = timedelta(milliseconds=1)
TRIGGER = ("inputs", "answers", "triggers", 0)
UNKNOWN = {"kind": "unknown", "cause": "timeout", "at": "2026-01-31T12:07:30.000Z"}
WARM = "2026-01-31T12:07:00.000Z"


def said(verdict: Verdict) -> str:
    return "\n".join(one.sentence for one in verdict.violations if one.rule is Rule.SLEEPS)


def zeros(day: Recording, service: str = "shop/web") -> list[Record]:
    return found(day, of("decisions", service, action="zero"))


@pytest.mark.parametrize(
    ("path", "to", "sentence"),
    [
        (("judgement",), "retry", "judged at a retry"),
        (("inputs", "surroundings", "frozen"), "maria: sale", "frozen by maria: sale"),
        (("inputs", "surroundings", "mode"), "wake-only", "its mode is wake-only"),
        (("inputs", "surroundings", "conflict"), {"namespace": "shop", "name": "old"}, "another, older policy"),
        (("inputs", "surroundings", "clockSure"), False, "the clock was not sure"),
        (("inputs", "surroundings", "inputsRead"), False, "the inputs were not read"),
        (("inputs", "surroundings", "budgetLeft"), 0, "the sleep budget was used up"),
        (("inputs", "answers"), None, "0 of its 1 triggers were asked"),
        ((*TRIGGER, "toZero"), UNKNOWN, "had no answer"),
        ((*TRIGGER, "fromZero"), UNKNOWN, "had no answer"),
        ((*TRIGGER, "healthy", "kind"), "no", "was not healthy"),
        ((*TRIGGER, "fromZero", "kind"), "yes", "called it busy"),
        ((*TRIGGER, "toZero", "kind"), "no", "did not call it idle"),
        ((*TRIGGER, "toZero", "evidence", "value"), 1.0, "measured 1, not below 1"),
        ((*TRIGGER, "toZero", "at"), "2026-01-31T12:06:00.000Z", "answered for"),
        (("before", "wake"), "a wake", "a wake was owed"),
        (("before", "target"), None, "its target had not been seen"),
        (("before", "target", "replicas"), 0, "at zero already"),
        (("before", "contestedSince"), WARM, "contested"),
        (("before", "lastRequestAt"), WARM, "there was a request"),
        (("before", "lastWakeAt"), WARM, "its wake was accepted"),
        (("before", "readyAt"), WARM, "it got ready"),
        (("before", "foreignUpAt"), WARM, "somebody else scaled it up"),
        (("before", "firstSeenAt"), WARM, "it was first seen"),
    ],
)
def test_what_its_own_record_shows(day: Recording, path: tuple[str | int, ...], to: object, sentence: str) -> None:
    zero = zeros(day)[1]
    if to == "a wake":
        to = next(json_of(one)["wake"] for one in found(day, of("state")) if "wake" in json_of(one))
    assert sentence in said(check(replaced(day, zero, edited(zero, *path, to=to))))


@pytest.mark.parametrize(
    ("path", "to", "sentence"),
    [
        (("pause",), {"kind": "sleep"}, "paused (sleep)"),
        (("pause",), {"kind": "all", "until": "2026-01-31T12:07:30.001Z"}, "paused (all)"),
        (("pause",), {"kind": "all", "until": "2026-01-31T12:02:00.000Z"}, ""),
        (("mode",), "observe", "its mode is observe"),
        (("period",), {"kind": "invalidPeriod", "problem": "-"}, "can not be read"),
        (("period",), {"kind": "enabledPeriod", "schedule": "0 0 * * *", "duration": "PT12H"}, "outside"),
        (("period",), {"kind": "enabledPeriod", "schedule": "0 0 * * *", "duration": "PT13H"}, ""),
        (("createdAt",), "2026-01-31T12:06:00.000Z", "its cooldown is"),
        (("cooldown",), "PT2M0.001S", "within the cooldown"),
        (("triggers",), [], "1 of its 0 triggers"),
    ],
)
def test_what_its_policy_shows(day: Recording, path: tuple[str | int, ...], to: object, sentence: str) -> None:
    first = found(day, of("decisions"))[0]
    sentences = said(check(replaced(day, first, edited(first, "inputs", "policy", *path, to=to))))
    assert sentence in sentences
    assert bool(sentence) is bool(sentences)


def test_a_request_within_the_cooldown_is_found_to_the_millisecond(day: Recording) -> None:
    """The state that the owner says it had knows nothing of it: the topic does."""
    zero = zeros(day)[1]
    last = [one for one in day.records if one.topic == "request-counts" and one.key == b"shop/web"][-1]
    for late, wrong in ((MILLISECOND, True), (timedelta(), False)):
        moved = last._replace(time=zero.time - COOLDOWN + late)
        assert ("a request at" in said(check(replaced(day, last, moved)))) is wrong


def test_a_request_that_had_been_there_for_long_and_was_not_read_is_found(day: Recording) -> None:
    zero = zeros(day)[1]
    last = [one for one in day.records if one.topic == "request-counts" and one.key == b"shop/web"][-1]
    for age, wrong in ((11 * SECOND, True), (10 * SECOND, False)):
        unread = last._replace(offset=last.offset + 9, time=zero.time - age)
        more = Recording((*day.records, unread), day.partitions)
        assert ("was not read although" in said(check(more))) is wrong


def test_what_is_older_than_the_present_life_of_a_service_is_not_missed(day: Recording) -> None:
    """A policy that was made again begins without marks: an earlier life read that."""
    zero = zeros(day)[1]
    last = [one for one in day.records if one.topic == "request-counts" and one.key == b"shop/web"][-1]
    unread = last._replace(offset=last.offset + 9, time=zero.time - MINUTE)
    for born, wrong in ((zero.time - MINUTE, False), (zero.time - MINUTE - MILLISECOND, True)):
        again = replaced(day, zero, edited(zero, "before", "firstSeenAt", to=rfc3339(born)))
        sentences = said(check(Recording((*again.records, unread), day.partitions)))
        assert ("was not read although" in sentences) is wrong


def test_a_result_that_had_been_there_for_long_and_was_not_read_is_found(day: Recording) -> None:
    zero = zeros(day)[0]
    result = found(day, of("scale-results"))[0]
    mark = next(one for one in json_of(zero)["before"]["marks"] if one["topic"].endswith("scale-results"))
    unread = result._replace(offset=mark["offset"] + 1, time=zero.time - MINUTE)
    kept = [one for one in day.records if one.topic != "scale-results" or one.offset <= mark["offset"]]
    assert "was not read although" in said(check(Recording((*kept, unread), day.partitions)))


@pytest.mark.parametrize("what", ["its wake was accepted", "it got ready after its wake"])
def test_a_wake_within_the_cooldown_is_found_in_the_results(day: Recording, what: str) -> None:
    zero = zeros(day)[1]
    phase = "accepted" if what == "its wake was accepted" else "ready"
    result = [one for one in found(day, of("scale-results", phase=phase)) if json_of(one)["replicas"]][-1]
    moved = edited(result, "at", to=rfc3339(zero.time - MINUTE))._replace(time=zero.time - MINUTE)
    assert what in said(check(replaced(day, result, moved)))


def test_somebody_elses_scaling_up_within_the_cooldown_is_found_in_the_results(day: Recording) -> None:
    zero = zeros(day)[1]
    result = [one for one in found(day, of("scale-results", phase="accepted")) if json_of(one)["replicas"]][-1]
    theirs = edited(edited(result, "phase", to="observed"), "manager", to="kubectl")
    moved = edited(edited(theirs, "commandId", to=None), "at", to=rfc3339(zero.time - MINUTE))
    moved = moved._replace(time=zero.time - MINUTE)
    assert "somebody else scaled it up" in said(check(replaced(day, result, moved)))


def control(record: Record, time_before: timedelta, content: bytes) -> Record:
    head = b'{"cluster":"default","scope":"shop/*","by":"maria","at":"2026-01-31T12:00:00.000Z","why":"-",'
    return Record("control", 0, 0, record.time - time_before, b"shop/*", head + content)


FREEZE = b'"freeze":{"by":"maria","at":"2026-01-31T12:00:00.000Z","why":"sale"}}'
OVER = b'"freeze":{"by":"maria","at":"2026-01-31T12:00:00.000Z","why":"sale","until":"2026-01-31T12:00:30.000Z"}}'
MODE = b'"mode":{"by":"maria","at":"2026-01-31T12:00:00.000Z","why":"sale","mode":"wake-only"}}'


@pytest.mark.parametrize(
    ("content", "before", "sentence"),
    [
        (FREEZE, 11 * SECOND, "sleeps were frozen by maria"),
        (FREEZE, 9 * SECOND, ""),
        (OVER, MINUTE, ""),
        (MODE, MINUTE, "the mode wake-only was set by maria"),
    ],
)
def test_a_switch_that_everybody_had_heard_of_is_found(
    day: Recording, content: bytes, before: timedelta, sentence: str
) -> None:
    switch = control(zeros(day)[0], before, content)
    only = [one for one in day.records if one.time <= zeros(day)[0].time]
    sentences = said(check(Recording((*only, switch), day.partitions)))
    assert sentence in sentences
    assert bool(sentence) is bool(sentences)


def test_a_zero_that_expects_something_else_than_was_known_is_found(day: Recording) -> None:
    command = found(day, of("scale-commands", direction="zero"))[0]
    assert "it expects" in said(check(replaced(day, command, edited(command, "expect", "generation", to=99))))


def test_a_zero_that_was_moved_into_its_cooldown_is_found(day: Recording) -> None:
    zero = zeros(day)[0]
    assert said(check(replaced(day, zero, later(zero, -MILLISECOND, "now"))))


def test_a_sleep_that_was_decided_for_something_else_is_found(day: Recording) -> None:
    zero = zeros(day)[0]
    held = edited(zero, "action", to="hold")
    assert "was sent by a decision to hold" in said(check(replaced(day, zero, held)))


async def test_more_sleeps_than_the_budget_allows_are_found() -> None:
    """The real worker lets ten of twenty sleep; the eleventh is copied from one of them."""
    keys = [ServiceKey("shop", f"s{number}") for number in range(20)]
    shop = Shop(*(policy(key, cooldown=COOLDOWN) for key in keys), partitions=1)
    async with shop.open():
        await shop.passes(4 * MINUTE)
    fleet = shop.recording()
    assert check(fleet).violations == ()
    commands = found(fleet, lambda one: one.topic == "scale-commands")
    assert len(commands) == 10
    more = commands[-1]._replace(key=b"shop/s19")
    spoiled = also(fleet, more, service="s19", id="another")
    assert "11 services of partition 0 were put to sleep" in said(check(spoiled))


async def guarded() -> Recording:
    shop = Shop(policy(SHOP[0], cooldown=COOLDOWN, zero_guard=ZeroGuard.RESOLVER), partitions=1)
    async with shop.open():
        await shop.passes(MINUTE)
        shop.raw(Topic.HOSTS, host(SHOP[0], allowed=False), key=bytes(SHOP[0]))
        await shop.passes(75 * SECOND)
        shop.raw(Topic.HOSTS, host(SHOP[0], allowed=True), key=bytes(SHOP[0]))
        await shop.passes(MINUTE)
    return shop.recording()


def _words(run: Recording) -> Iterator[tuple[Recording, str]]:
    before, after = found(run, lambda one: one.topic == "hosts")
    zero = zeros(run)[0]
    no_word = edited(
        zero, "before", "marks", to=[one for one in json_of(zero)["before"]["marks"] if "hosts" not in one["topic"]]
    )
    yield replaced(run, after, before._replace(offset=after.offset, time=after.time)), "has not taken web.shop.svc"
    yield replaced(run, after, after._replace(time=before.time)), "has not taken web.shop.svc"
    yield replaced(run, zero, no_word), "no resolver was heard from"
    yield replaced(run, zero, edited(zero, "before", "prepare", to=None)), "was not asked to take its traffic"


async def test_a_sleep_before_the_resolver_has_the_traffic_is_found() -> None:
    run = await guarded()
    assert check(run, Expectations(quiet=True)).violations == ()
    for spoiled, sentence in _words(run):
        assert sentence in said(check(spoiled))


async def test_a_sleep_that_is_fought_over_is_found() -> None:
    """Somebody undoes three sleeps; the real worker holds then, so its fourth zero is the third one copied."""
    shop = Shop(policy(SHOP[0], cooldown=MINUTE), partitions=1)
    async with shop.open():
        for _ in range(3):
            await shop.passes(2 * MINUTE)
            assert shop.replicas(SHOP[0]) == 0
            shop.by_hand(SHOP[0], 1)
        await shop.passes(5 * MINUTE)
    run = shop.recording()
    assert check(run, Expectations(quiet=True)).violations == ()
    assert "contested" in {json_of(one)["reason"]["code"] for one in found(run, of("decisions"))}
    contested = found(run, of("decisions", action="hold"))[-1]
    fourth = edited(contested, "action", to="zero")
    later_ = without(run, lambda one: one is contested)
    spoiled = Recording((*later_.records, fourth), 1)
    assert "its last three sleeps were undone by somebody else" in said(check(spoiled))
