"""A TCP door before a server that can fall silent without closing, as a lost node or a stateful firewall does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Valve:
    """What comes through it; `silent`: nothing does any more, on connections that are open now."""

    host: str
    port: int
    at: int = 0
    opened: int = 0
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def fall_silent(self) -> None:
        """Swallow everything on every connection there is; new ones are served."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def close(self) -> None:
        """End every connection, also those that fell silent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        flowing = self._flowing
        there_reader, there_writer = await asyncio.open_connection(self.host, self.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pour(reader, there_writer, flowing))
                tasks.create_task(_pour(there_reader, writer, flowing))
        finally:
            writer.close()
            there_writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
    try:
        while data := await reader.read(65536):
            if flowing.is_set():
                writer.write(data)
                await writer.drain()
    except ConnectionError:
        return
    finally:
        if flowing.is_set():
            writer.close()


@asynccontextmanager
async def before(host: str, port: int) -> AsyncIterator[Valve]:
    """Open the door on a free port."""
    valve = Valve(host, port)
    valve._flowing.set()  # noqa: SLF001 - its own maker
    server = await asyncio.start_server(valve.serve, "127.0.0.1", 0)
    valve.at = server.sockets[0].getsockname()[1]
    try:
        yield valve
    finally:
        server.close()
        await valve.close()
