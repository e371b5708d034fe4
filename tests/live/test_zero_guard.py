"""zeroGuard on a real Kafka: nobody sleeps before the resolver has taken the traffic, whoever is silent or dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.app import log
from consumer.settings import ALL_ROLES, Role
from schemas.codec import Undecodable, decode
from schemas.decision import Action
from schemas.host import Host
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic
from tests.live.seen import Service
from tests.live.system import System, installed


@pytest.fixture
async def system(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation on the shared Kafka."""
    async with installed(System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        yield system


class Resolver:
    """A resolver of one service: it takes the traffic when it is asked to, unless it is told to keep silent."""

    def __init__(self, system: System, service: Service) -> None:
        self.silent = False
        self.asked: list[ScaleResult] = []
        self._system = system
        self._service = service

    async def says(self, *, allowed: bool) -> None:
        """Say whether the requests for the service's host pass here now."""
        key = self._service.key
        host = Host(
            incoming_host=f"{key.name}.{key.namespace}.svc.cluster.local",
            namespace=key.namespace,
            source_service=key.name,
            traffic_allowed=allowed,
        )
        partition = self._system.partition(self._service)
        await self._system.send(Topic.HOSTS, host.encode(), partition=partition, key=bytes(key))

    async def run(self) -> None:
        """Follow the results as a resolver does."""
        await self.says(allowed=False)
        async with aclosing(log.follow(self._system.settings, Topic.SCALE_RESULTS, from_beginning=True)) as results:
            async for records in results:
                for record in records:
                    result = decode(ScaleResult, record.value)
                    if not isinstance(result, Undecodable) and self._service.is_meant(result):
                        await self._take(result)

    async def _take(self, result: ScaleResult) -> None:
        match result.phase:
            case Phase.DRAINING:
                self.asked.append(result)
                if not self.silent:
                    await self.says(allowed=True)
            case Phase.RELEASED | Phase.READY:
                await self.says(allowed=False)
            case _:
                return


@asynccontextmanager
async def resolving(system: System, service: Service, *, silent: bool = False) -> AsyncIterator[Resolver]:
    """A resolver at work."""
    resolver = Resolver(system, service)
    resolver.silent = silent
    working = asyncio.create_task(resolver.run())
    try:
        yield resolver
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def guarded(system: System, timeout: str = "60s") -> Service:
    """A service that is up, and may sleep once its resolver agrees."""
    return system.service("web", replicas=1, zeroGuard="resolver", zeroGuardTimeout=timeout)


def prepares(system: System, service: Service) -> Sequence[ScaleCommand]:
    return system.commands(service, Direction.PREPARE)


def zeros(system: System, service: Service) -> Sequence[ScaleCommand]:
    return system.commands(service, Direction.ZERO)


async def slept(system: System, service: Service) -> None:
    await system.until(lambda: system.replicas(service) == 0)
    assert (await system.cluster.look(service.target)).replicas == 0


async def drained(system: System, service: Service) -> None:
    await system.until(lambda: bool(system.results(service, Phase.DRAINING)))


async def test_the_resolver_has_the_traffic_before_the_last_replica_goes(system: System) -> None:
    service = guarded(system)
    await system.run(ALL_ROLES)
    async with resolving(system, service) as resolver:
        await slept(system, service)
        assert len(resolver.asked) == 1
    (prepare,), (zero,) = prepares(system, service), zeros(system, service)
    (draining,) = system.results(service, Phase.DRAINING)
    assert draining.command_id == prepare.id
    assert prepare.decided_at < draining.at < zero.decided_at
    codes = [decision.reason.code for decision in system.decisions(service)]
    assert codes[codes.index("awaiting-resolver") :][:2] == ["awaiting-resolver", "idle"]


async def test_a_silent_resolver_is_a_reason_and_asked_again_until_it_speaks(system: System) -> None:
    service = guarded(system, timeout="1s")
    await system.run(ALL_ROLES)
    async with resolving(system, service, silent=True) as resolver:
        await system.until(lambda: len(system.decisions(service, "guard-timeout")) >= 2)
        assert zeros(system, service) == []
        assert (await system.cluster.look(service.target)).replicas == 1
        told = system.decisions(service, "guard-timeout")[0]
        assert told.action is Action.HOLD
        assert "web.shop.svc.cluster.local" in str(told.reason)
        resolver.silent = False
        await slept(system, service)
    assert len(prepares(system, service)) >= 3


async def test_a_resolver_that_nobody_ever_heard_of_keeps_the_service_up(system: System) -> None:
    service = guarded(system, timeout="1s")
    await system.run(ALL_ROLES)
    await system.until(lambda: len(system.decisions(service, "guard-timeout")) >= 2)
    assert zeros(system, service) == []


async def test_a_request_takes_the_prepare_back(system: System) -> None:
    service = guarded(system)
    await system.run(ALL_ROLES)
    async with resolving(system, service, silent=True):
        await drained(system, service)
        await system.request(service)
        await system.until(lambda: bool(system.results(service, Phase.RELEASED)))
    (prepare,) = prepares(system, service)
    (released,) = system.results(service, Phase.RELEASED)
    assert released.command_id == prepare.id
    assert zeros(system, service) == []
    assert (await system.cluster.look(service.target)).replicas == 1


async def test_a_request_takes_the_prepare_back_from_whichever_handler_answered_it(system: System) -> None:
    service = guarded(system)
    first = await system.run(frozenset({Role.HANDLER}))
    await system.run(frozenset({Role.WORKER}))
    async with resolving(system, service, silent=True):
        await drained(system, service)
        await first.stop()
        await system.run(frozenset({Role.HANDLER}))
        await system.request(service)
        await system.until(lambda: bool(system.results(service, Phase.RELEASED)))
    assert zeros(system, service) == []


async def test_a_handler_that_dies_in_between_leaves_the_rest_to_the_next(system: System) -> None:
    service = guarded(system)
    first = await system.run(frozenset({Role.HANDLER}))
    await system.run(frozenset({Role.WORKER}))
    async with resolving(system, service, silent=True) as resolver:
        await drained(system, service)
        await first.stop()
        await resolver.says(allowed=True)
        await system.until(lambda: bool(zeros(system, service)))
        await system.run(frozenset({Role.HANDLER}))
        await slept(system, service)
    assert len(prepares(system, service)) == 1


async def test_a_worker_that_is_killed_in_between_leaves_the_rest_to_the_next(system: System) -> None:
    service = guarded(system)
    await system.run(frozenset({Role.HANDLER}))
    async with resolving(system, service, silent=True) as resolver:
        async with system.process() as worker:
            await drained(system, service)
            os.kill(worker.pid, signal.SIGKILL)
            await worker.wait()
        await resolver.says(allowed=True)
        await system.run(frozenset({Role.WORKER}))
        await slept(system, service)
    assert len(prepares(system, service)) == 1
