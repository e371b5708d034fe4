"""The idempotent way out on Kafka, with a new producer whenever one fell out of step."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from consumer.adapters.kafka.connection import KafkaConnection, moment
from consumer.adapters.kafka.leaving import end_client
from consumer.adapters.kafka.strays import calm, strays_as_failures
from consumer.ports import Guarded, Operation, Output, Permit, Placed
from schemas.topics import MAX_MESSAGE_BYTES


class KafkaPublisher:
    """Publishes records, many at once; opened by `open`, or by the first of them."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def publish(self, output: Output) -> Placed:
        """Return when all in-sync replicas have it; raises LogError, also when that is not known."""
        needed = Permit(Guarded.TOPIC, output.topic, Operation.WRITE)
        producer = await self._opened(needed)
        try:
            with strays_as_failures():
                metadata = await _send(producer, output)
        except MessageSizeTooLargeError as error:
            raise self._connection.failed(f"publishing to {output.topic}", error, needed) from error
        except (KafkaError, OSError, AssertionError) as error:
            # A batch that was given up leaves a gap in the producer's sequence: everything after it would fail.
            if self._producer is producer:
                self._producer = None
            await self._stop(producer)
            raise self._connection.failed(f"publishing to {output.topic}", error, needed) from error
        return Placed(metadata.topic, metadata.partition, metadata.offset, moment(metadata.timestamp))

    async def open(self) -> None:
        """Open now, so that the first record does not wait for it; raises LogError when Kafka is away."""
        await self._opened()

    async def close(self) -> None:
        """Deliver what is on its way, then end; a broker that is gone is not waited for longer than for one answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._connection.request_timeout.total_seconds()):
                async with self._opening:
                    producer, self._producer = self._producer, None
                if producer is not None:
                    await self._stop(producer)

    async def _opened(self, *needed: Permit) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                self._producer = await self._open(needed)
            return self._producer

    async def _open(self, needed: Sequence[Permit]) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._connection.options(),
            enable_idempotence=True,
            acks="all",
            max_request_size=MAX_MESSAGE_BYTES,
            max_batch_size=MAX_MESSAGE_BYTES,
        )
        calm(producer)
        try:
            with strays_as_failures():
                await producer.start()
        except (KafkaError, OSError) as error:
            await self._stop(producer)
            raise self._connection.failed("opening the publisher", error, *needed) from error
        except BaseException:
            await self._stop(producer)
            raise
        return producer

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        try:
            await end_client(producer)
        except (KafkaError, OSError):
            # It was out of step or cut off: what it held was reported as failed already.
            return


async def _send(producer: AIOKafkaProducer, output: Output) -> RecordMetadata:
    return await producer.send_and_wait(
        output.topic,
        value=output.value,
        key=output.key,
        partition=output.partition,
        headers=list(output.headers),
    )
