"""Direct wakes between processes, in words that both ends use: the request, and what becomes of each error."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import orjson

from consumer.core.service import ServiceKey
from consumer.ports import (
    TargetBusyError,
    TargetError,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetMovedError,
)
from schemas.cloudevents import TRACEPARENT, trace_of

WAKE = "/internal/wake"

_STATUS: Mapping[str, HTTPStatus] = {
    TargetGoneError.code: HTTPStatus.NOT_FOUND,
    TargetMovedError.code: HTTPStatus.CONFLICT,
    TargetForbiddenError.code: HTTPStatus.FORBIDDEN,
    TargetInvalidError.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    TargetBusyError.code: HTTPStatus.SERVICE_UNAVAILABLE,
    TargetError.code: HTTPStatus.BAD_GATEWAY,
}
_ERRORS: Mapping[str, type[TargetError]] = {
    each.code: each
    for each in (TargetGoneError, TargetMovedError, TargetForbiddenError, TargetInvalidError, TargetError)
}


@dataclass(frozen=True, slots=True)
class WakeCall:
    """What a gateway asks a handler for."""

    key: ServiceKey
    trace: str | None = None

    def encode(self) -> bytes:
        """Return the body of the call."""
        body = {"namespace": self.key.namespace, "svc": self.key.name}
        return orjson.dumps(body | ({TRACEPARENT: self.trace} if self.trace else {}))

    @classmethod
    def decode(cls, body: bytes) -> "WakeCall":
        """Read the body of a call; raises ValueError, which says what is wrong with it."""
        match orjson.loads(body):
            case {"namespace": str(namespace), "svc": str(service), **rest}:
                trace = rest.get(TRACEPARENT)
                traced = trace_of(((TRACEPARENT, trace.encode()),)) if isinstance(trace, str) else None
                return cls(ServiceKey.parse(f"{namespace}/{service}"), traced)
            case _:
                raise ValueError('it must be an object with the strings "namespace" and "svc"')


def status_of(error: TargetError) -> HTTPStatus:
    """Return the status that an error is told by."""
    return _STATUS.get(error.code, HTTPStatus.BAD_GATEWAY)


def encode_error(error: TargetError) -> bytes:
    """Return the body that tells an error."""
    return orjson.dumps({"code": error.code, "message": str(error)})


def decode_error(body: bytes, retry_after: timedelta | None) -> TargetError:
    """Return the error that a handler told; an answer that is none of a handler's is a handler that is away."""
    try:
        match orjson.loads(body):
            case {"code": str(code), "message": str(message)} if code in _ERRORS:
                return _ERRORS[code](message)
            case {"message": str(message)}:
                return TargetBusyError(message, retry_after)
            case _:
                words = body
    except orjson.JSONDecodeError:
        words = body
    return TargetBusyError(f'it answered "{words[:200].decode(errors="replace")}"', retry_after)
