"""A real Prometheus keeps the contract, and so does what stands in for it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.readings import Source
from tests.contracts.measurements import MeasurementsContract, World
from tests.live.prometheus_server import PrometheusServer


class TestPrometheusMeasurements(MeasurementsContract):
    @pytest.fixture
    async def world(self, prometheus: PrometheusServer) -> AsyncIterator[World]:
        for service, value in (("a", 0.5), ("b", float("nan")), ("c", float("inf"))):
            prometheus.exporter.set("contract_load", value, service=service)
        await prometheus.until("contract_load", lambda values: len(values) == 3)
        measurements = PrometheusMeasurements()
        yield World(measurements, Source(prometheus.url), datetime.now(UTC))
        await measurements.close()
