"""The whole system on a broker with TLS, passwords and ACLs: a user for each part, who may do no more than it needs."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.kafka import KafkaConnection, create_topics, verify_topics
from consumer.app import log
from consumer.insight.acls import Names, Part, permits
from consumer.ports import Guarded, LogError, LogSetupError, Operation, Permit, grant
from consumer.settings import Role
from schemas.request_count import RequestCount
from tests.bed.secure_kafka import (
    PLAIN_PASSWORD,
    PLAIN_USER,
    SecureKafka,
    certified_kafka,
    secure,
)
from tests.certificates import Authority
from tests.live.program import elasti
from tests.live.seen import Service
from tests.live.system import Program, System, installed

__all__ = ["secure"]

_PATIENCE = 60
_LOOK_AGAIN = 0.05


@pytest.fixture
async def system(secure: SecureKafka, prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    """An installation that the administrator set up and watches."""
    system = System(secure.bootstrap, prefix, tmp_path / "policies")
    system.settings = system.settings.model_copy(update=dict(secure.settings_of_admin()))
    async with installed(system):
        yield system


async def _run(system: System, secure: SecureKafka, role: Role, *without: Permit) -> Program:
    """Run one role in the name of a user of its own."""
    user = f"{role}-{system.settings.topic_prefix}"
    settings = secure.settings_of(user, await secure.user(user))
    needed = permits(Part(role.value), log.names_of(system.settings))
    assert set(without) <= set(needed)
    await secure.allow(user, [permit for permit in needed if permit not in without])
    return await system.run(frozenset({role}), **settings)


async def post(program: Program, service: Service) -> int:
    body = RequestCount(count=1, svc=service.key.name, namespace=service.key.namespace).encode()
    address = f"http://127.0.0.1:{program.port}/informer/incoming-request"
    async with aiohttp.ClientSession() as session, session.post(address, data=body) as answer:
        return answer.status


async def test_a_request_goes_through_gateway_worker_and_handler_each_with_its_own_acls(
    secure: SecureKafka, system: System
) -> None:
    await _run(system, secure, Role.HANDLER)
    await _run(system, secure, Role.WORKER)
    gateway = await _run(system, secure, Role.GATEWAY)
    service = await system.sleeping("web")
    assert await post(gateway, service) == 200
    await system.until(lambda: system.ready(service))
    await system.until(lambda: system.decisions(service, "idle") != [])
    assert system.seen.letters == []


async def test_a_part_that_is_shown_too_little_ends_at_once_and_names_all_that_it_lacks(
    secure: SecureKafka, system: System
) -> None:
    prefix = system.settings.topic_prefix
    decisions = Permit(Guarded.TOPIC, f"{prefix}decisions", Operation.WRITE)
    state = Permit(Guarded.TOPIC, f"{prefix}state", Operation.READ)
    with pytest.raises(LogSetupError) as ended:
        await _run(system, secure, Role.WORKER, decisions, state)
    said = str(ended.value)
    assert f"may not Read topic {prefix}state, Write topic {prefix}decisions; allow it: " in said
    assert f"--operation Write --topic {prefix}decisions" in said
    assert f"--operation Read --topic {prefix}state" in said


async def test_a_worker_that_may_not_own_a_partition_ends_with_the_acl_that_it_needs(
    secure: SecureKafka, system: System
) -> None:
    group = f"{system.settings.topic_prefix}worker-"
    owning = Permit(Guarded.TRANSACTIONAL_ID, group, Operation.WRITE, prefixed=True)
    program = await _run(system, secure, Role.WORKER, owning)
    with pytest.raises(LogError, match=f"may not Write transactional id {system.worker_group}-"):
        await program.running


async def test_a_worker_whose_acl_is_taken_away_ends_and_loses_nothing(secure: SecureKafka, system: System) -> None:
    await _run(system, secure, Role.HANDLER)
    worker = await _run(system, secure, Role.WORKER)
    service = await system.sleeping("web")
    user = f"{Role.WORKER}-{system.settings.topic_prefix}"
    commanding = Permit(Guarded.TOPIC, f"{system.settings.topic_prefix}scale-commands", Operation.WRITE)
    await secure.forbid(user, [commanding])
    await system.request(service)
    with pytest.raises(LogError, match=f"may not (Write|Describe) topic {commanding.name}; allow it: kafka-acls"):
        await worker.running
    assert system.decisions(service, "request") == []
    system.forget(worker)
    await _run(system, secure, Role.WORKER)
    await system.until(lambda: system.ready(service))


async def test_a_handler_that_may_not_join_says_so_where_its_readiness_is_asked(
    secure: SecureKafka, system: System
) -> None:
    joining = Permit(Guarded.GROUP, system.handler_group, Operation.READ)
    program = await _run(system, secure, Role.HANDLER, joining)
    page = ""
    async with aiohttp.ClientSession() as session, asyncio.timeout(_PATIENCE):
        while "may not" not in page:
            await asyncio.sleep(_LOOK_AGAIN)
            async with session.get(f"http://127.0.0.1:{program.port}/readyz") as answer:
                page = await answer.text()
    assert f"may not Read group {system.handler_group}" in page
    assert f"--operation Read --group {system.handler_group}" in page


async def test_plain_passwords_are_a_way_in_too(secure: SecureKafka, prefix: str) -> None:
    pauline = secure.as_user(PLAIN_USER, PLAIN_PASSWORD, "PLAIN")
    await secure.allow(PLAIN_USER, permits(Part.SETUP, Names(prefix, "worker", "handler")))
    assert len(await create_topics(pauline, prefix, partitions=1, replication=1)) > 0
    assert await verify_topics(pauline, prefix) == []


async def test_a_wrong_password_is_called_that_and_not_shown(secure: SecureKafka, prefix: str) -> None:
    await secure.user("wanda")
    with pytest.raises(LogError) as refused:
        await verify_topics(secure.as_user("wanda", "canary-of-wanda"), prefix)
    assert "see that the mechanism, the user and the password are right" in str(refused.value)
    assert "canary" not in str(refused.value)


async def test_brokers_of_another_authority_are_not_trusted(secure: SecureKafka, prefix: str, tmp_path: Path) -> None:
    other = Authority.made(tmp_path / "other").certificate
    stranger = KafkaConnection(
        secure.bootstrap, "SASL_SSL", "SCRAM-SHA-512", "wanda", "w", ca_file=other, request_timeout=timedelta(seconds=5)
    )
    with pytest.raises(LogError, match="see that the CA is that of the brokers' certificates"):
        await verify_topics(stranger, prefix)


async def test_a_client_certificate_is_a_way_in(tmp_path: Path, prefix: str) -> None:
    async with certified_kafka(tmp_path) as kafka:
        ours = kafka.authority.signs("elasti")
        ca = kafka.authority.certificate
        known = KafkaConnection(kafka.bootstrap, "SSL", ca_file=ca, cert_file=ours.certificate, key_file=ours.key)
        assert len(await create_topics(known, prefix, partitions=1, replication=1)) > 0
        assert await verify_topics(known, prefix) == []
        unknown = KafkaConnection(kafka.bootstrap, "SSL", ca_file=ca, request_timeout=timedelta(seconds=5))
        with pytest.raises(LogError, match="Kafka at"):
            await verify_topics(unknown, prefix)


async def test_the_doctor_names_the_acls_that_are_missing_and_is_content_when_they_are_given(
    secure: SecureKafka, system: System, tmp_path: Path
) -> None:
    user = f"doctor-{system.settings.topic_prefix}"
    password = await secure.user(user)
    file = tmp_path / "elasti.yaml"
    file.write_text(
        f"kafka: {{bootstrap: '{secure.bootstrap}', security_protocol: SASL_SSL, tls_ca: '{secure.ca}',\n"
        f"  sasl_username: '{user}', sasl_password: '{password}'}}\ntopic_prefix: '{system.settings.topic_prefix}'\n"
    )
    asked = ("doctor", "--config", file, "--output", "json", "--rights")
    needed = permits(Part.WORKER, log.names_of(system.settings))
    commands = set(grant(needed, f"User:{user}", secure.bootstrap))
    code, out, err = await elasti(*asked, "worker")
    assert (code, err) == (1, "")
    findings = json.loads(out)["findings"]
    assert {one["cure"] for one in findings} == commands
    assert {one["subject"] for one in findings} == {"Kafka ACLs of worker"}
    await secure.allow(user, needed)
    code, out, err = await elasti(*asked, "worker")
    assert (code, json.loads(out)["findings"], err) == (0, [], "")
    code, out, err = await elasti(*asked, "operator")
    assert code == 1
    assert password not in out + err
