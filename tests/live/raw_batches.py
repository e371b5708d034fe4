"""Batches as some producer in another language may send them: names of headers in any bytes, any compression."""

import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

_MAGIC = 2


class _Bytes(str):
    """A text that is these bytes once it is encoded, whatever it says."""

    raw: bytes

    __slots__ = ("raw",)

    def __new__(cls, raw: bytes) -> "_Bytes":
        made = super().__new__(cls, raw.hex())
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002 - the text's own form
        return self.raw


async def send(
    producer: AIOKafkaProducer, topic: str, values: list[bytes], *, header: bytes = b"", compression: int = 0
) -> int:
    """Send one batch to partition 0, each record with a header of that name; returns the offset of the first."""
    builder = _DefaultRecordBatchBuilderPy(_MAGIC, compression, 0, -1, -1, -1, 2**30)
    for number, value in enumerate(values):
        headers = [(_Bytes(header), b"v")] if header else []
        builder.append(number, int(time.time() * 1000), None, value, headers)
    batch: Any = producer.create_batch()
    batch._builder, batch._relative_offset = builder, len(values)  # noqa: SLF001 - its own builder refuses such names
    sent = await (await producer.send_batch(batch, topic, partition=0))
    offset: int = sent.offset
    return offset
