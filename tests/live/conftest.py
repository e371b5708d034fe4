"""The real servers that live tests share: one Kafka, one Prometheus and one control plane for the whole run."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kubernetes.api import Access
from tests.bed.fixtures import cluster, kube, namespace, own_cluster
from tests.live.elastiservices import admin_of
from tests.live.prometheus_server import PrometheusServer

__all__ = ["cluster", "kube", "namespace", "own_cluster"]

_HERE = Path(__file__).parent
# The first test waits for its servers too, and on a new machine for the download of Kafka.
_LIVE_LIMIT = 300


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in this directory is a live test; nobody has to remember to say so."""
    for item in items:
        if not item.path.is_relative_to(_HERE):
            continue
        item.add_marker(pytest.mark.live)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LIVE_LIMIT))


@pytest.fixture(scope="session")
async def kafka() -> AsyncIterator[EmbeddedKafka]:
    """The broker that all live tests share; a test keeps to its own `prefix`."""
    async with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture
async def own_kafka() -> AsyncIterator[EmbeddedKafka]:
    """A broker for one test alone, which may pause, kill and restart it."""
    async with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture
def prefix() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture(scope="session")
async def prometheus() -> AsyncIterator[PrometheusServer]:
    """The Prometheus that all live tests share; a test sets series under label values of its own."""
    async with PrometheusServer() as server:
        yield server


@pytest.fixture
def admin(cluster: ControlPlane) -> Access:
    """The way into the shared control plane in the name of who may do everything."""
    return admin_of(cluster)
