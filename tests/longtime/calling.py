"""Calls of a gateway's pages without a socket: bytes in, bytes out, in whatever time its loop has."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from consumer.gateway import GatewayPorts, GatewaySettings
from consumer.gateway.delivery import Delivery
from consumer.gateway.server import gateway

Ask = Callable[[str, str], "asyncio.Future[int]"]
"""Ask for a service by namespace and name; the answer is the status."""


class _Line(asyncio.Transport):
    """The server's end of a connection, which keeps the status of the first answer."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self._protocol = protocol
        self._closing = False
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.status.done():
            _, status, _ = bytes(data).split(b" ", 2)
            self.status.set_result(int(status))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


@asynccontextmanager
async def answering(ports: GatewayPorts, settings: GatewaySettings) -> AsyncIterator[Ask]:
    """A gateway that can be asked."""
    async with asyncio.TaskGroup() as tasks:
        delivery = Delivery(ports.publisher, tasks, settings)
        runner = web.AppRunner(gateway(ports, settings, delivery), access_log=None)
        await runner.setup()
        server = runner.server
        assert server is not None

        def ask(namespace: str, name: str) -> asyncio.Future[int]:
            body = f'{{"count":1,"svc":"{name}","namespace":"{namespace}"}}'
            head = f"POST /informer/incoming-request HTTP/1.1\r\nHost: elasti\r\nContent-Length: {len(body)}"
            protocol = server()
            line = _Line(protocol)
            protocol.data_received(f"{head}\r\nConnection: close\r\n\r\n{body}".encode())
            return line.status

        try:
            yield ask
        finally:
            await runner.cleanup()
            delivery.give_up()
