"""Bodies of calls: read within their limits, or answered with what is wrong about them."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

import structlog
from aiohttp import web

from consumer.gateway.wiring import GatewaySettings

log = structlog.get_logger(__name__)

_SECOND = timedelta(seconds=1)


async def body_of(request: web.Request, settings: GatewaySettings) -> bytes | web.Response:
    """Return the body, or the answer to one that is too large, too late, or not what its headers say."""
    try:
        async with asyncio.timeout(settings.read_timeout / _SECOND):
            return await request.read()
    except TimeoutError:
        return text(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time")
    except web.HTTPRequestEntityTooLarge:
        return text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Request body is larger than {settings.body_limit} bytes")
    except web.RequestPayloadError as error:
        return bad_body(request, str(error))


def bad_body(request: web.Request, cause: str) -> web.Response:
    """Refuse a body; the cause goes to the log, for the caller is a program."""
    log.info("bad request body", cause=cause, peer=request.remote, path=request.path)
    return plain_error(HTTPStatus.BAD_REQUEST, "Invalid request body")


def text(status: HTTPStatus, words: str) -> web.Response:
    """Answer with words."""
    return web.Response(status=status, text=words)


def json(status: HTTPStatus, body: bytes) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=body, content_type="application/json")


def plain_error(status: HTTPStatus, words: str) -> web.Response:
    """Answer as KubeElasti's operator does, to the byte: its HTTP library ends the words with a newline."""
    response = text(status, words + "\n")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def wrong_method(words: str, allowed: str) -> web.Response:
    """Refuse a method, and say which one is meant."""
    response = plain_error(HTTPStatus.METHOD_NOT_ALLOWED, words)
    response.headers["Allow"] = allowed
    return response


def come_back(words: str, after: timedelta) -> web.Response:
    """Ask the caller to try again."""
    response = text(HTTPStatus.SERVICE_UNAVAILABLE, words)
    response.headers["Retry-After"] = seconds(after)
    return response


def seconds(length: timedelta) -> str:
    """Return a length as `Retry-After` has it: whole seconds, at least one."""
    return str(max(round(length / _SECOND), 1))
