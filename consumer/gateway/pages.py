"""The routes: the resolvers' call, and the pages that tell how the process is."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web

from consumer.core.service import ServiceKey
from consumer.gateway.delivery import Delivery, output_for, request_in
from consumer.gateway.wiring import GatewayPorts, GatewaySettings, HealthReport
from consumer.ports import TargetError
from consumer.telemetry import Intake
from schemas.cloudevents import TRACEPARENT, trace_of
from schemas.codec import Undecodable
from schemas.request_count import RequestCount

log = structlog.get_logger(__name__)

INCOMING = "/informer/incoming-request"
RECEIVED = b'{"message":"Request received successfully!"}'
INVALID_BODY = "Invalid request body"
INVALID_METHOD = "Invalid request method"

_SECOND = timedelta(seconds=1)


class Pages:
    """The handlers of all routes."""

    def __init__(self, ports: GatewayPorts, settings: GatewaySettings, delivery: Delivery) -> None:
        self._ports = ports
        self._settings = settings
        self._delivery = delivery

    def routes(self) -> list[web.RouteDef]:
        """Return what is served where."""
        return [
            web.post(INCOMING, self.incoming),
            web.route("*", INCOMING, self.wrong_method),
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/crd-cache", self.crd_cache),
        ]

    async def incoming(self, request: web.Request) -> web.Response:
        """Answer 200 only for what is durable in the log, or was carried out."""
        try:
            async with asyncio.timeout(self._settings.read_timeout / _SECOND):
                body = await request.read()
        except TimeoutError:
            self._count(Intake.REFUSED)
            return _text(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time")
        except web.HTTPRequestEntityTooLarge:
            self._count(Intake.REFUSED)
            limit = self._settings.body_limit
            return _text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Request body is larger than {limit} bytes")
        except web.RequestPayloadError as error:
            # It is not encoded, or not chunked, as its headers say.
            self._count(Intake.REFUSED)
            log.info("bad request body", cause=str(error), peer=request.remote)
            return _text(HTTPStatus.BAD_REQUEST, INVALID_BODY)
        seen = request_in(body)
        if isinstance(seen, Undecodable):
            self._count(Intake.REFUSED)
            log.info("bad request body", cause=seen.cause, peer=request.remote)
            return _text(HTTPStatus.BAD_REQUEST, INVALID_BODY)
        trace = trace_of(tuple((TRACEPARENT, value.encode()) for value in request.headers.getall(TRACEPARENT, ())))
        return await self._received(seen, trace)

    async def wrong_method(self, _request: web.Request) -> web.Response:
        """Answer as KubeElasti does."""
        response = _text(HTTPStatus.METHOD_NOT_ALLOWED, INVALID_METHOD)
        response.headers["Allow"] = "POST"
        return response

    async def metrics(self, request: web.Request) -> web.Response:
        """Serve the scrape."""
        content, headers = self._ports.telemetry.render(request.headers.getall("Accept", ()))
        return web.Response(body=content, headers=dict(headers))

    async def healthz(self, _request: web.Request) -> web.Response:
        """Answer 200 while the loops of all parts turn; anything else asks for a restart."""
        reports = self._reports()
        return self._page("healthy", reports, good=all(report.moving for report in reports))

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 when all parts do their whole job."""
        reports = self._reports()
        return self._page("ready", reports, good=all(report.ready for report in reports))

    async def crd_cache(self, _request: web.Request) -> web.Response:
        """Serve the resources as KubeElasti's operator v0.1.30 does; 404 lets resolvers keep what they have."""
        if self._ports.resources is None:
            return _text(
                HTTPStatus.NOT_FOUND, "This process reads no policies; ask one that runs a worker or a handler"
            )
        services = {
            str(key): {"name": text.name, "spec": orjson.Fragment(text.spec), "status": orjson.Fragment(text.status)}
            for key, text in self._ports.resources.resources().items()
        }
        return _json(HTTPStatus.OK, orjson.dumps({"services": services}))

    async def _received(self, request: RequestCount, trace: str | None) -> web.Response:
        if await self._delivery.take(output_for(request, self._settings, trace)):
            self._count(Intake.LOGGED)
            return _json(HTTPStatus.OK, RECEIVED)
        # Zero requests wake nobody, so there is nothing to carry out either.
        if request.count and await self._woken(ServiceKey(request.namespace, request.svc), trace):
            self._count(Intake.WOKEN_DIRECTLY)
            return _json(HTTPStatus.OK, RECEIVED)
        self._count(Intake.UNAVAILABLE)
        response = _text(HTTPStatus.SERVICE_UNAVAILABLE, "Kafka did not take the request in time; send it again")
        response.headers["Retry-After"] = str(max(round(self._settings.retry_after / _SECOND), 1))
        return response

    async def _woken(self, key: ServiceKey, trace: str | None) -> bool:
        if self._ports.direct is None:
            return False
        try:
            async with asyncio.timeout(self._settings.direct_patience / _SECOND):
                await self._ports.direct.wake(key, trace)
        except (TargetError, TimeoutError) as error:
            log.warning("direct wake failed", service=str(key), error=str(error) or "no answer in time")
            return False
        return True

    def _reports(self) -> list[HealthReport]:
        return [part.health() for part in self._ports.health]

    def _page(self, what: str, reports: list[HealthReport], *, good: bool) -> web.Response:
        settings = self._settings
        content = {
            what: good,
            "cluster": f"{settings.cluster} (SIMULATED)" if settings.simulated else settings.cluster,
            "parts": reports,
        }
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(status, orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))

    def _count(self, result: Intake) -> None:
        self._ports.telemetry.intake(result)


def _text(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _json(status: HTTPStatus, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
