"""The routes: the resolvers' call, and the pages that tell how the process is."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web

from consumer.core.service import ServiceKey
from consumer.gateway.bodies import bad_body, body_of, come_back, json, seconds, text, wrong_method
from consumer.gateway.delivery import Delivery, Place, output_for, request_in
from consumer.gateway.wakes import WAKE, WakeCall, encode_error, status_of
from consumer.gateway.wiring import DirectWake, GatewayPorts, GatewaySettings, HealthReport
from consumer.ports import TargetBusyError, TargetError
from consumer.telemetry import Intake
from schemas.cloudevents import TRACEPARENT, trace_of
from schemas.codec import Undecodable
from schemas.request_count import RequestCount

log = structlog.get_logger(__name__)

INCOMING = "/informer/incoming-request"
RECEIVED = b'{"message":"Request received successfully!"}'
WOKEN = b'{"message":"The cluster took it, or had it already"}'

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
            web.route("*", INCOMING, self.only_post),
            web.post(WAKE, self.wake),
            web.route("*", WAKE, self.only_post),
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/crd-cache", self.crd_cache),
            web.route("*", "/crd-cache", self.only_get),
        ]

    async def incoming(self, request: web.Request) -> web.Response:
        """Answer 200 only for what is durable in the log, or was carried out."""
        body = await body_of(request, self._settings)
        seen = request_in(body) if isinstance(body, bytes) else body
        match seen:
            case RequestCount():
                traces = request.headers.getall(TRACEPARENT, ())
                trace = trace_of(tuple((TRACEPARENT, value.encode(errors="surrogateescape")) for value in traces))
                return await self._received(seen, trace)
            case Undecodable():
                self._count(Intake.REFUSED)
                return bad_body(request, seen.cause)
            case _:
                self._count(Intake.REFUSED)
                return seen

    async def wake(self, request: web.Request) -> web.Response:
        """Carry out a wake for a gateway that has no handler in its own process."""
        handler = self._ports.handler
        if handler is None:
            return text(HTTPStatus.NOT_FOUND, "This process has no handler; ask one that runs with role handler")
        body = await body_of(request, self._settings)
        if isinstance(body, web.Response):
            return body
        try:
            call = WakeCall.decode(body)
        except ValueError as wrong:
            return bad_body(request, str(wrong))
        error = await self._woken_by(handler, call)
        return json(HTTPStatus.OK, WOKEN) if error is None else self._refused(error)

    def _refused(self, error: TargetError) -> web.Response:
        response = json(status_of(error), encode_error(error))
        if isinstance(error, TargetBusyError):
            response.headers["Retry-After"] = seconds(error.retry_after or self._settings.retry_after)
            # Its next connection may find another handler, which the cluster answers sooner.
            response.force_close()
        return response

    async def only_post(self, _request: web.Request) -> web.Response:
        """Answer as KubeElasti does."""
        return wrong_method("Invalid request method", "POST")

    async def only_get(self, _request: web.Request) -> web.Response:
        """Answer as KubeElasti does."""
        return wrong_method("Method not allowed", "GET, HEAD")

    async def metrics(self, request: web.Request) -> web.Response:
        """Serve the scrape."""
        content, headers = self._ports.telemetry.render(request.headers.getall("Accept", ()))
        return web.Response(body=content, headers=dict(headers))

    async def healthz(self, _request: web.Request) -> web.Response:
        """Answer 200 while the loops of all parts turn; anything else asks for a restart."""
        reports = self._reports()
        return self._page("healthy", reports, good=all(report.moving for report in reports))

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 when all parts do their whole job, or would if Kafka were not away and wakes go without it.

        Whoever is not ready is sent no requests: in an outage of Kafka that would end the direct wakes too.
        """
        reports = self._reports()
        direct = self._ports.direct is not None
        return self._page("ready", reports, good=all(each.ready or (each.away and direct) for each in reports))

    async def crd_cache(self, _request: web.Request) -> web.Response:
        """Serve the resources as KubeElasti's operator v0.1.30 does.

        Told anything but 200, resolvers keep what they have: a list that is not read yet must not look like an empty
        one.
        """
        resources = self._ports.resources
        if resources is None:
            return text(HTTPStatus.NOT_FOUND, "This process reads no policies; ask one that runs a worker or a handler")
        try:
            async with asyncio.timeout(self._settings.direct_patience / _SECOND):
                await resources.listed()
        except TimeoutError:
            return come_back("The policies are not read yet; ask again", self._settings.retry_after)
        services = {
            str(key): {"name": each.name, "spec": orjson.Fragment(each.spec), "status": orjson.Fragment(each.status)}
            for key, each in resources.resources().items()
        }
        return json(HTTPStatus.OK, orjson.dumps({"services": services}))

    async def _received(self, request: RequestCount, trace: str | None) -> web.Response:
        if await self._logged(request, trace):
            self._count(Intake.LOGGED)
            return json(HTTPStatus.OK, RECEIVED)
        # Zero requests wake nobody, so there is nothing to carry out either.
        if request.count and await self._woken(ServiceKey(request.namespace, request.svc), trace):
            self._count(Intake.WOKEN_DIRECTLY)
            return json(HTTPStatus.OK, RECEIVED)
        self._count(Intake.UNAVAILABLE)
        return come_back("Kafka did not take the request in time; send it again", self._settings.retry_after)

    async def _logged(self, request: RequestCount, trace: str | None) -> bool:
        partitions = self._ports.partitions()
        if partitions is None:
            return False
        place = Place(self._settings.topic_of(request.namespace), partitions)
        return await self._delivery.take(output_for(request, place, trace))

    async def _woken(self, key: ServiceKey, trace: str | None) -> bool:
        if self._ports.direct is None:
            return False
        return await self._woken_by(self._ports.direct, WakeCall(key, trace)) is None

    async def _woken_by(self, way: DirectWake, call: WakeCall) -> TargetError | None:
        patience = self._settings.direct_patience
        try:
            async with asyncio.timeout(patience / _SECOND):
                await way.wake(call.key, call.trace)
        except TargetError as error:
            log.warning("direct wake failed", service=str(call.key), code=error.code, error=str(error))
            return error
        except TimeoutError:
            late = TargetBusyError(f"{call.key}: the cluster did not answer within {patience}; ask again")
            log.warning("direct wake failed", service=str(call.key), code=late.code, error=str(late))
            return late
        return None

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
        return json(status, orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))

    def _count(self, result: Intake) -> None:
        self._ports.telemetry.intake(result)
