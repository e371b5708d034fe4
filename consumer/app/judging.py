"""Scalers and policies as the settings describe them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.adapters.clock import BrokerClock
from consumer.adapters.policy_files import PolicyFiles
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.ports import Clock, Judges
from consumer.scalers.batcher import Batcher
from consumer.scalers.contract import Defaults
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from consumer.settings import Settings


def registry_of(settings: Settings) -> Registry:
    """Return the scaler types, with the Prometheus server that triggers use when they name none."""
    secret = settings.prometheus_authorization
    headers = (("Authorization", secret.get_secret_value()),) if secret else ()
    return Registry(Defaults(server=settings.prometheus_address, headers=headers))


def policy_files(settings: Settings) -> PolicyFiles:
    """Return the policies of the configured files, checked by the scalers' own words."""
    return PolicyFiles(settings.policies, registry_of(settings).check)


@asynccontextmanager
async def judges(settings: Settings) -> AsyncIterator[Judges]:
    """Open what asks every trigger, over pooled connections."""
    measurements = PrometheusMeasurements()
    sweeping = SweepJudges(registry_of(settings), Batcher(measurements))
    try:
        yield sweeping
    finally:
        await sweeping.close()
        await measurements.close()


def local_clock() -> Clock:
    """Return the clock of this machine: good enough to ask a server for its present values."""
    return BrokerClock()
