"""Callers that send a little now and then, so as to be waited for: each is cut off, and the others are answered."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import repeat

import pytest

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from tests.gateway.bed import BODY, INCOMING, SETTINGS, ports, running

# Between two bytes passes a tenth of what a head, and of what a body, may take.
PAUSE = 0.01
_SOON = timedelta(seconds=10 * PAUSE)
QUICK = replace(SETTINGS, keepalive=_SOON, read_timeout=_SOON, linger=_SOON)
# Below what production waits for: whoever does not keep to the settings hangs until then.
LIMIT = 25
HEAD = f"POST {INCOMING} HTTP/1.1\r\nHost: x\r\n".encode()
MANY = 200


def _bytes_of_a_head() -> Iterator[bytes]:
    yield HEAD
    yield from repeat(b"X-More: y\r\n")


def _bytes_of_a_name() -> Iterator[bytes]:
    yield HEAD
    yield from repeat(b"x")


def _bytes_before_a_head() -> Iterator[bytes]:
    yield from repeat(b"\r\n")


def _bytes_of_a_body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 16000\r\n\r\n"
    yield from repeat(b" ")


def _bytes_of_chunks() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from repeat(b"1\r\n \r\n")


def _bytes_of_a_second_head() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    yield HEAD
    yield from repeat(b"X-More: y\r\n")


SLOW = (
    _bytes_of_a_head,
    _bytes_of_a_name,
    _bytes_before_a_head,
    _bytes_of_a_body,
    _bytes_of_chunks,
    _bytes_of_a_second_head,
)


async def _drips(port: int, pieces: Iterator[bytes]) -> None:
    """Send piece by piece, for ever; return when the other side has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    closed = asyncio.ensure_future(reader.read())
    try:
        for piece in pieces:
            if closed.done():
                break
            writer.write(piece)
            await asyncio.wait((closed,), timeout=PAUSE)
        await closed
    except ConnectionError:
        # It was cut off while something was on its way.
        return
    finally:
        closed.cancel()
        writer.close()


@pytest.mark.parametrize("pieces", SLOW, ids=lambda pieces: pieces.__name__.strip("_"))
async def test_whoever_sends_a_little_now_and_then_is_cut_off(log: MemoryLog, pieces: type[Iterator[bytes]]) -> None:
    async with running(ports(MemoryPublisher(log)), QUICK) as caller, asyncio.timeout(LIMIT):
        await _drips(caller.port, pieces())


async def test_while_many_of_them_hold_connections_others_are_answered(log: MemoryLog) -> None:
    settings = replace(SETTINGS, keepalive=timedelta(minutes=1), read_timeout=timedelta(minutes=1))
    async with running(ports(MemoryPublisher(log)), settings) as caller, asyncio.timeout(60):
        slow = [asyncio.ensure_future(_drips(caller.port, SLOW[number % len(SLOW)]())) for number in range(MANY)]
        for _ in range(20):
            assert (await caller.call())[0] == 200
        assert not [one for one in slow if one.done()]
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
