"""A real Prometheus tells how often it evaluates."""

from datetime import timedelta

from consumer.adapters.prometheus.configuration import evaluation_interval
from tests.live.prometheus_server import PrometheusServer


async def test_a_real_server_tells_how_often_it_evaluates(prometheus: PrometheusServer) -> None:
    interval = await evaluation_interval(prometheus.url, {}, timedelta(seconds=10))
    assert interval is not None
    assert timedelta() < interval <= timedelta(minutes=1)
