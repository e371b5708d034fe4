"""The pages that tell how a process is: health, readiness, metrics and the resources."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.elastiservice import ResourceText
from consumer.gateway import HealthReport, serving
from tests.gateway.bed import SETTINGS, WEB, Direct, Part, SharedResources, ports, running

UP = HealthReport("worker", moving=True, ready=True, detail="12 partitions")
RESTORING = HealthReport("worker", moving=True, ready=False, detail="3 of 12 partitions are restored")
STUCK = HealthReport("handler", moving=False, ready=True)


@pytest.mark.parametrize(
    ("reports", "healthy", "ready"),
    [((), 200, 200), ((UP,), 200, 200), ((UP, RESTORING), 200, 503), ((UP, STUCK), 503, 200)],
)
async def test_health_and_readiness_are_those_of_all_parts(
    log: MemoryLog, reports: tuple[HealthReport, ...], healthy: int, ready: int
) -> None:
    given = replace(ports(MemoryPublisher(log)), health=tuple(Part(report) for report in reports))
    async with running(given) as caller:
        health, text, _ = await caller.call("GET", "/healthz")
        readiness, _, _ = await caller.call("GET", "/readyz")
    assert (health, readiness) == (healthy, ready)
    assert all(report.detail in text for report in reports)


@pytest.mark.parametrize(("away", "direct", "ready"), [(True, True, 200), (True, False, 503), (False, True, 503)])
async def test_while_only_kafka_is_missing_whoever_can_wake_without_it_goes_on_being_asked(
    log: MemoryLog, *, away: bool, direct: bool, ready: int
) -> None:
    waits = replace(RESTORING, away=away)
    given = replace(ports(MemoryPublisher(log)), health=(Part(UP), Part(waits)), direct=Direct() if direct else None)
    async with running(given) as caller:
        status, text, _ = await caller.call("GET", "/readyz")
    assert status == ready
    assert waits.detail in text


@pytest.mark.parametrize(("simulated", "said"), [(True, "test (SIMULATED)"), (False, "test")])
async def test_a_simulated_cluster_is_called_so(log: MemoryLog, *, simulated: bool, said: str) -> None:
    settings = replace(SETTINGS, cluster="test", simulated=simulated)
    async with (
        running(ports(MemoryPublisher(log)), settings) as caller,
        caller.session.get(caller.base + "/readyz") as response,
    ):
        assert await response.json() == {"ready": True, "cluster": said, "parts": []}


async def test_the_scrape_is_served(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        status, text, headers = await caller.call("GET", "/metrics", headers={"Accept": "text/plain;version=0.0.4"})
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "elasti_build_info" in [family.name for family in text_string_to_metric_families(text)]


async def test_the_resources_are_served_as_kubeelastis_resolvers_poll_them(log: MemoryLog) -> None:
    text = ResourceText("web-policy", b'{"service":"web"}', b'{"mode":"proxy"}')
    shared = SharedResources({WEB: text})
    shared.read.set()
    given = replace(ports(MemoryPublisher(log)), resources=shared)
    async with running(given) as caller, caller.session.get(caller.base + "/crd-cache") as response:
        assert response.content_type == "application/json"
        assert await response.json() == {
            "services": {"shop/web": {"name": "web-policy", "spec": {"service": "web"}, "status": {"mode": "proxy"}}}
        }


async def test_resources_that_are_not_read_yet_are_not_told_as_none(log: MemoryLog) -> None:
    given = replace(ports(MemoryPublisher(log)), resources=SharedResources({}))
    async with running(given, replace(SETTINGS, direct_patience=timedelta(milliseconds=10))) as caller:
        status, _, headers = await caller.call("GET", "/crd-cache")
    assert (status, headers["Retry-After"]) == (503, "1")


async def test_the_resources_can_only_be_read(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call("POST", "/crd-cache"))[:2] == (405, "Method not allowed\n")


async def test_a_process_without_policies_has_no_resources_to_serve(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        assert (await caller.call("GET", "/crd-cache"))[0] == 404
        assert (await caller.call("GET", "/"))[0] == 404


async def test_a_port_that_is_taken_is_an_error_of_the_system(log: MemoryLog) -> None:
    async with running(ports(MemoryPublisher(log))) as caller:
        with pytest.raises(OSError, match="in use"):
            async with serving(ports(MemoryPublisher(log)), SETTINGS, host="127.0.0.1", port=caller.port):
                pass
