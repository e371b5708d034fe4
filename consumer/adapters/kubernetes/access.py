"""The way into a cluster: where its API is and who we are, from a kubeconfig or from the pod that we run in."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from consumer.adapters.kubernetes.api import Access
from consumer.adapters.kubernetes.credentials import Credentials, Load
from consumer.ports import Clock, TargetForbiddenError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration


async def from_kubeconfig(clock: Clock, *, file: Path | None = None, context: str | None = None) -> Access:
    """Enter as kubectl would, with the same file, context and credential plugins.

    Raises:
        TargetForbiddenError: the file or the context can not be used; the message says which.
        TargetBusyError: a credential plugin failed, or did not end in time.
    """
    # Loaded here: it takes most of a second, and nothing but the way in needs it.
    from consumer.adapters.kubernetes.kubeconfig import read_kubeconfig  # noqa: PLC0415

    return await _entered(lambda: read_kubeconfig(file, context), clock)


async def from_pod(clock: Clock) -> Access:
    """Enter with the service account of the pod that we run in; raises TargetForbiddenError outside of one."""
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415 - as above
    from kubernetes_asyncio.config import ConfigException, load_incluster_config  # noqa: PLC0415 - as above

    async def load() -> Configuration:
        configuration = Configuration()
        try:
            load_incluster_config(  # type: ignore[no-untyped-call]  # the library's
                client_configuration=configuration, try_refresh_token=False
            )
        except (ConfigException, OSError, ValueError) as error:
            told = f"this is no pod with a service account ({error}); set ELASTI_CLUSTER_ACCESS to kubeconfig"
            raise TargetForbiddenError(told) from error
        return configuration

    return await _entered(load, clock)


async def _entered(load: Load, clock: Clock) -> Access:
    configuration = await load()
    credentials = Credentials(configuration, load, clock)
    server = str(configuration.host).rstrip("/")
    try:
        secure = _trust(configuration)
    except (OSError, ValueError) as error:
        told = f"the certificates of the way to {server} can not be used: {error}; correct them, or name others"
        raise TargetForbiddenError(told) from error
    return Access(server, secure, credentials.token, credentials.renew, credentials.close)


def _trust(configuration: "Configuration") -> ssl.SSLContext | bool:
    if not str(configuration.host).startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
