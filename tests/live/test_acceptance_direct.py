"""Acceptance: a broker that does not answer stops no wake; what was done without it is told when it is back."""

import uuid
from pathlib import Path

import aiohttp

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.settings import ALL_ROLES
from schemas.request_count import RequestCount
from schemas.scale_result import Phase, ResultCause, ScaleResult
from tests.live.seen import Service
from tests.live.system import System, installed


async def test_a_request_wakes_while_kafka_hangs_and_is_adopted_afterwards(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    system = System(own_kafka.bootstrap, f"t{uuid.uuid4().hex[:10]}.", tmp_path)
    async with installed(system):
        program = await system.run(ALL_ROLES)
        service = await system.sleeping("web")
        body = RequestCount(count=1, svc=service.key.name, namespace=service.key.namespace).encode()
        own_kafka.pause()
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{program.port}/informer/incoming-request", data=body) as answer,
            ):
                assert answer.status == 200
            assert (await system.cluster.look(service.target)).replicas == 1
        finally:
            own_kafka.resume()
        await system.until(lambda: bool(direct(system, service)))
        (woken,) = direct(system, service)
        # Whichever of the two is read first, the result or the request that waited, says why the service is up.
        await system.until(
            lambda: any(each.reason.code in {"adopted", "request"} for each in system.decisions(service))
        )
        await system.until(
            lambda: any(
                each.target.generation == woken.target.generation and each.ready_replicas == 1
                for each in system.results(service)
            )
        )


def direct(system: System, service: Service) -> list[ScaleResult]:
    return [each for each in system.results(service, Phase.ACCEPTED) if each.cause is ResultCause.DIRECT]
