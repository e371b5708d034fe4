"""What a cooldown is counted from, when results stand in another order than they were true."""

from datetime import UTC, datetime, timedelta

from consumer.checker.facts import ResultFact
from consumer.checker.verdict import Place
from consumer.checker.warmth import Warmth

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def result(at: float, *, ready: int, phase: str = "observed", cause: str = "observed", told: float = 20) -> ResultFact:
    return ResultFact(
        place=Place("scale-results", 0, 0, T0 + told * SECOND),
        command=None,
        phase=phase,
        replicas=1,
        ready=ready,
        target="apps/v1/Deployment/web",
        uid="u",
        generation=2,
        at=T0 + at * SECOND,
        triggered=None,
        decided=None,
        cause=cause,
        manager="elasti",
        retryable=None,
        origin=(0, 0),
        cluster="default",
    )


def ready_at(*results: ResultFact) -> datetime | None:
    warmth = Warmth({})
    for each in results:
        warmth.take(each)
    return next((at for what, at, _ in warmth.warm(None) if "ready" in what), None)


def test_a_wake_without_the_log_that_is_told_late_was_ready_when_it_was_seen_to_be() -> None:
    woken = result(1, ready=0, phase="accepted", cause="direct")
    assert ready_at(result(3, ready=1), woken, result(9, ready=1)) == T0 + 3 * SECOND


def test_a_replica_that_was_ready_before_the_wake_is_none_of_its() -> None:
    woken = result(5, ready=0, phase="accepted", cause="direct")
    assert ready_at(result(3, ready=1), woken, result(9, ready=1)) == T0 + 9 * SECOND


def test_what_came_of_a_policy_that_was_deleted_is_nothing_to_the_one_that_was_made_after_it() -> None:
    warmth = Warmth({})
    warmth.take(result(1, ready=0, phase="accepted", cause="direct", told=1))
    warmth.take(result(3, ready=1, told=3))
    assert {what for what, _, _ in warmth.warm(T0)} == {
        "its wake was accepted",
        "it got ready after its wake",
        "a request came without the log",
    }
    assert warmth.warm(T0 + 2 * SECOND) == []
