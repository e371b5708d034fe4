"""The control planes of live tests: one that all share, one that a test may break, and a namespace for each test."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from consumer.adapters.control_plane import ControlPlane
from tests.bed.kube import LIMIT, Kube, KubeError, Ref, ref
from tests.bed.manifests import Manifest, definitions

_OURS = Path(__file__).parents[2] / "k8s" / "crd"
_TRY_AGAIN = 0.05


def our_definitions() -> list[Manifest]:
    """The CustomResourceDefinitions that this project installs."""
    return [
        manifest
        for file in sorted(_OURS.glob("*.yaml"))
        for manifest in yaml.safe_load_all(file.read_text())
        if manifest and manifest["kind"] == "CustomResourceDefinition"
    ]


async def define(kube: Kube, manifests: list[Manifest]) -> None:
    """Apply definitions, and return when their objects can be created."""
    for manifest in manifests:
        await kube.apply(manifest)
    for manifest in manifests:
        await kube.until(ref(manifest), _is_established)
        for version in manifest["spec"]["versions"]:
            api = f"{manifest['spec']['group']}/{version['name']}"
            await _until_served(kube, Ref(api, manifest["spec"]["names"]["kind"], "", ""))


async def _until_served(kube: Kube, kind: Ref) -> None:
    """Ask until the server names the kind: an established one is served a moment later, and nothing tells when."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                await kube.path(kind)
            except KubeError:
                await asyncio.sleep(_TRY_AGAIN)
            else:
                return


def _is_established(definition: Manifest | None) -> bool:
    # A server that has only just taken it writes null there.
    conditions = (definition or {}).get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


@pytest.fixture(scope="session")
async def cluster() -> AsyncIterator[ControlPlane]:
    """The control plane that all live tests share; a test keeps to its own `namespace`.

    It knows our resource, Argo's Rollouts, KEDA's ScaledObjects and a made-up Widget.
    """
    async with ControlPlane() as plane:
        async with Kube(plane) as kube:
            await define(kube, [*definitions(), *our_definitions()])
        yield plane


@pytest.fixture
async def own_cluster() -> AsyncIterator[ControlPlane]:
    """A control plane for one test alone, which may pause, kill and restart it; our resource is not installed."""
    async with ControlPlane() as plane:
        async with Kube(plane) as kube:
            await define(kube, definitions())
        yield plane


@pytest.fixture(scope="session")
async def kube(cluster: ControlPlane) -> AsyncIterator[Kube]:
    """The administrator's calls to the shared control plane."""
    async with Kube(cluster) as client:
        yield client


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    """A namespace that no other test has; its end is asked for and not waited for."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await kube.apply(manifest)
    yield name
    await kube.delete(ref(manifest))
