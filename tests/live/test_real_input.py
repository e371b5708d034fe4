"""The program on somebody else's Kafka and Prometheus: ten policies, real metrics, requests of a foreign producer."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaReader
from consumer.ports import Record
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.partitioning import partition_for, record_key
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic
from tests.live.console_producer import ConsoleProducer, console_producer
from tests.live.prometheus_server import Exporter, PrometheusServer

PARTITIONS = 3
SHORT, LONG = 6, 15
"""Cooldowns in seconds; a Prometheus that is scraped every second answers for both."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A service: its triggers, its cooldown, its traffic, and the reasons for which it stays up (none: it sleeps)."""

    name: str
    triggers: tuple[str, ...]
    cooldown: int = SHORT
    measured: float | None = 0.0
    """How much its counter grows from scrape to scrape; None: it has no such metric."""
    requested: bool = False
    stays: frozenset[str] = frozenset()


def by_rate(name: str) -> str:
    query = f'sum(rate(http_requests_total{{service="{name}"}}[4s]))'
    return f"{{type: prometheus, metadata: {{query: '{query}', threshold: \"0.5\"}}}}"


def by_rate_or_zero(name: str) -> str:
    query = f'sum(rate(http_requests_total{{service="{name}"}}[4s])) or vector(0)'
    return f"{{type: prometheus, metadata: {{query: '{query}', threshold: \"0.5\"}}}}"


COUNTED = '{type: request-count, metadata: {threshold: "1", window: 6s}}'
BUSY, BLIND, TRAFFIC = frozenset({"busy"}), frozenset({"blind"}), frozenset({"busy", "recent-traffic"})

ACTORS = (
    Actor("quiet-rate", (by_rate("quiet-rate"),)),
    Actor("quiet-constant", (by_rate_or_zero("quiet-constant"),)),
    Actor("quiet-counted", (COUNTED,), measured=None),
    Actor("quiet-both", (by_rate("quiet-both"), COUNTED)),
    # It falls asleep last: by then each of the others was judged long after its own cooldown.
    Actor("quiet-late", (by_rate("quiet-late"),), cooldown=LONG),
    Actor("busy-rate", (by_rate("busy-rate"),), measured=5.0, stays=BUSY),
    Actor("busy-constant", (by_rate_or_zero("busy-constant"),), measured=5.0, stays=BUSY),
    Actor("busy-counted", (COUNTED,), measured=None, requested=True, stays=TRAFFIC),
    Actor("busy-one-of-two", (COUNTED, by_rate("busy-one-of-two")), requested=True, stays=TRAFFIC),
    Actor("unmeasured", (by_rate("unmeasured"),), measured=None, stays=BLIND),
)
QUIET = frozenset(actor.name for actor in ACTORS if not actor.stays)


def policy_of(actor: Actor) -> str:
    return f"""\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata: {{name: {actor.name}, namespace: shop}}
spec:
  service: {actor.name}
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {actor.name}}}
  cooldownPeriod: {actor.cooldown}
  triggers: [{", ".join(actor.triggers)}]
"""


def request(name: str) -> str:
    return json.dumps({"count": 1, "svc": name, "namespace": "shop"})


@dataclass(slots=True)
class Seen:
    """What stands in the topics so far, read as it comes."""

    results: list[ScaleResult] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    requests: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        if record.topic.endswith(Topic.REQUEST_COUNTS):
            self.requests.append(record)
        elif record.topic.endswith(Topic.SCALE_RESULTS):
            result = decode(ScaleResult, record.value)
            assert not isinstance(result, Undecodable)
            self.results.append(result)
        else:
            decision = decode(Decision, record.value)
            assert not isinstance(decision, Undecodable)
            self.decisions.append(decision)

    def asleep(self) -> set[str]:
        """Whoever was ever put to zero."""
        return {each.service for each in self.results if each.phase is Phase.ACCEPTED and each.replicas == 0}

    def woken(self) -> set[str]:
        """Whoever got ready after having been put to zero."""
        slept: set[str] = set()
        ready: set[str] = set()
        for each in self.results:
            if each.phase is Phase.ACCEPTED and each.replicas == 0:
                slept.add(each.service)
            elif each.phase is Phase.READY and each.service in slept:
                ready.add(each.service)
        return ready

    def reason(self, name: str) -> str:
        """Why the service is as it is."""
        return [each.reason.code for each in self.decisions if each.service == name][-1]


class Watch:
    """Follows the topics of one installation."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        topics = (Topic.REQUEST_COUNTS, Topic.SCALE_RESULTS, Topic.DECISIONS)
        names = [topic.under(prefix) for topic in topics]
        self._records = KafkaReader(KafkaConnection(bootstrap)).follow_topics(names, from_beginning=True)
        self.seen = Seen()

    async def until(self, true: Callable[[Seen], bool]) -> None:
        """Read on until it is true of all that was seen."""
        while not true(self.seen):
            for record in await anext(self._records):
                self.seen.add(record)


async def play(exporter: Exporter, producer: ConsoleProducer) -> None:
    """From scrape to scrape let counters grow and requests come."""
    counters = {actor.name: actor.measured for actor in ACTORS if actor.measured is not None}
    for name in counters:
        exporter.set("http_requests_total", 0.0, service=name)
    scrapes = 0
    while True:
        await exporter.next_scrape()
        scrapes += 1
        for name, growth in counters.items():
            exporter.set("http_requests_total", scrapes * growth, service=name)
        await producer.send(request(actor.name) for actor in ACTORS if actor.requested)


async def elasti(*arguments: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "consumer", *arguments)
    return await process.wait()


@asynccontextmanager
async def running(log: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`elasti run` as a process of its own; killed at the end if it still lives."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "consumer", "run", *arguments), stdout=output, stderr=asyncio.subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def strays(requests: list[Record]) -> Iterator[Record]:
    """Records of the console producer that landed in another partition than their service's."""
    for record in requests:
        name = json.loads(record.value or b"")["svc"]
        if record.key is None and partition_for("shop", name, PARTITIONS) != record.partition:
            yield record


def forwarded(requests: list[Record]) -> Iterator[Record]:
    """Copies with our key, in the right partition."""
    for record in requests:
        name = json.loads(record.value or b"")["svc"]
        right = partition_for("shop", name, PARTITIONS) == record.partition
        if record.key == record_key("shop", name) and record.headers and right:
            yield record


async def test_ten_policies_sleep_exactly_the_idle_ones_and_wake_them_on_keyless_requests_of_a_foreign_producer(
    kafka: EmbeddedKafka, prometheus: PrometheusServer, prefix: str, tmp_path: Path
) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    for actor in ACTORS:
        (policies / f"{actor.name}.yaml").write_text(policy_of(actor))
    where = (f"--kafka-bootstrap={kafka.bootstrap}", f"--topic-prefix={prefix}")
    assert await elasti("topics", "create", *where, f"--partitions={PARTITIONS}", "--replication-factor=1") == 0
    assert await elasti("topics", "verify", *where) == 0
    arguments = (
        *where,
        f"--policies={policies}",
        f"--prometheus-address={prometheus.url}",
        *("--cluster-access=simulated", "--polling-interval=1s", "--http-host=127.0.0.1", "--http-port=0"),
    )
    watch = Watch(kafka.bootstrap, prefix)
    async with (
        console_producer(kafka.bootstrap, Topic.REQUEST_COUNTS.under(prefix)) as producer,
        asyncio.TaskGroup() as tasks,
    ):
        playing = tasks.create_task(play(prometheus.exporter, producer))
        async with running(tmp_path / "elasti.log", *arguments) as process:
            await watch.until(lambda seen: seen.asleep() >= QUIET)
            assert watch.seen.asleep() == QUIET
            up = {actor.name: watch.seen.reason(actor.name) for actor in ACTORS if actor.stays}
            assert all(up[actor.name] in actor.stays for actor in ACTORS if actor.stays), up

            await producer.send(request(name) for name in sorted(QUIET))
            await watch.until(lambda seen: seen.woken() >= QUIET)
            assert watch.seen.asleep() == QUIET
            assert list(strays(watch.seen.requests))
            await watch.until(lambda seen: len(list(forwarded(seen.requests))) >= len(list(strays(seen.requests))))

            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        playing.cancel()
    assert "Traceback" not in (tmp_path / "elasti.log").read_text()
