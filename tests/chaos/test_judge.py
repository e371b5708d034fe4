"""The judge of a chaos run: hand-made evidence of each thing that must not be, and of its harmless neighbour."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.parts import CycleCause, PolicyRef, Reason, TargetRef
from schemas.scale_command import Direction, Expect, ScaleCommand
from tests.chaos.deeds import Server
from tests.chaos.edits import Version
from tests.chaos.evidence import Done, Evidence
from tests.chaos.eyes import Sight
from tests.chaos.fleet import Held, Spec, Trigger
from tests.chaos.judge import Rule, judge
from tests.chaos.plan import Call, Plan, Way
from tests.chaos.processes import Span
from tests.chaos.records import Recorded
from tests.chaos.traffic import Entry

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPEC = Spec(
    "web", Trigger.METRIC, Held.NOTHING, cooldown=10 * SECOND, minimum=1, replicas=0, window="1s", previous=False
)


def sights(*states: tuple[float, int]) -> Sequence[Sight]:
    return [Sight(T0 + at * SECOND, n, n, generation) for generation, (at, n) in enumerate(states, 1)]


def asked(at: float, way: Way = Way.GATEWAY) -> Entry:
    call = Call(at * SECOND, "web", way, 0, f"trace-{at}")
    return Entry(call, T0 + at * SECOND, T0 + (at + 0.05) * SECOND)


def zero(at: float) -> ScaleCommand:
    return ScaleCommand(
        cluster="default",
        id=f"zero-{at}",
        seq=1,
        namespace="chaos",
        service="web",
        target=TargetRef(api_version="apps/v1", kind="Deployment", name="web"),
        direction=Direction.ZERO,
        replicas=0,
        expect=Expect(uid="u", generation=1, replicas=1),
        reason=Reason(code="idle", message="", facts={}),
        policy=PolicyRef(uid="p", hash="h"),
        triggered_at=T0 + at * SECOND,
        decided_at=T0 + at * SECOND,
        cause=CycleCause(cycle="1-1#1"),
    )


def evidence(
    history: Sequence[Sight], ledger: Sequence[Entry] = (), zeros: Sequence[ScaleCommand] = (), spec: Spec = SPEC
) -> Evidence:
    """A run in which every acknowledged request was logged when it was sent, and nothing was away."""
    logged = {entry.call.trace: entry.sent for entry in ledger}
    paused = spec.held.value if spec.held in (Held.ALL, Held.SLEEP) else ""
    return Evidence(
        plan=Plan(1, 300 * SECOND, (spec,), (), ()),
        began=T0,
        stopped=T0 + 300 * SECOND,
        ended=T0 + 400 * SECOND,
        came_to_rest=True,
        stuck=(),
        done=Done({}, (), (), {}, (), (), 0, timedelta()),
        ledger=ledger,
        refused=(),
        histories={"web": history},
        versions={"web": [Version(T0, T0, spec, "web", paused)]},
        lives=(),
        logs=Path("logs"),
        recorded=Recorded((), 1, logged, logged, zeros, (), {}),
    )


def found(run: Evidence) -> set[Rule]:
    return {finding.rule for finding in judge(run).findings}


def test_a_request_that_wakes_is_all_right_and_its_delay_is_known() -> None:
    judgement = judge(evidence(sights((0, 0), (12, 1)), [asked(10)]))
    assert (judgement.findings, judgement.delays) == ((), (2 * SECOND,))


def test_a_request_for_a_service_that_is_up_waits_for_nothing() -> None:
    judgement = judge(evidence(sights((0, 1)), [asked(10)]))
    assert (judgement.findings, judgement.delays) == ((), ())


def test_a_request_that_wakes_nothing_is_found() -> None:
    assert found(evidence(sights((0, 0)), [asked(10)])) == {Rule.WAKES}


def test_a_request_that_wakes_too_late_is_found_and_an_outage_excuses_it() -> None:
    late = evidence(sights((0, 0), (75, 1)), [asked(10)])
    assert found(late) == {Rule.IN_TIME}
    outage = (Server.KAFKA, Span(T0 + 20 * SECOND, T0 + 30 * SECOND))
    assert found(replace(late, done=replace(late.done, away=[outage]))) == set()


def test_without_kafka_its_absence_excuses_no_delay_and_no_refusal() -> None:
    late = evidence(sights((0, 0), (75, 1)), [asked(10)])
    outage = (Server.KAFKA, Span(T0 + 5 * SECOND, T0 + 80 * SECOND))
    away = replace(late, done=replace(late.done, away=[outage]))
    assert found(away) == set()
    direct = replace(away, plan=replace(away.plan, without_kafka=True))
    assert found(direct) == {Rule.IN_TIME}
    quick = replace(direct, histories={"web": sights((0, 0), (10.5, 1))})
    assert found(quick) == set()
    refused = replace(quick, refused=[asked(10).call])
    assert found(refused) == {Rule.SERVED}
    paused = replace(SPEC, held=Held.ALL)
    assert (
        found(
            replace(refused, ledger=(), histories={"web": sights((0, 0))}, plan=replace(refused.plan, fleet=(paused,)))
        )
        == set()
    )


def test_prometheus_is_not_needed_to_wake_for_a_request() -> None:
    late = evidence(sights((0, 0), (75, 1)), [asked(10)])
    outage = (Server.PROMETHEUS, Span(T0 + 20 * SECOND, T0 + 30 * SECOND))
    assert found(replace(late, done=replace(late.done, away=[outage]))) == {Rule.IN_TIME}


@pytest.mark.parametrize("way", [Way.KAFKA, Way.ASTRAY])
def test_a_record_that_kafka_acknowledged_and_lost_is_found(way: Way) -> None:
    run = evidence(sights((0, 1)), [asked(10, way)])
    assert found(replace(run, recorded=replace(run.recorded, logged={}))) == {Rule.KEPT}


def test_a_zero_after_the_cooldown_is_all_right() -> None:
    run = evidence(sights((0, 1), (21, 0)), [asked(10)], [zero(20.5)])
    assert found(run) == set()
    assert [each.late for each in judge(run).zeros] == [0]


def test_a_zero_that_was_decided_within_the_cooldown_is_found() -> None:
    assert found(evidence(sights((0, 1), (20, 0), (30, 1)), [asked(10)], [zero(19.5)])) == {Rule.COOLDOWN}


def test_a_zero_that_lands_behind_a_request_is_counted_and_has_to_be_undone() -> None:
    run = evidence(sights((0, 1), (22, 0), (24, 1)), [asked(21)], [zero(20)])
    assert found(run) == set()
    assert [(each.late, each.back) for each in judge(run).zeros] == [(1, 2 * SECOND)]
    assert Rule.UNDONE in found(evidence(sights((0, 1), (22, 0)), [asked(21)], [zero(20)]))


def test_what_its_cycle_could_not_know_of_is_no_reason_against_a_zero() -> None:
    assert found(evidence(sights((0, 1), (22, 0), (24, 1)), [asked(18.5)], [zero(20)])) == set()
    run = evidence(sights((0, 1), (22, 0), (24, 1)), [asked(17.5)], [zero(20)])
    assert found(run) == {Rule.COOLDOWN}
    begun = {"zero-20": T0 + 17.2 * SECOND}
    assert found(replace(run, recorded=replace(run.recorded, begun=begun))) == set()


def test_a_request_in_a_wrong_partition_counts_from_when_its_forward_arrived() -> None:
    run = evidence(sights((0, 1), (22, 0), (24, 1)), [asked(15, Way.ASTRAY)], [zero(20)])
    assert found(run) == {Rule.COOLDOWN}
    late = replace(run, recorded=replace(run.recorded, arrived={"trace-15": T0 + 21 * SECOND}))
    assert found(late) == set()
    assert [each.late for each in judge(late).zeros] == [1]


def test_a_zero_while_the_metric_is_busy_is_found_unless_somebody_lied() -> None:
    run = evidence(sights((0, 1), (21, 0)), (), [zero(20)])
    busy = replace(run, done=replace(run.done, loads=[(T0, "web", 5)]))
    assert found(busy) == {Rule.BUSY}
    lied = replace(busy, done=replace(busy.done, untrue=[Span(T0 + 15 * SECOND, T0 + 16 * SECOND)]))
    assert found(lied) == set()
    assert found(replace(run, done=replace(run.done, loads=[(T0, "web", 5), (T0 + 5 * SECOND, "web", 0)]))) == set()


@pytest.mark.parametrize("held", [Held.SLEEP, Held.ALL, Held.OBSERVED, Held.WAKE_ONLY, Held.GUARDED])
def test_what_is_held_must_not_go_to_zero(held: Held) -> None:
    run = evidence(sights((0, 1), (21, 0)), (), [zero(20)], replace(SPEC, held=held))
    assert Rule.HELD in found(run)


@pytest.mark.parametrize("held", [Held.ALL, Held.OBSERVED])
def test_what_may_not_be_touched_is_not_woken_either(held: Held) -> None:
    assert found(evidence(sights((0, 0)), [asked(10)], (), replace(SPEC, held=held))) == set()
    assert found(evidence(sights((0, 0), (12, 1)), [asked(10)], (), replace(SPEC, held=held))) == {Rule.HELD}


def test_a_pause_of_everything_puts_a_wake_off_to_its_end() -> None:
    run = evidence(sights((0, 0), (102, 1)), [asked(10)])
    paused = Version(T0 + 5 * SECOND, T0 + 6 * SECOND, SPEC, "web", "all")
    over = Version(T0 + 99 * SECOND, T0 + 100 * SECOND, SPEC, "web")
    judgement = judge(replace(run, versions={"web": [*run.versions["web"], paused, over]}))
    assert (judgement.findings, judgement.delays) == ((), (2 * SECOND,))


def test_a_direct_wake_is_remembered_unless_who_carried_it_out_was_killed() -> None:
    run = evidence(sights((0, 1), (21, 0), (23, 1)), [asked(12)], [zero(20)])
    direct = replace(run, recorded=replace(run.recorded, logged={}))
    assert found(direct) == {Rule.COOLDOWN}
    killed = replace(direct, done=replace(direct.done, absences={"h1": [Span(T0 + 15 * SECOND, T0 + 17 * SECOND)]}))
    assert found(killed) == set()
    assert judge(killed).forgotten == 1


def test_replicas_that_never_get_ready_and_a_run_without_rest_are_found() -> None:
    history = [Sight(T0, 1, 0, 1)]
    assert found(evidence(history)) == {Rule.PODS}
    assert found(replace(evidence(sights((0, 1))), came_to_rest=False)) == {Rule.QUIET}
    assert found(replace(evidence(sights((0, 1))), stuck=["w3"])) == {Rule.READY}
