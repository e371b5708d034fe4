"""The doors of a chaos run: what comes through in each trouble, on a real connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from consumer.children import HOST
from tests.chaos.deeds import Trouble
from tests.chaos.doors import Door, door

_FOR_EVER = timedelta(hours=1)


@asynccontextmanager
async def echo() -> AsyncIterator[Door]:
    """A door before a server that says what it is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with door(int(server.sockets[0].getsockname()[1])) as made:
        yield made
    server.close()


async def test_what_is_said_comes_through_and_so_does_the_end() -> None:
    async with echo() as made:
        reader, writer = await asyncio.open_connection(HOST, made.at)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_cut_resets_what_is_open_and_refuses_what_comes() -> None:
    async with echo() as made, asyncio.TaskGroup() as tasks:
        reader, writer = await asyncio.open_connection(HOST, made.at)
        writer.write(b"hello")
        await reader.readexactly(5)
        trouble = tasks.create_task(made.trouble(Trouble.CUT, _FOR_EVER))
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        another, second = await asyncio.open_connection(HOST, made.at)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await another.readexactly(1)
        assert made.cuts == 1
        writer.close()
        second.close()
        trouble.cancel()


async def test_what_is_held_arrives_afterwards() -> None:
    async with echo() as made, asyncio.TaskGroup() as tasks:
        reader, writer = await asyncio.open_connection(HOST, made.at)
        writer.write(b"one")
        await reader.readexactly(3)
        trouble = tasks.create_task(made.trouble(Trouble.HOLD, _FOR_EVER))
        await asyncio.sleep(0)
        writer.write(b"two")
        answer = tasks.create_task(reader.readexactly(3))
        assert await asyncio.wait((answer,), timeout=0.05) == (set(), {answer})
        trouble.cancel()
        assert await answer == b"two"
        writer.close()
