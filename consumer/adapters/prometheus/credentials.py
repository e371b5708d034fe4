"""From the Secrets that a source names to headers and TLS contexts; values live here only as long as a request."""

import os
import ssl
from asyncio import to_thread
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from consumer.core.readings import SecretKey, Source, Tls
from consumer.ports import Secrets, TargetError

_CONTEXTS: Final = 64
"""TLS contexts that are kept, one for each material; a new one costs its connections anew."""


class CredentialsError(Exception):
    """Something that a source names can not be had or used; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What goes with one request; `secure` True: the system's trust, and no certificate of our own."""

    headers: dict[str, str] = field(repr=False)
    secure: ssl.SSLContext | bool = True


@dataclass(frozen=True, slots=True)
class _Material:
    """The PEM texts of one context."""

    ca: str | None
    certificate: str | None
    key: str | None = field(repr=False)

    def digest(self) -> bytes:
        return sha256(repr((self.ca, self.certificate, self.key)).encode()).digest()


class Credentials:
    """Makes the pass for each request; `secrets` is None where there is no cluster that could hold any."""

    def __init__(self, secrets: Secrets | None) -> None:
        self._secrets = secrets
        self._contexts: dict[bytes, ssl.SSLContext] = {}

    async def given(self, source: Source) -> Pass:
        """Return what the source asks to be sent and trusted; raises CredentialsError."""
        held = {name.lower(): (name, value) for name, value in source.headers}
        for name, secret in source.headers_from:
            # Written by editors and `echo`, most such values end with a line break that no header may hold.
            value = secret.prefix + (await self._read(secret)).rstrip("\r\n")
            if any(character in value for character in "\r\n\0"):
                raise CredentialsError(f"{secret} holds a line break in its middle; write its value in one line")
            held[name.lower()] = (name, value)
        secure = True if source.tls is None else await self._context(source.tls)
        return Pass(dict(held.values()), secure)

    def distrust(self, source: Source) -> bool:
        """Read the Secrets of a source anew next time, for its server refused us; False when it names none."""
        named = [secret for _, secret in source.headers_from]
        if source.tls is not None:
            named += [
                secret for secret in (source.tls.ca, source.tls.certificate, source.tls.key) if secret is not None
            ]
        if self._secrets is not None:
            for secret in named:
                self._secrets.distrust(secret.namespace, secret.name)
        return bool(named)

    async def _read(self, secret: SecretKey) -> str:
        if self._secrets is None:
            raise CredentialsError(f"{secret} can not be read: this process has no cluster; write the value in headers")
        try:
            return await self._secrets.read(secret.namespace, secret.name, secret.key)
        except TargetError as error:
            raise CredentialsError(str(error)) from error

    async def _context(self, tls: Tls) -> ssl.SSLContext:
        material = _Material(
            await self._ca(tls),
            None if tls.certificate is None else await self._read(tls.certificate),
            None if tls.key is None else await self._read(tls.key),
        )
        digest = material.digest()
        context = self._contexts.pop(digest, None)
        if context is None:
            try:
                context = await to_thread(_made, material)
            except (ssl.SSLError, ValueError, OSError) as error:
                # Only the kind of the error: its text may hold what it was made of.
                raise CredentialsError(f"{_told(tls)} can not be used ({type(error).__name__}); write PEM") from error
        # The last used stays longest.
        self._contexts[digest] = context
        if len(self._contexts) > _CONTEXTS:
            del self._contexts[next(iter(self._contexts))]
        return context

    async def _ca(self, tls: Tls) -> str | None:
        if tls.ca is not None:
            return await self._read(tls.ca)
        if tls.ca_file is None:
            return None
        try:
            return await to_thread(Path(tls.ca_file).read_text, "ascii")
        except (OSError, UnicodeDecodeError) as error:
            told = f"the CA file {tls.ca_file} can not be read ({type(error).__name__}); mount it there as PEM"
            raise CredentialsError(told) from error


def _made(material: _Material) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=material.ca)
    if material.certificate is not None and material.key is not None:
        # OpenSSL loads a chain from a file only: one in memory, which no disk and nobody else ever sees.
        with os.fdopen(os.memfd_create("client-certificate"), "w") as file:
            file.write(f"{material.certificate}\n{material.key}\n")
            file.flush()
            # A key behind a password is refused: without one OpenSSL would ask for it at the terminal.
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
    return context


def _named(tls: Tls) -> list[SecretKey]:
    return [secret for secret in (tls.ca, tls.certificate, tls.key) if secret is not None]


def _told(tls: Tls) -> str:
    return " with ".join(str(secret) for secret in _named(tls)) or f"the CA file {tls.ca_file}"
