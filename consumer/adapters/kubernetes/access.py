"""The way into a cluster: where its API is and who we are, from a kubeconfig or from the pod that we run in."""

import ssl
from pathlib import Path

from consumer.adapters.kubernetes.api import Access
from consumer.adapters.kubernetes.credentials import Credentials, Load
from consumer.adapters.kubernetes.identity import SERVICE_ACCOUNT, Identity, read_pod
from consumer.ports import Clock, TargetForbiddenError


async def from_kubeconfig(clock: Clock, *, file: Path | None = None, context: str | None = None) -> Access:
    """Enter as kubectl would, with the same file, context and credential plugins.

    Raises:
        TargetForbiddenError: the file or the context can not be used; the message says which.
        TargetBusyError: a credential plugin failed, or did not end in time.
    """
    # Loaded here: the library takes most of a second and 35 MB, and only a kubeconfig needs it.
    from consumer.adapters.kubernetes.kubeconfig import read_kubeconfig  # noqa: PLC0415

    return await _entered(lambda: read_kubeconfig(file, context), clock)


async def from_pod(clock: Clock, folder: Path = SERVICE_ACCOUNT) -> Access:
    """Enter with the service account of the pod that we run in; raises TargetForbiddenError outside of one."""
    return await _entered(lambda: read_pod(folder), clock)


async def _entered(load: Load, clock: Clock) -> Access:
    identity = await load()
    credentials = Credentials(identity, load, clock)
    try:
        secure = _trust(identity)
    except (OSError, ValueError) as error:
        told = (
            f"the certificates of the way to {identity.server} can not be used: {error}; correct them, or name others"
        )
        raise TargetForbiddenError(told) from error
    return Access(identity.server, secure, credentials.token, credentials.renew, credentials.close)


def _trust(identity: Identity) -> ssl.SSLContext | bool:
    if not identity.server.startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=identity.ca)
    if not identity.verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity.certificate:
        context.load_cert_chain(identity.certificate, identity.key)
    return context
