"""aiokafka gives up now and then as if we had cancelled it: told as a failure of Kafka's, or nobody would know."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError


class GaveUpError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka cancelled a task of its own and waited for it: its CancelledError is nobody's wish."""


@contextmanager
def strays_as_failures() -> Iterator[None]:
    """Tell a cancellation that nobody asked for as GaveUpError.

    A task group takes a cancelled task for one that was to end: without this a worker ends in silence, and its process
    lives on without it.
    """
    try:
        yield
    except asyncio.CancelledError as stray:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise GaveUpError("the client cancelled what it was doing") from stray


class _Pending(set[Any]):
    """The batches that are on their way; who is no more among them can be taken out again."""

    remove = set.discard


def calm(producer: AIOKafkaProducer) -> None:
    """Let a producer that fails, as one that is fenced does, fail without exceptions in callbacks of its own.

    A batch that waits to be sent again is not pending; when it is given up then, aiokafka takes it out once more.
    """
    producer._message_accumulator._pending_batches = _Pending()  # noqa: SLF001 - it has no public name
