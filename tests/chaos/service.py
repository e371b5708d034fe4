"""One address before several processes, as a Kubernetes Service is: a connection goes to one that takes it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

from consumer.children import HOST


@asynccontextmanager
async def balanced(ports: Sequence[int]) -> AsyncIterator[int]:
    """Serve on a free port, which is yielded, by those behind these ports in turn."""
    turn = count()
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        with suppress(asyncio.CancelledError):
            await _carry(ports, next(turn), reader, writer)
        writer.transport.abort()
        open_now.discard(task)

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tuple(open_now):
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


async def _carry(ports: Sequence[int], turn: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for offset in range(len(ports)):
        try:
            there, back = await asyncio.open_connection(HOST, ports[(turn + offset) % len(ports)])
        except OSError:
            continue
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pour(reader, back))
                tasks.create_task(_pour(there, writer))
        finally:
            back.transport.abort()
        return


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort() if writer.transport.is_closing() else writer.close()
