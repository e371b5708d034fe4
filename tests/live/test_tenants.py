"""Tenants on a real broker: ACLs keep their producers apart, and the worker what they say in their own topics."""

import json
import uuid
from asyncio import Event
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from consumer.adapters.kafka import KafkaPublisher
from consumer.app import log
from consumer.app.examining import Examination
from consumer.app.places import RealPlaces
from consumer.app.running import Assignment, run
from consumer.insight.acls import Part, permits, tenant
from consumer.insight.doctor import Finding, Severity
from consumer.ports import LogError, LogSetupError, Output, Placed
from consumer.settings import ALL_ROLES, Role
from consumer.worker.settings import WorkerSettings
from schemas.dead_letter import said_of
from schemas.topics import tenant_topic
from tests.bed.secure_kafka import SecureKafka, secure
from tests.live.system import System, installed
from tests.live.test_kafka_security import post

__all__ = ["secure"]


@pytest.fixture
async def system(secure: SecureKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation with two tenants, which the administrator set up and watches."""
    system = System(secure.bootstrap, prefix, tmp_path / "policies")
    ours = {**secure.settings_of_admin(), "tenants": ("bank", "shop")}
    system.settings = system.settings.model_copy(update=ours)
    async with installed(system):
        yield system


async def _ask(publisher: KafkaPublisher, topic: str, namespace: str, partition: int) -> Placed:
    value = json.dumps({"svc": "web", "namespace": namespace}).encode()
    return await publisher.publish(Output(topic, partition, None, value))


async def test_tenants_wake_their_own_services_and_no_others(secure: SecureKafka, system: System) -> None:
    names = log.names_of(system.settings)
    await system.run(frozenset({Role.HANDLER}))
    user = f"worker-{uuid.uuid4().hex[:8]}"
    ours = secure.settings_of(user, await secure.user(user))
    await secure.allow(user, permits(Part.WORKER, names))
    await system.run(frozenset({Role.WORKER}), **ours)
    service = await system.sleeping("web")
    where = system.partition(service)
    of_bank, of_shop = (tenant_topic(names.prefix, name) for name in ("bank", "shop"))
    banker = f"banker-{uuid.uuid4().hex[:8]}"
    connection = secure.as_user(banker, await secure.user(banker))
    await secure.allow(banker, tenant(names, "bank"))
    publisher = KafkaPublisher(connection)
    try:
        for forbidden in (of_shop, f"{names.prefix}request-counts"):
            with pytest.raises(LogError, match=f"may not Write topic {forbidden}"):
                await _ask(publisher, forbidden, "shop", where)
        smuggled = await _ask(publisher, of_bank, "shop", where)
    finally:
        await publisher.close()
    await system.until(lambda: bool(system.seen.letters))
    said = said_of(system.seen.letters[0].headers)
    assert (said["topic"], said["offset"]) == (of_bank, str(smuggled.offset))
    assert said["cause"] == 'namespace: is "shop", but this topic carries requests of "bank" only'
    assert system.decisions(service, "request") == []
    own = KafkaPublisher(secure.admin)
    await _ask(own, of_shop, "shop", where)
    await own.close()
    await system.until(lambda: system.ready(service))
    (decision,) = system.decisions(service, "request")
    assert decision.cause.model_dump()["topic"] == of_shop


async def test_a_gateway_writes_into_the_topic_of_the_requests_namespace(system: System) -> None:
    program = await system.run(ALL_ROLES)
    service = await system.sleeping("web")
    assert await post(program, service) == 200
    await system.until(lambda: system.ready(service))
    (decision,) = system.decisions(service, "request")
    assert decision.cause.model_dump()["topic"] == tenant_topic(system.settings.topic_prefix, "shop")


async def _told(system: System, tenants: Sequence[str]) -> Sequence[Finding]:
    settings = system.settings.model_copy(update={"tenants": tuple(tenants)})
    examined = await Examination(RealPlaces(), settings, (), Part.OPERATOR).carried_out()
    return [finding for finding in examined.findings if finding.subject == "tenants"]


async def test_a_gateway_that_writes_where_no_worker_reads_is_found_from_either_side(system: System) -> None:
    worker = await system.run(frozenset({Role.WORKER, Role.HANDLER}), tenants=())
    gateway = await system.run(frozenset({Role.GATEWAY}))
    service = await system.sleeping("web")
    assert await post(gateway, service) == 200
    # A whole cycle later the worker still knows of no request.
    await system.until_evaluated(worker)
    assert system.decisions(service, "request") == []
    group = WorkerSettings(prefix=system.settings.topic_prefix).subscription().group
    # By the gateway's settings it is the workers that are wrong.
    (as_gateway,) = await _told(system, ("bank", "shop"))
    assert as_gateway.severity is Severity.ERROR
    assert f"workers are at work in group {group}" in as_gateway.what
    # By the worker's there are topics that it does not read.
    as_worker = await _told(system, ())
    prefix = system.settings.topic_prefix
    assert [finding.severity for finding in as_worker] == [Severity.WARNING, Severity.WARNING]
    assert f"the topic {prefix}request-counts.bank" in as_worker[0].what
    assert f"the topic {prefix}request-counts.shop" in as_worker[1].what
    # Set alike, nothing is wrong, and the request is read.
    await worker.stop()
    await system.run(frozenset({Role.WORKER, Role.HANDLER}))
    await system.until(lambda: system.ready(service))
    assert await _told(system, ("bank", "shop")) == []


async def test_a_change_of_the_tenants_needs_all_workers_stopped_and_doubles_nothing(system: System) -> None:
    old = await system.run(ALL_ROLES, tenants=())
    service = await system.sleeping("web")
    placed = await system.request(service)
    await system.until(lambda: system.ready(service))
    with pytest.raises(LogSetupError, match="stop all of them first"):
        await run(Assignment(system.settings, frozenset({Role.WORKER})), stopping=Event(), started=lambda _: None)
    await system.until(lambda: system.decisions(service, "idle") != [])
    await old.stop()
    commands = [command.id for command in await system.durable_commands(service)]
    await system.run(ALL_ROLES)
    # The new group reads from the beginning, and finds that all of it was dealt with.
    await system.until_dealt_with(placed, group=system.worker_group)
    assert [command.id for command in await system.durable_commands(service)][: len(commands)] == commands
    requests = {decision.cause for decision in system.decisions(service, "request")}
    assert len(requests) == len(system.decisions(service, "request"))
