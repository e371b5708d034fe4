"""Acceptance in simulated time, on a real broker: cooldowns to the millisecond, and a wake after long silence.

The program runs as it is, on a clock that a test moves; its topics keep the times that producers write (CreateTime
instead of the broker's), and whoever writes in this process writes the time of that clock. So one time rules
everything that is decided, while Kafka, network and cycles go on in real time.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.producer.message_accumulator import MessageAccumulator

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka.connection import admin
from consumer.app import log
from consumer.settings import ALL_ROLES
from schemas.scale_command import Direction
from schemas.topics import TOPICS
from tests.live.system import Program, StandingClock, System, installed

COOLDOWN = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
TICK = timedelta(milliseconds=1)


def long_ago() -> datetime:
    """Some hours ago, halfway between two cycles: brokers refuse times that lie an hour ahead, but no earlier ones."""
    # At 14:59.999 the next cycle is half an interval away, as it is at 15:00: no test stands right before one.
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=250_000) - timedelta(hours=6)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    """The time of everything in this test, the records that this process writes included."""
    clock = StandingClock(long_ago())
    add = MessageAccumulator.add_message

    async def added(accumulator: MessageAccumulator, *record: object, **more: object) -> object:
        return await add(accumulator, *record, **{**more, "timestamp_ms": round(clock.now.timestamp() * 1000)})

    monkeypatch.setattr(MessageAccumulator, "add_message", added)
    return clock


async def on_producers_time(system: System) -> None:
    """Let the topics keep the times that producers write."""
    async with admin(log.connection_of(system.settings, "test")) as client:
        await client.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    spec.topic.under(system.settings.topic_prefix),
                    {**spec.config(), "message.timestamp.type": "CreateTime"},
                )
                for spec in TOPICS
            ]
        )


@pytest.fixture
async def system(kafka: EmbeddedKafka, prefix: str, tmp_path: Path, clock: StandingClock) -> AsyncIterator[System]:
    async with installed(System(kafka.bootstrap, prefix, tmp_path, clock)) as system:
        await on_producers_time(system)
        yield system


async def moved(system: System, program: Program, clock: StandingClock, length: timedelta) -> None:
    """Move the time on, and let every service be judged at it."""
    clock.now += length
    await system.until_evaluated(program)


async def test_an_idle_service_sleeps_after_exactly_one_cooldown(system: System, clock: StandingClock) -> None:
    service = system.service("web", replicas=1, cooldown=COOLDOWN)
    program = await system.run(ALL_ROLES)
    await system.until(lambda: system.replicas(service) == 1)
    await moved(system, program, clock, 10 * MINUTE)
    asked = await system.request(service)
    assert asked.at == clock.now
    await system.until_dealt_with(asked)
    await moved(system, program, clock, COOLDOWN - TICK)
    assert [command.direction for command in await system.durable_commands(service)] == [Direction.UP]
    clock.now += TICK
    await system.until(lambda: bool(system.commands(service, Direction.ZERO)))
    (zero,) = system.commands(service, Direction.ZERO)
    assert zero.decided_at == asked.at + COOLDOWN
    await system.until(lambda: system.replicas(service) == 0)


async def test_one_short_request_a_minute_keeps_a_service_up(system: System, clock: StandingClock) -> None:
    cooldown = 2 * MINUTE
    service = system.service("web", replicas=1, cooldown=cooldown)
    program = await system.run(ALL_ROLES)
    await system.until(lambda: system.replicas(service) == 1)
    asked = await system.request(service)
    for _ in range(10):
        await moved(system, program, clock, MINUTE)
        asked = await system.request(service)
        await system.until_dealt_with(asked)
    await moved(system, program, clock, cooldown - TICK)
    assert not [each for each in await system.durable_commands(service) if each.direction is Direction.ZERO]
    assert (await system.cluster.look(service.target)).replicas == 1
    clock.now += TICK
    await system.until(lambda: bool(system.commands(service, Direction.ZERO)))
    assert system.commands(service, Direction.ZERO)[0].decided_at == asked.at + cooldown


@pytest.fixture
def impatient_kafka() -> EmbeddedKafka:
    """A broker that hangs up on whoever is silent for two seconds, as by default it does after ten minutes."""
    return EmbeddedKafka(properties={"connections.max.idle.ms": "2000"})


async def test_a_service_wakes_after_45_minutes_of_silence(
    impatient_kafka: EmbeddedKafka, prefix: str, tmp_path: Path, clock: StandingClock
) -> None:
    """Nothing comes for 45 minutes of the system's time; in real time every idle connection is closed meanwhile."""
    async with impatient_kafka as kafka, installed(System(kafka.bootstrap, prefix, tmp_path, clock)) as system:
        await on_producers_time(system)
        service = system.service("web", replicas=1, cooldown=COOLDOWN)
        program = await system.run(ALL_ROLES)
        await system.until(lambda: system.replicas(service) == 1)
        await moved(system, program, clock, COOLDOWN)
        await system.until(lambda: system.replicas(service) == 0)
        written = system.written()
        for _ in range(9):
            await moved(system, program, clock, 5 * MINUTE)
        assert system.written() == written
        asked = await system.request(service)
        await system.until(lambda: system.ready(service))
        (up,) = system.commands(service, Direction.UP)
        assert (up.reason.code, up.triggered_at) == ("request", asked.at)
        assert asked.at >= system.commands(service, Direction.ZERO)[0].decided_at + 45 * MINUTE
