"""What only a real broker hands out: records that the client can not read, compressed ones, and heavy ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaReader, create_topics
from consumer.ports import Record
from consumer.worker.worker import Worker
from schemas.dead_letter import OFFSET, said_of
from schemas.topics import Topic
from tests.live.raw_batches import send
from tests.live.worker_process import ports_on, settings_of
from tests.live.working import working

pytestmark = pytest.mark.live

GOOD = json.dumps({"svc": "web", "namespace": "shop"}).encode()
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@asynccontextmanager
async def worker(kafka: EmbeddedKafka, prefix: str) -> AsyncIterator[Worker]:
    """A worker that owns the only partition."""
    settings = settings_of(prefix)
    ports = ports_on(kafka.bootstrap, settings, ["web"])
    async with working(ports, settings) as owner:
        yield owner


@asynccontextmanager
async def producer(kafka: EmbeddedKafka, prefix: str) -> AsyncIterator[AIOKafkaProducer]:
    """Somebody who writes what they like to the topics of an installation."""
    await create_topics(KafkaConnection(kafka.bootstrap), prefix, partitions=1, replication=1)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as writing:
        yield writing


async def records(kafka: EmbeddedKafka, name: str, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Wait until a topic holds enough."""
    while True:
        reader = KafkaReader(KafkaConnection(kafka.bootstrap))
        found = [record async for batch in reader.read_to_end(name, 0) for record in batch]
        if enough(found):
            return found
        await asyncio.sleep(0.1)


async def test_records_that_can_not_be_read_are_stepped_over_and_told_of_one_by_one(
    kafka: EmbeddedKafka, prefix: str
) -> None:
    topic = prefix + Topic.REQUEST_COUNTS
    async with producer(kafka, prefix) as stranger, worker(kafka, prefix):
        await stranger.send_and_wait(topic, b"not JSON", partition=0)
        first = await send(stranger, topic, [GOOD, b"x", GOOD], header=b"\xff\xfe")
        asked = await stranger.send_and_wait(topic, GOOD, partition=0)
        await records(kafka, prefix + Topic.SCALE_COMMANDS, bool)
        letters = await records(kafka, prefix + Topic.DEAD_LETTER, lambda found: len(found) >= 4)
        said = [said_of(letter.headers) for letter in letters]
        assert [int(each[OFFSET]) for each in said] == [0, first, first + 1, first + 2]
        assert all("no UTF-8" in each["cause"] for each in said[1:])
        assert asked.offset == first + 3


@pytest.mark.parametrize("codec", CODECS)
async def test_producers_may_compress_as_they_like(kafka: EmbeddedKafka, prefix: str, codec: str) -> None:
    # A topic of ours is kept unpacked; one that somebody else created is not.
    async with producer(kafka, prefix) as stranger, worker(kafka, prefix):
        for topic in (Topic.REQUEST_COUNTS, Topic.SCALE_RESULTS):
            await send(stranger, prefix + topic, [b"poison", b"poison"], compression=CODECS[codec])
        await records(kafka, prefix + Topic.DEAD_LETTER, lambda found: len(found) == 4)


async def test_the_broker_refuses_what_is_small_only_while_it_is_packed(kafka: EmbeddedKafka, prefix: str) -> None:
    async with producer(kafka, prefix) as stranger:
        with pytest.raises(MessageSizeTooLargeError):
            await send(stranger, prefix + Topic.REQUEST_COUNTS, [b"\x00" * 10_000_000], compression=CODECS["zstd"])
