"""Asks a server: one POST a question over pooled connections, with the credentials that the question names."""

import asyncio
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp

from consumer.adapters.prometheus.credentials import Credentials, CredentialsError, Pass
from consumer.adapters.prometheus.reading import understood
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading
from consumer.ports import Secrets

_LARGEST: Final = 32 * 1024 * 1024
"""Bytes of an answer; a query that gives more gives too many series anyway."""
# Longer than the 30 s between two sweeps, so that the next one finds the connections open.
_KEPT_OPEN: Final = 75.0
_CONNECTIONS: Final = 32
_REFUSED: Final = frozenset({401, 403})
"""A server that does not know us: what it was shown may have been replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server sent back."""

    status: int
    body: bytes


class PrometheusMeasurements:
    """Implements `Measurements` for every server that speaks Prometheus' HTTP API.

    `secrets` holds what questions name in `headers_from` and `tls`; None: what names any can not be asked.
    """

    def __init__(self, secrets: Secrets | None = None, *, largest: int = _LARGEST) -> None:
        self._largest = largest
        self._credentials = Credentials(secrets)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        """Evaluate the query at that time, within `limit`; never raises for what a server does or says."""
        server = str(question.source)
        try:
            return await self._posted(question, at, limit)
        except CredentialsError as error:
            return Failure(UnknownCause.CREDENTIALS, Blame.SERVER, str(error))
        except TimeoutError:
            seconds = limit.total_seconds()
            return Failure(UnknownCause.TIMEOUT, Blame.EITHER, f"{server} did not answer within {seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return Failure(UnknownCause.UNREACHABLE, Blame.SERVER, f"{server} can not be reached: {_why(error)}")
        except aiohttp.InvalidURL:
            return Failure(UnknownCause.UNREACHABLE, Blame.SERVER, f"{server} is not an address")
        except ValueError:
            return Failure(
                UnknownCause.UNREACHABLE, Blame.SERVER, f"a header for {server} holds a line break; remove it"
            )
        except (aiohttp.ClientError, OSError) as error:
            # Only the kind of the error: its text may hold what was sent, headers included.
            return Failure(UnknownCause.UNREACHABLE, Blame.EITHER, f"{server} broke off: {type(error).__name__}")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _posted(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        seconds = limit.total_seconds()
        form = {"query": question.query, "time": f"{at.timestamp():.3f}", "timeout": f"{math.ceil(seconds * 1000)}ms"}
        async with asyncio.timeout(seconds):
            given = await self._credentials.given(question.source)
            answer = await self._sent(question, form, given)
            if (
                isinstance(answer, _Answer)
                and answer.status in _REFUSED
                and self._credentials.distrust(question.source)
            ):
                anew = await self._credentials.given(question.source)
                # A token that was replaced, or a certificate that was renewed: what is the same would be refused again.
                answer, given = (await self._sent(question, form, anew), anew) if anew != given else (answer, given)
        if isinstance(answer, Failure):
            return answer
        return understood(answer.status, answer.body, (*given.headers.values(), *_in_address(question.source.server)))

    async def _sent(self, question: Question, form: dict[str, str], given: Pass) -> _Answer | Failure:
        try:
            return await self._once(question, form, given)
        except aiohttp.ServerDisconnectedError:
            # The server closed a pooled connection just as it was used again; a query may be asked twice.
            return await self._once(question, form, given)

    async def _once(self, question: Question, form: dict[str, str], given: Pass) -> _Answer | Failure:
        # A redirect is not followed: it would carry the headers to a server that they were not meant for.
        async with self._open().post(
            f"{question.source.server}/api/v1/query",
            data=form,
            headers=given.headers,
            ssl=given.secure,
            timeout=aiohttp.ClientTimeout(total=None),
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > self._largest:
                    response.close()
                    return Failure(
                        UnknownCause.HTTP_ERROR, Blame.QUERY, f"the answer is larger than {self._largest} bytes"
                    )
            return _Answer(response.status, bytes(body))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_OPEN)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def _in_address(server: str) -> Sequence[str]:
    """Return what of an address is sent as a header, in the form of the header and as it stands there."""
    parts = urlsplit(server)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    login = b64encode(f"{user}:{password}".encode()).decode()
    return (f"Basic {login}", password) if user or password else ()


def _why(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        told = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
        return f"its certificate is not trusted ({told}); name its CA in tls.caFrom or tls.caFile"
    return error.strerror or type(error).__name__
