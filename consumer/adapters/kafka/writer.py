"""The transactional writers on Kafka: one per partition, and whoever opens one fences all before it."""

import asyncio
from collections.abc import Sequence
from itertools import chain

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from consumer.adapters.kafka.connection import KafkaConnection, milliseconds, moment
from consumer.adapters.kafka.leaving import end_client
from consumer.adapters.kafka.strays import calm, strays_as_failures
from consumer.ports import FencedError, Guarded, LogError, Operation, Output, Permit, Placed, Transaction
from schemas.topics import MAX_MESSAGE_BYTES

# A broker that still ends the transaction before refuses the records of the next one for a moment (as "not enough
# replicas"); at aiokafka's default of 100 ms that moment was the whole of a wake's p99.
_RETRY_MS = 20
_Sent = asyncio.Future[RecordMetadata]


class KafkaWriters:
    """Opens the transactional writers of one group's partitions."""

    def __init__(self, connection: KafkaConnection, group: str) -> None:
        self._connection = connection
        self._group = group

    async def open(self, partition: int) -> "KafkaWriter":
        """Start a producer with the partition's transactional id: that fences, and aborts what was left open."""
        name = f"{self._group}-{partition}"
        producer = AIOKafkaProducer(
            **self._connection.options(),
            transactional_id=name,
            transaction_timeout_ms=milliseconds(self._connection.transaction_timeout),
            enable_idempotence=True,
            acks="all",
            retry_backoff_ms=_RETRY_MS,
            max_request_size=MAX_MESSAGE_BYTES,
            max_batch_size=MAX_MESSAGE_BYTES,
        )
        calm(producer)
        try:
            with strays_as_failures():
                await producer.start()
        except (KafkaError, OSError) as error:
            await end_client(producer)
            raise self._connection.failed(f"opening the writer {name}", error, _as_owner(self._group)) from error
        except BaseException:
            await end_client(producer)
            raise
        return KafkaWriter(self._connection, self._group, producer)


class KafkaWriter:
    """One opening of a partition's writer; after any failure it writes nothing more."""

    def __init__(self, connection: KafkaConnection, group: str, producer: AIOKafkaProducer) -> None:
        self._connection = connection
        self._group = group
        self._producer = producer
        manager = producer._txn_manager  # noqa: SLF001 - aiokafka has no public name for the id it was given
        self._identity = f"{manager.producer_id}-{manager.producer_epoch}"
        self._broken = False

    @property
    def identity(self) -> str:
        """Producer id and epoch."""
        return self._identity

    async def commit(self, transaction: Transaction) -> tuple[Placed, ...]:
        """Write all in one transaction; it is open no longer than this takes."""
        if self._broken:
            raise LogError(f"writer {self._identity} failed before; open a new one")
        # Until the end is known: a cancelled commit is one of unknown outcome.
        self._broken = True
        try:
            with strays_as_failures():
                placed = await self._write(transaction)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise FencedError(f"writer {self._identity} of {self._group} was fenced by a newer owner") from error
        # An illegal operation is a record that came when the transaction had failed behind our back.
        except (KafkaError, IllegalOperation, OSError, AssertionError) as error:
            needed = _needed(self._group, transaction)
            raise self._connection.failed(f"a transaction of writer {self._identity}", error, *needed) from error
        self._broken = False
        return placed

    async def _write(self, transaction: Transaction) -> tuple[Placed, ...]:
        await self._producer.begin_transaction()
        sent: list[_Sent] = []
        try:
            for output in transaction.outputs:
                sent.append(await self._send(output))  # noqa: PERF401 - those sent before a failure must be known
            if transaction.offsets:
                offsets = {TopicPartition(*place): offset for place, offset in transaction.offsets.items()}
                await self._producer.send_offsets_to_transaction(offsets, self._group)
            # The first failure is the one worth telling, and a commit would hide it.
            placed = tuple([_placed(await future) for future in sent])
            await self._producer.commit_transaction()
        except BaseException:
            self._hush(sent)
            raise
        return placed

    def _hush(self, sent: Sequence[_Sent]) -> None:
        """What failed is told once; its echoes, which aiokafka keeps in futures, must not be reported as lost."""
        manager, unsent = self._producer._txn_manager, self._producer._message_accumulator  # noqa: SLF001 - as above
        batches = chain(*unsent._batches.values(), unsent._pending_batches)  # noqa: SLF001
        waiting = [batch._drain_waiter for batch in batches]  # noqa: SLF001
        for future in (*sent, *waiting, manager.wait_for_transaction_end()):
            future.add_done_callback(_heard)

    async def _send(self, output: Output) -> _Sent:
        future: _Sent = await self._producer.send(
            output.topic,
            value=output.value,
            key=output.key,
            partition=output.partition,
            headers=list(output.headers),
        )
        return future

    async def close(self) -> None:
        """End the producer; a transaction that is still open is left to the next opening, which aborts it."""
        self._broken = True
        try:
            await end_client(self._producer)
        except (KafkaError, OSError):
            # It was fenced or cut off: there is nothing left to give up.
            return


def _as_owner(group: str) -> Permit:
    """The transactional ids of all partitions begin alike."""
    return Permit(Guarded.TRANSACTIONAL_ID, f"{group}-", Operation.WRITE, prefixed=True)


def _needed(group: str, transaction: Transaction) -> Sequence[Permit]:
    topics = sorted({output.topic for output in transaction.outputs})
    written = [Permit(Guarded.TOPIC, topic, Operation.WRITE) for topic in topics]
    return [*written, Permit(Guarded.GROUP, group, Operation.READ), _as_owner(group)]


def _placed(answer: RecordMetadata) -> Placed:
    return Placed(answer.topic, answer.partition, answer.offset, moment(answer.timestamp))


def _heard(future: _Sent) -> None:
    if not future.cancelled():
        future.exception()
