"""Who may call: with a token set, only those who show it, but for the pages that kubelets and Prometheus read."""

import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from consumer.gateway.bodies import text

log = structlog.get_logger(__name__)

OPEN: Final = frozenset({"/metrics", "/healthz", "/readyz"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def only_with(token: str) -> Middleware:
    """Return what turns away whoever does not show the token, before anything of the body is read."""

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        # By what was found, not by what was written: an address has many spellings.
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in OPEN:
            return await handler(request)
        if _shows(request.headers.get("Authorization", ""), token):
            return await handler(request)
        log.info("caller without the token", peer=request.remote, path=request.path)
        refused = text(HTTPStatus.UNAUTHORIZED, "Send the token of this installation: Authorization: Bearer ...")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    return guard


def _shows(header: str, token: str) -> bool:
    scheme, _, shown = header.partition(" ")
    # In a time that tells nothing of how much of it was right.
    right = hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), token.encode())
    return right and scheme.lower() == "bearer"
