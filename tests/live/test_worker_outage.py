"""A worker whose broker dies, hangs or comes back: it waits, joins anew, and goes on where it was."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import create_topics
from tests.live.test_worker_kafka import PARTITIONS, Stage, command_id


@pytest.fixture
async def stage(own_kafka: EmbeddedKafka, prefix: str) -> AsyncIterator[Stage]:
    stage = Stage(own_kafka, prefix)
    await create_topics(stage.connection, prefix, partitions=PARTITIONS, replication=1)
    yield stage
    await stage.publisher.close()


async def test_a_worker_survives_the_death_and_the_return_of_its_broker(own_kafka: EmbeddedKafka, stage: Stage) -> None:
    async with stage.worker(["web", "cart"]):
        before = await stage.request("web")
        await stage.commanded({command_id("web", before)})
        await own_kafka.kill()
        await own_kafka.restart()
        after = await stage.request("cart")
        commands = await stage.commanded({command_id("web", before), command_id("cart", after)})
        assert len(commands) == 2


async def test_a_worker_survives_a_broker_that_hangs(own_kafka: EmbeddedKafka, stage: Stage) -> None:
    async with stage.worker(["web", "cart"]):
        before = await stage.request("web")
        await stage.commanded({command_id("web", before)})
        own_kafka.pause()
        # Longer than a session: the group forgets its member while nobody can say so.
        await asyncio.sleep(5)
        own_kafka.resume()
        after = await stage.request("cart")
        commands = await stage.commanded({command_id("web", before), command_id("cart", after)})
        assert len(commands) == 2


async def test_a_worker_can_be_stopped_while_its_broker_is_gone(own_kafka: EmbeddedKafka, stage: Stage) -> None:
    async with stage.worker(["web"]):
        await stage.request("web")
        await own_kafka.kill()
    await own_kafka.restart()
