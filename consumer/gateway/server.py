"""The application and its server: started on a port, drained when it ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from aiohttp import web

from consumer.gateway.callers import only_with
from consumer.gateway.delivery import Delivery
from consumer.gateway.pages import Pages
from consumer.gateway.wiring import GatewayPorts, GatewaySettings

log = structlog.get_logger(__name__)

_SECOND = timedelta(seconds=1)


@asynccontextmanager
async def serving(ports: GatewayPorts, settings: GatewaySettings, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs, and yield the port: the given one, or a free one when that is 0.

    At the end no new connection is taken and requests that are being answered are waited for (`drain`). Raises
    OSError when the address can not be had.
    """
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    async with asyncio.TaskGroup() as tasks:
        delivery = Delivery(ports.publisher, tasks, settings)
        runner = web.AppRunner(
            gateway(ports, settings, delivery),
            access_log=None,
            keepalive_timeout=settings.keepalive / _SECOND,
            lingering_time=settings.linger / _SECOND,
            shutdown_timeout=settings.drain / _SECOND,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listening, ssl_context=settings.secure).start()
            bound: int = listening.getsockname()[1]
            log.info("gateway listens", host=host, port=bound)
            yield bound
        finally:
            await runner.cleanup()
            delivery.give_up()


def gateway(ports: GatewayPorts, settings: GatewaySettings, delivery: Delivery) -> web.Application:
    """Build the application."""
    guards = [] if settings.token is None else [only_with(settings.token)]
    app = web.Application(client_max_size=settings.body_limit, middlewares=guards)
    app.add_routes(Pages(ports, settings, delivery).routes())
    return app
