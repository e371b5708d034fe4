"""Scalers and policies as the settings describe them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from consumer.adapters.clock import BrokerClock
from consumer.adapters.policy_files import PolicyFiles
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.ports import Clock, Judges, Secrets
from consumer.scalers.batcher import Asked, Batcher
from consumer.scalers.contract import Defaults
from consumer.scalers.judges import SWEEP_LIMIT, SweepJudges
from consumer.scalers.registry import Registry
from consumer.settings import Settings
from consumer.telemetry import RequestResult, Telemetry


def registry_of(settings: Settings) -> Registry:
    """Return the scaler types, with the Prometheus server that triggers use when they name none."""
    secret = settings.prometheus_authorization
    headers = (("Authorization", secret.get_secret_value()),) if secret else ()
    return Registry(Defaults(server=settings.prometheus_address, headers=headers))


def policy_files(settings: Settings, *, for_cluster: bool = False) -> PolicyFiles:
    """Return the policies of the configured files, checked by the scalers' own words.

    `for_cluster`: they are looked over before somebody applies them, not run from here.
    """
    check = registry_of(settings).check
    return PolicyFiles(settings.policies, check, namespaces=settings.watch_namespaces, for_cluster=for_cluster)


@asynccontextmanager
async def judges(
    settings: Settings, telemetry: Telemetry | None = None, secrets: Secrets | None = None
) -> AsyncIterator[Judges]:
    """Open what asks every trigger, over pooled connections; requests are counted where there is a telemetry.

    `secrets` is where the credentials that triggers name are, if there is such a place.
    """
    measurements = PrometheusMeasurements(secrets)
    batcher = Batcher(
        measurements,
        count=partial(_count, telemetry) if telemetry else lambda _: None,
        request_limit=settings.prometheus_deadline,
        concurrent=settings.prometheus_concurrency,
    )
    # A sweep ends before the next one of its partition begins, however slow the servers are.
    sweeping = SweepJudges(registry_of(settings), batcher, limit=min(SWEEP_LIMIT, settings.polling_interval * 2 / 3))
    try:
        yield sweeping
    finally:
        await sweeping.close()
        await measurements.close()


_RESULTS = {
    Asked.ANSWERED: RequestResult.SUCCESS,
    Asked.FAILED: RequestResult.REFUSED,
    Asked.TIMEOUT: RequestResult.TIMEOUT,
    Asked.UNREACHABLE: RequestResult.UNREACHABLE,
}


def _count(telemetry: Telemetry, result: Asked) -> None:
    telemetry.prometheus(_RESULTS[result])


def local_clock() -> Clock:
    """Return the clock of this machine: good enough to ask a server for its present values."""
    return BrokerClock()
