"""The board shows how each service stands and why."""

from datetime import UTC, datetime

import pytest

from consumer.core.service import ServiceKey
from consumer.insight.board import Board, Standing
from schemas.parts import KnownTarget, Reason
from schemas.scale_result import Phase, ResultCause, ResultError, ScaleResult
from schemas.service_status import ServiceStatus

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
WEB = ServiceKey("shop", "web")
TARGET = KnownTarget(api_version="apps/v1", kind="Deployment", name="web", uid="u1", generation=2)


def seen(replicas: int, ready: int, *, phase: Phase = Phase.OBSERVED, error: ResultError | None = None) -> ScaleResult:
    return ScaleResult(
        cluster="default",
        id=f"{phase}{replicas}{ready}{error}",
        namespace="shop",
        service="web",
        target=TARGET,
        phase=phase,
        replicas=replicas,
        ready_replicas=ready,
        error=error,
        cause=ResultCause.OBSERVED,
        at=T0,
    )


STATUS = ServiceStatus(
    cluster="default",
    namespace="shop",
    service="web",
    target=TARGET,
    reason=Reason(code="idle", message="nothing was asked of it for a whole cooldown"),
    since=T0,
)


@pytest.mark.parametrize(
    ("replicas", "ready", "standing"),
    [(0, 0, Standing.ASLEEP), (1, 0, Standing.WAKING), (1, 1, Standing.AWAKE), (0, 1, Standing.ASLEEP)],
)
def test_replicas_and_readiness_say_how_a_service_stands(replicas: int, ready: int, standing: Standing) -> None:
    board = Board()
    board.result(seen(replicas, ready))
    assert [row.standing for row in board.rows()] == [standing]
    assert board.count(standing) == 1


def test_a_service_of_which_only_the_reason_is_known_stands_unknown() -> None:
    board = Board()
    board.status(WEB, STATUS)
    (row,) = board.rows()
    assert (row.standing, row.code, row.why) == (Standing.UNKNOWN, "idle", STATUS.reason.message)


def test_a_service_without_a_policy_leaves_the_board() -> None:
    board = Board()
    board.status(WEB, STATUS)
    board.status(WEB, None)
    assert board.rows() == []


def test_a_refusal_is_shown_until_something_else_happens() -> None:
    board = Board()
    board.result(seen(0, 0, phase=Phase.FAILED, error=ResultError(code="gone", message="no such", retryable=False)))
    assert board.rows()[0].error == "no such"
    board.result(seen(1, 0))
    assert board.rows()[0].error is None
