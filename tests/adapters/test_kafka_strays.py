"""A client of Kafka that gives up as if it had been cancelled: that is a failure, and it is closed all the same."""

import asyncio
import contextlib
import gc

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.adapters.kafka.leaving import end_client, to_its_end
from consumer.adapters.kafka.strays import GaveUpError, calm, strays_as_failures


async def _cancelled_from_inside() -> None:
    """What aiokafka does: it cancels a task before that could begin, and waits for it."""
    inner = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    with pytest.raises(GaveUpError), strays_as_failures():
        await _cancelled_from_inside()


async def test_a_cancellation_that_somebody_asked_for_stays_one() -> None:
    async def work() -> None:
        with strays_as_failures():
            await asyncio.Event().wait()

    working = asyncio.get_running_loop().create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_a_time_that_is_up_stays_that() -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            with strays_as_failures():
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()


async def test_a_consumer_whose_fetch_had_not_begun_when_it_was_stopped_is_closed() -> None:
    """The very case: it waits for a fetch that it cancelled before its first step."""
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    client = consumer._client  # noqa: SLF001 - what has to be closed in the end
    client._sync_task = asyncio.get_running_loop().create_task(asyncio.sleep(60))  # noqa: SLF001
    synchronizing = client._sync_task  # noqa: SLF001

    class Fetcher:
        async def close(self) -> None:
            await _cancelled_from_inside()

    consumer._fetcher = Fetcher()  # noqa: SLF001 - it has one when it is started, which needs a broker
    await end_client(consumer)
    assert client._sync_task is None  # noqa: SLF001
    with contextlib.suppress(asyncio.CancelledError):
        await synchronizing
    assert synchronizing.cancelled()


async def test_a_producer_that_fails_while_a_batch_waits_to_be_sent_again_fails_quietly() -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    calm(producer)
    pending = producer._message_accumulator._pending_batches  # noqa: SLF001
    batch = object()
    pending.add(batch)
    pending.remove(batch)
    pending.remove(batch)
    assert not pending
    await producer.stop()


async def test_a_failure_of_what_was_cut_off_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """A commit of offsets that fails behind whoever was cut off: the loop would say that nobody heard of it."""
    fails, begun = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await fails.wait()
        raise ConnectionError("the broker is gone")

    waiting = asyncio.get_running_loop().create_task(to_its_end(work()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    fails.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert not caplog.records
