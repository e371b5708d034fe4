"""Who we are at which API, as plain values, and how the pod that we run in says it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consumer.ports import TargetForbiddenError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts the files of a pod's service account, and keeps its token fresh."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One way in: `ca`, `certificate` and `key` are paths; without `ca` the system's authorities are trusted."""

    server: str
    ca: str | None = None
    verified: bool = True
    certificate: str | None = None
    key: str | None = None
    token: str | None = field(default=None, repr=False)


async def read_pod(folder: Path = SERVICE_ACCOUNT) -> Identity:
    """Read what the kubelet gave to this pod; raises TargetForbiddenError where that is nothing.

    As https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ describes it. The client library does the
    same, and fills 35 MB with models of every resource before it does.
    """
    said = os.environ  # noqa: TID251 - by the kubelet, of where we run; there is nothing to set
    host, port = said.get("KUBERNETES_SERVICE_HOST"), said.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise _outside("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    ca = folder / "ca.crt"
    try:
        token, certificates = (folder / "token").read_text().strip(), ca.read_text().strip()
    except (OSError, ValueError) as error:
        raise _outside(str(error)) from error
    if not token or not certificates:
        raise _outside(f"{folder / ('ca.crt' if token else 'token')} is empty")
    # An address of IPv6 needs brackets in a URL.
    return Identity(f"https://{f'[{host}]' if ':' in host else host}:{port}", ca=str(ca), token=token)


def _outside(why: str) -> TargetForbiddenError:
    return TargetForbiddenError(
        f"this is no pod with a service account ({why}); set ELASTI_CLUSTER_ACCESS to kubeconfig"
    )
