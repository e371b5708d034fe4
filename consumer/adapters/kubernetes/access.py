"""The way into a cluster: where its API is and who we are, from a kubeconfig or from the pod that we run in."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from consumer.adapters.kubernetes.api import Access
from consumer.ports import Clock, TargetBusyError, TargetForbiddenError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration

_RENEW: Final = timedelta(minutes=5)
"""Tokens of cloud providers' plugins live for a quarter of an hour or more."""
_TOKEN: Final = "BearerToken"  # noqa: S105 - the name that the library files tokens under

_Load = Callable[["Configuration"], Awaitable[None]]


@dataclass(slots=True)
class _Credentials:
    """Who we are, asked for again when what we have grows old."""

    configuration: "Configuration"
    load: _Load
    clock: Clock
    renewed_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.renewed_at = self.clock.read().now

    async def token(self) -> str | None:
        """Return the bearer token, without the word in front of it; None where a certificate says who we are."""
        now = self.clock.read().now
        if now - self.renewed_at >= _RENEW:
            # Set first: many calls at once ask a plugin once.
            self.renewed_at = now
            await self.load(self.configuration)
        told = await self.configuration.get_api_key_with_prefix(_TOKEN)
        return told.removeprefix("Bearer ").strip() if told else None


async def from_kubeconfig(clock: Clock, *, file: Path | None = None, context: str | None = None) -> Access:
    """Enter as kubectl would, with the same file, context and credential plugins.

    Raises:
        TargetForbiddenError: the file or the context can not be used; the message says which.
        TargetBusyError: a credential plugin failed.
    """
    # Loaded here: it takes most of a second, and nothing but the way in needs it.
    from kubernetes_asyncio.config import ConfigException, load_kube_config  # noqa: PLC0415
    from kubernetes_asyncio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION  # noqa: PLC0415

    async def load(configuration: "Configuration") -> None:
        try:
            await load_kube_config(
                config_file=str(file) if file else None, context=context, client_configuration=configuration
            )
        except ConfigException as error:
            where = f"the kubeconfig {file or f'{KUBE_CONFIG_DEFAULT_LOCATION} (where kubectl looks)'}"
            raise TargetForbiddenError(f"{where} can not be used: {error}; name another, or a context of it") from error
        except OSError as error:
            raise TargetBusyError(f"a credential plugin of the kubeconfig failed: {error}") from error

    return await _entered(load, clock)


async def from_pod(clock: Clock) -> Access:
    """Enter with the service account of the pod that we run in; raises TargetForbiddenError outside of one."""
    from kubernetes_asyncio.config import ConfigException, load_incluster_config  # noqa: PLC0415 - as above

    async def load(configuration: "Configuration") -> None:
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # the library's
        except ConfigException as error:
            told = f"this is no pod with a service account ({error}); set ELASTI_CLUSTER_ACCESS to kubeconfig"
            raise TargetForbiddenError(told) from error

    return await _entered(load, clock)


async def _entered(load: _Load, clock: Clock) -> Access:
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415 - as above

    configuration = Configuration()
    await load(configuration)
    credentials = _Credentials(configuration, load, clock)
    return Access(str(configuration.host).rstrip("/"), _trust(configuration), credentials.token)


def _trust(configuration: "Configuration") -> ssl.SSLContext | bool:
    if not str(configuration.host).startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
