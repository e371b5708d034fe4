"""A Kafka client is ended to its end, whoever waits for it."""

import asyncio

import pytest

from consumer.adapters.kafka.leaving import end_client


class _Client:
    """Ends when it is let; a second call does nothing, as aiokafka's clients have it."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: OSError | None = None

    async def stop(self) -> None:
        if self.begun.is_set():
            return
        self.begun.set()
        await self.let.wait()
        self.ended.set()
        if self.error is not None:
            raise self.error


async def test_whoever_waits_for_the_end_gets_its_error() -> None:
    client = _Client()
    client.error = OSError("cut off")
    client.let.set()

    with pytest.raises(OSError, match="cut off"):
        await end_client(client)


@pytest.mark.parametrize("error", [None, OSError("cut off")])
async def test_a_client_whose_end_nobody_waits_for_any_more_ends_all_the_same(error: OSError | None) -> None:
    client = _Client()
    client.error = error
    waiting = asyncio.create_task(end_client(client))
    await client.begun.wait()

    waiting.cancel()
    await asyncio.wait({waiting})
    client.let.set()

    await client.ended.wait()
    assert waiting.cancelled()
