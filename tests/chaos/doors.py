"""A TCP door between one process and one server: it can be cut, hold everything back, or be slow."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from consumer.children import HOST
from tests.chaos.deeds import Trouble

_CHUNK = 262_144
_LATE = timedelta(milliseconds=400)
_LIMIT = 10.0


@dataclass(slots=True)
class Door:
    """`at` is what the process is told, `leads_to` the port behind; one trouble at a time."""

    at: int = 0
    leads_to: int = 0
    cuts: int = 0
    """Connections that were reset."""
    _trouble: Trouble | None = None
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def trouble(self, kind: Trouble, length: timedelta) -> None:
        """Be in trouble for that long."""
        self._trouble = kind
        if kind is Trouble.HOLD:
            self._free.clear()
        if kind is Trouble.CUT:
            self._reset()
        try:
            await asyncio.sleep(length.total_seconds())
        finally:
            self._trouble = None
            self._free.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            # By `_reset`: without lingering, the other end gets a reset in place of an end.
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        self._open.discard(task)

    async def close(self) -> None:
        """End every connection."""
        tasks = tuple(self._open)
        self._reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reset(self) -> None:
        self.cuts += len(self._open)
        for task in tuple(self._open):
            task.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._trouble is Trouble.CUT or not self.leads_to:
            return
        try:
            async with asyncio.timeout(_LIMIT):
                there_reader, there_writer = await asyncio.open_connection(HOST, self.leads_to)
        except (OSError, TimeoutError):
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pour(reader, there_writer))
                tasks.create_task(self._pour(there_reader, writer))
        finally:
            there_writer.transport.abort()

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._free.wait()
                if self._trouble is Trouble.DELAY:
                    await asyncio.sleep(_LATE.total_seconds())
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            return
        # A connection that broke on one side is no use on the other.
        writer.transport.abort()


@asynccontextmanager
async def door(leads_to: int = 0) -> AsyncIterator[Door]:
    """Open a door on a free port."""
    made = Door(leads_to=leads_to)
    made._free.set()  # noqa: SLF001 - its own maker
    server = await asyncio.start_server(made.serve, HOST, 0)
    made.at = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await made.close()
