"""The command lines of the servers of a control plane, and why each option is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.children import HOST

_CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one plane."""

    etcd: int
    peers: int
    server: int

    @property
    def etcd_url(self) -> str:
        """Where the API server reaches its store."""
        return f"http://{HOST}:{self.etcd}"

    @property
    def url(self) -> str:
        """Where clients reach the API server."""
        return f"https://{HOST}:{self.server}"


def etcd(data: Path, name: str, ports: Ports) -> Sequence[str]:
    """A store that need not survive a loss of power, so it waits for no disk."""
    peers = f"http://{HOST}:{ports.peers}"
    return (
        f"--name={name}",
        f"--data-dir={data}",
        f"--listen-client-urls={ports.etcd_url}",
        f"--advertise-client-urls={ports.etcd_url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster={name}={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def server(home: Path, ports: Ports) -> Sequence[str]:
    """An API server with RBAC, tokens, and a log of every request.

    It makes its certificate itself. Its audit lines are written before the next one of the same request's work,
    and its log is never rotated, since offsets into it are handed out. No endpoints of its own are kept: they
    would demand an address that is not loopback.
    """
    return (
        f"--etcd-servers={ports.etcd_url}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={ports.server}",
        f"--cert-dir={home / 'certs'}",
        "--endpoint-reconciler-type=none",
        "--authorization-mode=RBAC",
        f"--token-auth-file={home / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={home / 'sa.pub'}",
        f"--service-account-signing-key-file={home / 'sa.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # Nothing makes the default accounts here, and without them this plugin would refuse every pod.
        "--disable-admission-plugins=ServiceAccount",
        f"--audit-policy-file={home / 'audit-policy.yaml'}",
        f"--audit-log-path={home / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=100000",
    )


def controllers(kubeconfig: Path) -> Sequence[str]:
    """Whoever scales, and turns a scale into ready pods and endpoints; with room for a hundred wakes at once."""
    return (
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        # At 15 s, whoever waits for an autoscaler to look waits for half a minute.
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--secure-port=0",
    )


def kwok(kubeconfig: Path, stages: Path) -> Sequence[str]:
    """The kubelets' part: the life of pods as the stages tell it."""
    return (f"--kubeconfig={kubeconfig}", f"--config={stages}", "--manage-all-nodes=true")
