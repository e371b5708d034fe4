"""Commands, results, statuses and controls mean the same on both sides of the wire."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumer.core.control import Control, ControlKind, Controls
from consumer.core.inputs import CycleCause, RecordCause, ResultSeen
from consumer.core.outcome import Command
from consumer.core.policy import Policy
from consumer.core.reasons import Code, because
from consumer.core.service import Direction, Mode, Phase, ServiceKey, TargetRef
from consumer.core.state import Ask, HostFacts, Said, ServiceState, TargetFacts
from consumer.ports import Record
from consumer.wire.commands import command_of
from consumer.wire.controls import switched
from consumer.wire.messages import (
    command_message,
    control_message,
    path_of,
    result_seen,
    status_message,
)
from schemas.codec import MAX_CAUSE, Undecodable
from schemas.parts import KnownTarget
from schemas.scale_result import Phase as WirePhase
from schemas.scale_result import ResultCause, ResultError, ScaleResult
from schemas.service_status import Path as Route
from tests.wire.core_values import values

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WEB = ServiceKey("shop", "web")
TARGET = TargetRef("apps/v1", "Deployment", "web")
ORIGIN = RecordCause("elasti.scale-results", 3, 7)
COMMANDS = cast("st.SearchStrategy[Command]", values(Command))


@given(COMMANDS)
def test_a_command_means_the_same_to_the_handler(command: Command) -> None:
    assume(command.direction is not Direction.ZERO or command.expect is not None)
    asked = replace(command, replicas=0 if command.direction is Direction.ZERO else command.replicas + 1)
    raw = command_message(asked, "default").encode()
    assert command_of(raw, "default", asked.trace) == asked


def test_a_command_for_another_cluster_is_not_ours() -> None:
    command = Command(
        id="c1",
        seq=1,
        key=WEB,
        target=TARGET,
        direction=Direction.UP,
        replicas=1,
        expect=None,
        reason=because(Code.REQUEST, count=1),
        autoscaler=None,
        policy_uid="u1",
        policy_hash="h1",
        triggered_at=T0,
        decided_at=T0,
        cause=CycleCause("7:0", 3),
    )
    assert not isinstance(command_of(command_message(command, "eu").encode(), "default"), Command)


@pytest.mark.parametrize("raw", [None, b"", b"{}", b"\xff"])
def test_what_is_no_command_says_so(raw: bytes | None) -> None:
    assert isinstance(command_of(raw, "default"), Undecodable)


def test_a_command_with_a_reason_that_is_not_known_here_says_so() -> None:
    example = (Path(__file__).parents[1] / "golden" / "scale-command.json").read_bytes()
    assert isinstance(command_of(example, "default"), Command)
    odd = command_of(example.replace(b'"code":"request"', b'"code":"unheard-of"'), "default")
    assert isinstance(odd, Undecodable)
    assert "unheard-of" in odd.cause


def result(**changes: object) -> ScaleResult:
    known = ScaleResult(
        cluster="default",
        id="r1",
        command_id="c1",
        namespace="shop",
        service="web",
        target=KnownTarget(api_version="apps/v1", kind="Deployment", name="web", uid="u", generation=4),
        phase=WirePhase.ACCEPTED,
        replicas=1,
        ready_replicas=0,
        cause=ResultCause.COMMAND,
        triggered_at=T0,
        at=T0,
    )
    return known.model_copy(update=changes)


def test_a_result_tells_the_core_all_it_says() -> None:
    assert result_seen(result(), ORIGIN, T0) == ResultSeen(
        phase=Phase.ACCEPTED,
        command_id="c1",
        target=TARGET,
        uid="u",
        generation=4,
        replicas=1,
        ready=0,
        at=T0,
        origin=ORIGIN,
        triggered_at=T0,
    )


def test_a_failed_result_of_a_target_that_is_not_there() -> None:
    gone = result(
        phase=WirePhase.FAILED,
        target=KnownTarget(api_version="apps/v1", kind="Deployment", name="web"),
        error=ResultError(code="gone", message="there is no Deployment web", retryable=True),
    )
    seen = result_seen(gone, ORIGIN, T0)
    assert (seen.phase, seen.uid, seen.generation) == (Phase.FAILED, "", 0)
    assert (seen.error, seen.retryable) == ("there is no Deployment web", True)


def test_long_words_of_a_cluster_are_cut_before_they_get_into_the_state() -> None:
    long = "x" * (MAX_CAUSE + 1)
    seen = result_seen(
        result(phase=WirePhase.FAILED, manager=long, error=ResultError(code="invalid", message=long, retryable=False)),
        ORIGIN,
        T0,
    )
    assert seen.error == seen.manager == "x" * MAX_CAUSE


def test_of_a_handler_that_did_not_know_the_time_the_time_of_the_log_counts() -> None:
    behind = result(at=T0 - 5 * MINUTE, triggered_at=T0 - 6 * MINUTE, cause=ResultCause.DIRECT, clock_sure=False)
    seen = result_seen(behind, ORIGIN, T0)
    assert (seen.at, seen.triggered_at) == (T0, None)
    known = result_seen(behind.model_copy(update={"clock_sure": True}), ORIGIN, T0)
    assert (known.at, known.triggered_at) == (T0 - 5 * MINUTE, T0 - 6 * MINUTE)


def test_nothing_is_told_before_it_happened() -> None:
    ahead = T0 + timedelta(days=2_000_000)
    seen = result_seen(result(at=ahead, triggered_at=ahead), ORIGIN, T0 + timedelta(seconds=1))
    assert seen.at == seen.triggered_at == T0 + timedelta(seconds=1)


@pytest.mark.parametrize("phase", WirePhase)
def test_every_phase_has_its_word_in_the_core(phase: WirePhase) -> None:
    assert result_seen(result(phase=phase), ORIGIN, T0).phase.value == phase.value


def test_a_direct_wake_is_told_apart() -> None:
    assert result_seen(result(cause=ResultCause.DIRECT), ORIGIN, T0).direct
    assert not result_seen(result(cause=ResultCause.OBSERVED), ORIGIN, T0).direct


POLICY = Policy(WEB, "web", "u1", "h1", created_at=T0, target=TARGET, triggers=())
SAID = Said("d1", "zero", because(Code.IDLE, cooldown="15m00s"), T0, CycleCause("7:0", 3))


def test_before_its_first_decision_a_service_has_no_status() -> None:
    assert status_message(ServiceState(WEB, T0), POLICY, Mode.FULL, "default") is None


def test_a_status_is_the_whole_present() -> None:
    state = ServiceState(
        WEB,
        T0,
        target=TargetFacts("u", 4, replicas=0, ready=0, at=T0),
        ask=Ask("c1", 1, Direction.ZERO, 0, T0),
        hosts=(HostFacts("web.shop", allowed=True, at=T0),),
        last_request_at=T0,
        said=SAID,
    )
    status = status_message(state, POLICY, Mode.WAKE_ONLY, "default")
    assert status is not None
    assert (status.desired, status.replicas, status.ready_replicas) == (0, 0, 0)
    assert (status.target.uid, status.target.generation) == ("u", 4)
    assert (status.path, status.mode.value, status.reason.code) == (Route.RESOLVER, "wake-only", "idle")
    assert (status.since, status.last_request_at, status.last_wake_at) == (T0, T0, None)


def test_a_status_says_what_is_not_known() -> None:
    status = status_message(ServiceState(WEB, T0, said=SAID), POLICY, Mode.FULL, "default")
    assert status is not None
    assert (status.desired, status.replicas, status.ready_replicas) == (None, None, None)
    assert (status.target.name, status.target.uid) == ("web", None)
    assert status.path is Route.UNKNOWN


@pytest.mark.parametrize(
    ("words", "path"),
    [((), Route.UNKNOWN), ((True, True), Route.RESOLVER), ((False,), Route.DIRECT), ((True, False), Route.UNKNOWN)],
)
def test_the_path_is_what_all_hosts_say(words: tuple[bool, ...], path: Route) -> None:
    assert path_of(tuple(HostFacts(str(n), allowed=word, at=T0) for n, word in enumerate(words))) is path


SWITCHES = st.builds(
    Control,
    key_pattern=st.sampled_from(["*", "shop/*", "shop/web"]),
    kind=st.sampled_from(ControlKind),
    mode=st.sampled_from(Mode),
    by=st.just("maria"),
    why=st.just("sale"),
    until=st.none() | st.just(T0 + timedelta(hours=1)),
    at=st.just(T0),
).map(lambda switch: switch if switch.kind is ControlKind.MODE else replace(switch, mode=None))


@given(st.lists(SWITCHES, max_size=6), st.integers(0, 2))
def test_who_reads_only_the_last_record_of_each_scope_knows_it_all(switches: list[Control], hours: int) -> None:
    book, records = Controls(), {}
    for switch in switches:
        records[switch.key_pattern] = control_message(book, switch, "default").encode()
        book = book.apply(switch)
    read = Controls()
    for scope, raw in records.items():
        after = switched(read, Record("elasti.control", 0, 0, key=scope.encode(), value=raw, at=T0))
        assert isinstance(after, Controls)
        read = after
    now = T0 + timedelta(hours=hours)
    for key in (WEB, ServiceKey("shop", "api"), ServiceKey("other", "web")):
        assert read.frozen(key, now) == book.frozen(key, now)
        assert read.mode(key, now) is book.mode(key, now)


def test_a_tombstone_takes_both_switches_of_its_scope_back() -> None:
    freeze = Control("shop/*", ControlKind.FREEZE, None, "maria", "sale", None, T0)
    book = Controls().apply(freeze)
    assert book.frozen(WEB, T0)
    after = switched(book, Record("elasti.control", 0, 1, key=b"shop/*", value=None, at=T0))
    assert isinstance(after, Controls)
    assert after.frozen(WEB, T0) is None


def test_a_control_record_that_can_not_be_read_says_so() -> None:
    assert isinstance(switched(Controls(), Record("elasti.control", 0, 1, key=b"*", value=b"{", at=T0)), Undecodable)
