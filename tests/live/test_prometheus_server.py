"""The Prometheus of the live tests is a real one, and its exporter says what the test set."""

import time

from tests.live.prometheus_server import PrometheusServer

HEALTH = 'min_over_time((max(up{container="prometheus"}) or vector(0))[3s:])'


async def test_a_series_that_was_set_is_found_by_a_query_and_one_that_was_removed_is_not(
    prometheus: PrometheusServer,
) -> None:
    prometheus.exporter.set("bed_requests", 7.5, service='od"d')
    assert await prometheus.until("sum(bed_requests)", lambda values: values == [7.5]) == [7.5]
    prometheus.exporter.remove("bed_requests", service='od"d')
    assert await prometheus.until("sum(bed_requests)", lambda values: not values) == []


async def test_the_default_health_query_is_true_once_the_server_has_scraped_itself(
    prometheus: PrometheusServer,
) -> None:
    assert await prometheus.until(HEALTH, lambda values: values == [1.0]) == [1.0]


async def test_history_given_as_openmetrics_can_be_queried_at_its_own_time() -> None:
    hour_ago = int(time.time()) - 3_600
    history = f"# TYPE old_load gauge\nold_load 1 {hour_ago - 60}\nold_load 2 {hour_ago}\n# EOF\n"
    async with PrometheusServer(history=history) as server:
        assert list((await server.query("old_load", at=hour_ago)).values()) == [2.0]
        assert await server.query("absent_load") == {}
