"""All rules against the present: which hold, which decides, which blocks, and with which values."""

from dataclasses import replace

from consumer.core.answers import Answers, Evidence, No
from consumer.core.case import case_of
from consumer.core.explain import RuleView, explain_rules
from consumer.core.outcome import Action
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, ZeroGuard
from consumer.core.reasons import Code
from consumer.core.rules import RULES
from consumer.core.schedule import parse_period
from consumer.core.service import ServiceKey
from consumer.core.state import Prepare, ServiceState, Sleep, Wake
from tests.core.stage import AROUND, ASLEEP, AWAKE, DAY, KEY, MINUTE, POLICY, T0, blind, busy, idle, said


def views(
    state: ServiceState = AWAKE, policy: Policy | None = POLICY, answers: Answers | None = None
) -> dict[Code, RuleView]:
    case = case_of(policy, state, answers or said(idle(T0)), AROUND, T0)
    return {view.code: view for view in explain_rules(case)}


def test_every_rule_is_shown_in_order_even_those_behind_the_one_that_decides() -> None:
    case = case_of(POLICY, replace(AWAKE, last_request_at=T0 - MINUTE), said(busy(T0)), AROUND, T0)
    shown = explain_rules(case)
    assert len(shown) == len(RULES)
    assert [view.code for view in shown if view.decides] == [Code.BUSY]
    assert [view.code for view in shown if view.blocks_sleep] == [Code.BUSY, Code.RECENT_TRAFFIC, Code.NOT_IDLE]


def test_an_idle_service_is_blocked_by_nothing() -> None:
    shown = views()
    assert not [view.code for view in shown.values() if view.blocks_sleep]
    assert (shown[Code.IDLE].decides, shown[Code.IDLE].action) == (True, Action.ZERO)


def test_rules_that_do_not_hold_show_their_present_values() -> None:
    shown = views(replace(AWAKE, last_request_at=T0 - 20 * MINUTE))
    assert shown[Code.RECENT_TRAFFIC].reason.facts == (
        ("last_request", "2026-03-01T11:40:00.000Z"),
        ("over_since", "2026-03-01T11:55:00.000Z"),
    )
    assert shown[Code.BUSY].reason.facts == (("trigger", "prometheus#0"), ("value", 0.1), ("threshold", 0.5))
    assert shown[Code.UNFINISHED].reason.fact("owed") is False
    assert shown[Code.CONFLICT].reason.fact("older") == "none"
    assert shown[Code.FROZEN].reason.fact("by") == "nobody"
    assert shown[Code.ASLEEP].reason.facts == (("replicas", 1), ("ready", "at least 1"))
    assert shown[Code.OUTSIDE_PERIOD].reason.fact("schedule") == "none"
    assert shown[Code.INVALID_PERIOD].reason.fact("problem") == "none"
    assert shown[Code.BLIND].reason.fact("cause") == "none"
    assert shown[Code.CONTESTED].reason.fact("sleeps_undone") == 0
    assert shown[Code.AWAITING_RESOLVER].reason.fact("zero_guard") == "none"
    assert (shown[Code.CLOCK].reason.fact("sure"), shown[Code.BEHIND].reason.fact("read")) == (True, True)


def test_what_a_rule_would_ask_for_is_shown_when_it_does_not_hold() -> None:
    shown = views(ASLEEP)
    assert shown[Code.BUSY].action is Action.UP
    assert shown[Code.AWAITING_RESOLVER].action is Action.PREPARE
    assert shown[Code.FROZEN].action is Action.HOLD


def test_without_a_valid_policy_only_that_is_shown() -> None:
    assert list(views(policy=None)) == [Code.INVALID_POLICY]


def test_everything_can_be_told_of_a_service_that_nothing_is_known_of() -> None:
    case = case_of(replace(POLICY, triggers=()), ServiceState(KEY, T0), None, AROUND, T0)
    shown = {view.code: view for view in explain_rules(case)}
    assert shown[Code.ASLEEP].reason.fact("replicas") == "not observed"
    assert shown[Code.BUSY].reason.fact("trigger") == "none"
    assert shown[Code.NOT_IDLE].reason.fact("trigger") == "none"
    assert shown[Code.STALE].reason.fact("trigger") == "none"
    assert shown[Code.IDLE].reason.fact("last_request") == "never"


def test_the_windows_of_a_period_are_shown_from_inside_and_outside() -> None:
    inside = views(policy=replace(POLICY, period=parse_period(schedule="0 11 * * *", duration="2h")))
    assert inside[Code.OUTSIDE_PERIOD].reason.fact("window_end") == "2026-03-01T13:00:00.000Z"
    never = views(policy=replace(POLICY, period=parse_period(schedule="0 0 31 2 *", duration="2h")))
    assert never[Code.OUTSIDE_PERIOD].reason.fact("next_start") == "never"
    invalid = views(policy=replace(POLICY, period=InvalidPeriod("six fields")))
    assert invalid[Code.INVALID_PERIOD].holds


def test_a_pause_a_contest_a_debt_and_a_guard_tell_their_story() -> None:
    state = replace(
        AWAKE,
        wake=Wake(T0, Code.REQUEST, AROUND.cause, T0),
        sleeps=(Sleep(T0 - DAY, T0 - DAY, "argocd"),) * 3,
        contested_since=T0 - MINUTE,
        prepare=Prepare("c", T0 - MINUTE),
    )
    policy = replace(POLICY, pause=Pause(PauseKind.SLEEP), zero_guard=ZeroGuard.RESOLVER)
    shown = views(state, policy, said(blind(T0)))
    assert shown[Code.PAUSED].reason.fact("until") == "taken off by hand"
    assert shown[Code.CONTESTED].reason.fact("until") == "2026-03-02T11:59:00.000Z"
    assert shown[Code.NEVER_READY].reason.fact("accepted") == "not yet"
    assert shown[Code.WAITING_READY].reason.fact("timeout_left") is None
    assert shown[Code.GUARD_TIMEOUT].reason.fact("waits_for") == "a host to be heard from"
    assert shown[Code.BUSY].reason.facts[1:] == (("cause", "timeout"), ("detail", "no answer within 5s"))


def test_an_older_policy_is_named() -> None:
    case = case_of(POLICY, AWAKE, said(idle(T0)), replace(AROUND, conflict=ServiceKey("shop", "old")), T0)
    assert next(view for view in explain_rules(case) if view.code is Code.CONFLICT).reason.fact("older") == "shop/old"


def test_a_measurement_that_is_no_number_in_json_is_told_as_text() -> None:
    endless = Evidence(float("inf"), 0.5, "rate of requests")
    answers = said(replace(idle(T0), from_zero=No(endless, T0)))
    assert views(answers=answers)[Code.BUSY].reason.facts == (
        ("trigger", "prometheus#0"),
        ("value", "inf"),
        ("threshold", 0.5),
        ("text", "rate of requests"),
    )
