"""Acceptance with a real Prometheus: nothing is put to sleep while it says nothing, and requests wake all the same."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.settings import ALL_ROLES
from schemas.partitioning import partition_for
from schemas.scale_command import Direction
from tests.live.prometheus_proxy import PrometheusProxy
from tests.live.prometheus_server import PrometheusServer
from tests.live.system import System, installed

COOLDOWN = timedelta(seconds=2)


@pytest.fixture
async def proxy(prometheus: PrometheusServer) -> AsyncIterator[PrometheusProxy]:
    proxy = PrometheusProxy(prometheus.url)
    await proxy.start()
    yield proxy
    await proxy.stop()


def measured(proxy: PrometheusProxy, query: str) -> Mapping[str, object]:
    """A trigger that is idle below 1."""
    return {"type": "prometheus", "metadata": {"serverAddress": proxy.url, "query": query, "threshold": "1"}}


def names_in_one_partition(system: System) -> tuple[str, str]:
    partitions = system.settings.partitions
    names = [f"web-{number}" for number in range(partitions * 10)]
    first, second, *_ = [name for name in names if partition_for("shop", name, partitions) == 0]
    return first, second


async def test_one_empty_cycle_puts_nothing_to_sleep(
    kafka: EmbeddedKafka, prefix: str, tmp_path: Path, prometheus: PrometheusServer, proxy: PrometheusProxy
) -> None:
    load = f'sum(acceptance_load{{prefix="{prefix}"}})'
    prometheus.exporter.set("acceptance_load", 5, prefix=prefix)
    await prometheus.until(load, lambda values: values == [5])
    async with installed(System(kafka.bootstrap, prefix, tmp_path)) as system:
        # Each partition has cycles of its own: these two share theirs.
        plain, masked = names_in_one_partition(system)
        services = [
            system.service(plain, replicas=1, cooldown=COOLDOWN, trigger=measured(proxy, load)),
            system.service(masked, replicas=1, cooldown=COOLDOWN, trigger=measured(proxy, f"{load} or vector(0)")),
        ]
        program = await system.run(ALL_ROLES)
        await system.until(lambda: all(system.decisions(each, "busy") for each in services))
        # Every cooldown is over by then: only the measurements keep them up.
        busy_until = system.now() + 2 * COOLDOWN
        while system.now() < busy_until:
            await system.until_evaluated(program)
        before = {each: len(system.decisions(each)) for each in services}
        await proxy.answer_one_cycle_with_nothing()
        for service in services:
            await system.until(lambda service=service: len(system.decisions(service)) >= before[service] + 2)  # type: ignore[misc]
            blind, again = system.decisions(service)[before[service] :][:2]
            assert (blind.action, blind.reason.code) == ("hold", "blind")
            assert blind.now >= busy_until
            assert again.reason.code == "busy"
            assert not [each for each in await system.durable_commands(service) if each.direction is Direction.ZERO]
        # It was not for want of ability: measured idleness does put them to sleep.
        prometheus.exporter.set("acceptance_load", 0, prefix=prefix)
        await system.until(lambda: all(system.commands(each, Direction.ZERO) for each in services))


async def test_a_prometheus_that_is_away_at_the_start_keeps_all_up_and_lets_requests_wake(
    kafka: EmbeddedKafka, prefix: str, tmp_path: Path, prometheus: PrometheusServer, proxy: PrometheusProxy
) -> None:
    await proxy.stop()
    idle = measured(proxy, "vector(0)")
    async with installed(System(kafka.bootstrap, prefix, tmp_path)) as system:
        up = system.service("up", replicas=1, cooldown=COOLDOWN, trigger=idle)
        asleep = system.service("asleep", cooldown=COOLDOWN, trigger=idle)
        program = await system.run(ALL_ROLES)
        await system.until(lambda: bool(system.decisions(up, "blind")) and system.replicas(asleep) == 0)
        await system.request(asleep)
        await system.until(lambda: system.ready(asleep))
        awake_until = system.now() + 2 * COOLDOWN
        while system.now() < awake_until:
            await system.until_evaluated(program)
        for service in (up, asleep):
            assert not [each for each in await system.durable_commands(service) if each.direction is Direction.ZERO]
        blind = system.decisions(asleep, "blind")[-1]
        assert blind.reason.facts["cause"] == "unreachable"
        await proxy.start()
        await system.until(lambda: all(system.commands(each, Direction.ZERO) for each in (up, asleep)))
