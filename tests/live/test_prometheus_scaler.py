"""Whole sweeps over a real Prometheus: what vanished, what is idle, and a server that is away or stands still."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import Answer, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Subject
from consumer.scalers import Defaults
from consumer.scalers.batcher import Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from tests.adapters.prometheus_faults import serving
from tests.live.prometheus_server import PrometheusServer

HOUR = 3_600
# The test server's subquery step is 1 s, so that 3 s always hold a point.
COOLDOWN = timedelta(seconds=3)


def policy(name: str, query: str) -> Policy:
    trigger = Trigger("prometheus", (("query", query), ("threshold", "0.5")))
    target = TargetRef("apps/v1", "Deployment", name)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return Policy(ServiceKey("shop", name), name, name, "h", created, target, (trigger,), cooldown=COOLDOWN)


@asynccontextmanager
async def judging(url: str, request_limit: timedelta = timedelta(seconds=10)) -> AsyncIterator[SweepJudges]:
    batcher = Batcher(PrometheusMeasurements(), request_limit=request_limit)
    judges = SweepJudges(Registry(Defaults(url)), batcher)
    yield judges
    await judges.close()


async def swept(judges: SweepJudges, *queries: str) -> Sequence[TriggerAnswers]:
    policies = [policy(f"s{index}", query) for index, query in enumerate(queries)]
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    answers = await judges.sweep([Subject(each, None) for each in policies], now)
    return [answers[each.key].triggers[0] for each in policies]


def cause(answer: Answer) -> UnknownCause | None:
    return answer.cause if isinstance(answer, Unknown) else None


def history(name: str, *, last: int, count: int = 90) -> str:
    lines = "".join(f"{name} 1 {last - 60 * (count - number)}\n" for number in range(1, count + 1))
    return f"# TYPE {name} gauge\n{lines}"


async def test_a_metric_that_vanished_within_the_last_day_is_blindness_behind_its_constant() -> None:
    now = int(time.time())
    blocks = history("gone_today", last=now - 3 * HOUR) + history("gone_long_ago", last=now - 26 * HOUR) + "# EOF\n"
    async with PrometheusServer(history=blocks) as server, judging(server.url) as judges:
        vanished, long_ago, never = await swept(
            judges,
            "sum(gone_today) or vector(0)",
            "(sum(gone_long_ago)) or (vector(0))",
            "sum(never_there) or vector(0)",
        )
        assert cause(vanished.to_zero) is UnknownCause.METRIC_VANISHED
        assert cause(vanished.from_zero) is UnknownCause.METRIC_VANISHED
        assert isinstance(long_ago.to_zero, Yes)
        assert isinstance(never.to_zero, Yes)


async def test_a_metric_that_vanishes_between_two_sweeps_is_noticed_and_so_is_its_return(
    prometheus: PrometheusServer,
) -> None:
    query = 'sum(passing{service="x"}) or vector(0)'
    async with judging(prometheus.url) as judges:
        prometheus.exporter.set("passing", 0.1, service="x")
        await prometheus.until('sum(passing{service="x"})', lambda values: values == [0.1])
        assert isinstance((await swept(judges, query))[0].to_zero, Yes)
        prometheus.exporter.remove("passing", service="x")
        await prometheus.until('sum(passing{service="x"})', lambda values: not values)
        assert cause((await swept(judges, query))[0].to_zero) is UnknownCause.METRIC_VANISHED
        prometheus.exporter.set("passing", 0.7, service="x")
        await prometheus.until('sum(passing{service="x"})', lambda values: values == [0.7])
        back = (await swept(judges, query))[0]
        assert isinstance(back.to_zero, No)
        assert isinstance(back.from_zero, Yes)


async def test_a_metric_that_was_there_for_seconds_is_missed_too_by_a_worker_that_never_saw_it(
    prometheus: PrometheusServer,
) -> None:
    prometheus.exporter.set("brief", 7, service="x")
    await prometheus.until("count_over_time(sum(brief)[1m:15s])", lambda values: values == [1.0])
    prometheus.exporter.remove("brief", service="x")
    await prometheus.until("sum(brief)", lambda values: not values)
    async with judging(prometheus.url) as judges:
        (answers,) = await swept(judges, "sum(brief) or vector(0)")
    assert cause(answers.to_zero) is UnknownCause.METRIC_VANISHED


async def test_idle_busy_and_broken_services_are_told_apart_in_one_sweep(prometheus: PrometheusServer) -> None:
    for service, value in (("idle", 0.4999), ("even", 0.5), ("busy", 7.0)):
        prometheus.exporter.set("traffic", value, service=service)
    await prometheus.until("count(traffic)", lambda values: values == [3.0])
    await prometheus.until('min_over_time(max(up{container="prometheus"})[3s:])', lambda values: values == [1.0])
    async with judging(prometheus.url) as judges:
        idle, even, busy, many, failing = await swept(
            judges,
            'sum(traffic{service="idle"})',
            'sum(traffic{service="even"})',
            'sum(traffic{service="busy"})',
            "traffic",
            "traffic * on() group_left() traffic",
        )
    assert isinstance(idle.to_zero, Yes)
    assert isinstance(even.from_zero, Yes)
    assert isinstance(busy.from_zero, Yes)
    assert cause(many.to_zero) is UnknownCause.MANY_SERIES
    assert cause(failing.to_zero) is UnknownCause.HTTP_ERROR
    assert {type(each.healthy) for each in (idle, even, busy, many, failing)} == {Yes}


async def test_a_server_that_stands_still_or_is_gone_makes_blind_and_nothing_else() -> None:
    async with PrometheusServer() as server, judging(server.url, timedelta(seconds=1)) as judges:
        assert cause((await swept(judges, "vector(0)"))[0].to_zero) is None
        server.pause()
        assert cause((await swept(judges, "vector(0)"))[0].to_zero) is UnknownCause.TIMEOUT
        server.resume()
        await server.query("1")
        assert cause((await swept(judges, "vector(0)"))[0].to_zero) is None
        await server.stop()
        assert {cause(each) for each in (await swept(judges, "vector(0)"))[0].each()} == {UnknownCause.UNREACHABLE}


async def test_a_proxy_that_fails_or_warns_of_missing_data_makes_blind() -> None:
    warned = {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["a store is down"]}
    async with serving() as proxy, judging(proxy.url) as judges:
        proxy.say("bad gateway", 502)
        assert cause((await swept(judges, "vector(0)"))[0].to_zero) is UnknownCause.HTTP_ERROR
        assert len(proxy.forms) == 1
        proxy.say(warned)
        assert cause((await swept(judges, "vector(0)"))[0].to_zero) is UnknownCause.PARTIAL
