"""What one sweep of 1,000 services costs on a real Prometheus: one by one, 16 at a time, and ours, side by side.

Run it with `python -m bench.sweep`; it needs `prometheus` on PATH. Budgets of the design: at most 10 requests for
the sweep of 1,000 services, and at least 5 times faster than one by one for unlike queries.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Final

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import Unknown
from consumer.core.policy import Policy, Trigger
from consumer.core.readings import Failure, Question, Reading, Source
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import Subject
from consumer.scalers import Defaults
from consumer.scalers.batcher import Asked, Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from tests.live.prometheus_server import PrometheusServer

SERVICES: Final = 1_000
PODS: Final = 3
ROUNDS: Final = 5
LIMIT: Final = timedelta(seconds=60)
ALIKE: Final = ('sum(rate(http_requests_total{{service="s{0}"}}[30s])) or vector(0)',)
UNLIKE: Final = (
    'sum(rate(http_requests_total{{service="s{0}"}}[30s])) or vector(0)',
    'max(http_requests_total{{service="s{0}"}}) - min(http_requests_total{{service="s{0}"}})',
    'sum(increase(http_requests_total{{service="s{0}"}}[10s]))',
    'avg_over_time(sum(http_requests_total{{service="s{0}"}})[10s:1s])',
    'count(http_requests_total{{service="s{0}"}} > 3)',
    'scalar(sum(http_requests_total{{service="s{0}"}}))',
    'quantile(0.9, irate(http_requests_total{{service="s{0}"}}[30s])) # p90',
    'sum by (service) (max_over_time(http_requests_total{{service="s{0}"}}[20s]))',
)

Sweep = Callable[[Sequence[Question], datetime], Awaitable[Sequence[Reading | Failure]]]


@dataclass(slots=True)
class Requests:
    """Counts the requests of the batcher."""

    number: int = 0

    def one(self, _: Asked) -> None:
        """Count one request, whatever became of it."""
        self.number += 1


async def main() -> None:
    """Measure all ways in turns, so that the machine's mood meets all of them."""
    async with PrometheusServer() as server:
        await fill(server)
        measurements = PrometheusMeasurements()
        try:
            for name, shapes in (("alike", ALIKE), ("unlike", UNLIKE)):
                await compare(name, shapes, measurements, server.url)
            await whole_sweep(measurements, server.url)
        finally:
            await measurements.close()


async def fill(server: PrometheusServer) -> None:
    """Let Prometheus scrape 3,000 series for long enough to have rates."""
    for number in range(SERVICES):
        for pod in range(PODS):
            server.exporter.set("http_requests_total", float(number % 7 + pod), service=f"s{number}", pod=f"p{pod}")
    await server.until("count(rate(http_requests_total[5s]))", lambda values: values == [float(SERVICES * PODS)])


async def compare(name: str, shapes: Sequence[str], measurements: PrometheusMeasurements, url: str) -> None:
    """Print medians and ratios for one kind of queries; all ways must give the same answers."""
    source = Source(url)
    questions = [Question(source, shapes[number % len(shapes)].format(number)) for number in range(SERVICES)]
    requests = Requests()
    batcher = Batcher(measurements, count=requests.one)

    async def alone(asked: Sequence[Question], at: datetime, at_once: int) -> Sequence[Reading | Failure]:
        door = asyncio.Semaphore(at_once)

        async def one(question: Question) -> Reading | Failure:
            async with door:
                return await measurements.ask(question, at, LIMIT)

        return await asyncio.gather(*(one(question) for question in asked))

    async def ours(asked: Sequence[Question], at: datetime) -> Sequence[Reading | Failure]:
        async with batcher.round(at, asyncio.get_running_loop().time() + LIMIT.total_seconds()):
            return await asyncio.gather(*(batcher.ask(question, at) for question in asked))

    ways: dict[str, Sweep] = {
        "one by one": lambda asked, at: alone(asked, at, 1),
        "16 at a time": lambda asked, at: alone(asked, at, 16),
        "ours": ours,
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        at = datetime.now(UTC)
        answers = {}
        for way, ask in ways.items():
            begin = perf_counter()
            answers[way] = await ask(questions, at)
            times[way].append(perf_counter() - begin)
        assert answers["ours"] == answers["one by one"] == answers["16 at a time"], "the answers differ"
    report(name, times, requests.number / ROUNDS)


def report(name: str, times: dict[str, list[float]], requests: float) -> None:
    """Print one table and hold the budget."""
    ours = median(times["ours"])
    print(f"{SERVICES} {name} queries over {SERVICES * PODS} series, median of {ROUNDS} rounds")
    for way, taken in times.items():
        number = requests if way == "ours" else SERVICES
        print(f"  {way:<13} {median(taken) * 1000:7.0f} ms  {number:5.0f} requests  {median(taken) / ours:5.1f} × ours")
    if name == "unlike":
        assert median(times["one by one"]) / ours >= 5, "less than 5 times faster than one by one"


async def whole_sweep(measurements: PrometheusMeasurements, url: str) -> None:
    """Measure what the worker calls: health, metric and the metric behind its constant, for every service."""
    requests = Requests()
    judges = SweepJudges(Registry(Defaults(url)), Batcher(measurements, count=requests.one), limit=LIMIT)
    subjects = [Subject(policy(number), None) for number in range(SERVICES)]
    times = []
    answers = await judges.sweep(subjects, datetime.now(UTC))
    first, requests.number = requests.number, 0
    for _ in range(ROUNDS):
        begin = perf_counter()
        answers = await judges.sweep(subjects, datetime.now(UTC))
        times.append(perf_counter() - begin)
    unknown = sum(isinstance(each, Unknown) for one in answers.values() for each in one.triggers[0].each())
    number = requests.number / ROUNDS
    print(f"a whole sweep of {SERVICES} services (1,001 questions), median of {ROUNDS} rounds")
    print(f"  judged in {median(times) * 1000:.0f} ms with {number:.0f} requests (the first with {first})")
    assert unknown == 0, f"{unknown} answers are unknown"
    assert number <= 10, "more than 10 requests"


def policy(number: int) -> Policy:
    """A policy like most: a rate with a constant behind it."""
    name = f"s{number}"
    trigger = Trigger("prometheus", (("query", ALIKE[0].format(number)), ("threshold", "0.5")))
    target = TargetRef("apps/v1", "Deployment", name)
    return Policy(ServiceKey("bench", name), name, name, "h", datetime(2026, 1, 1, tzinfo=UTC), target, (trigger,))


if __name__ == "__main__":
    asyncio.run(main())
