"""Namespaces with a topic of their own: what is said there of another one wakes nobody."""

import asyncio
import json
from dataclasses import replace

import pytest

from consumer.adapters.memory import MemoryMembership
from consumer.core.service import ServiceKey
from consumer.ports import LogSetupError, Output, Placed
from consumer.worker.settings import WorkerSettings
from consumer.worker.worker import Worker
from schemas.dead_letter import said_of
from schemas.topics import TOPICS, Topic, installation, requests_topic, tenant_topic
from tests.worker.bed import WEB, Bed, policy

BANK = ServiceKey("bank", "web")
SETTINGS = WorkerSettings(tenants=("bank", "shop"))
OF_SHOP = "elasti.request-counts.shop"


def _bed(settings: WorkerSettings = SETTINGS, *, partitions: int = 1) -> Bed:
    bed = Bed(policy(), policy(BANK), partitions=partitions, settings=settings)
    for namespace in settings.tenants:
        bed.log.create(tenant_topic(settings.prefix, namespace), partitions)
    return bed


def _ask(bed: Bed, topic: str, key: ServiceKey, partition: int | None = None) -> Placed:
    value = json.dumps({"svc": key.name, "namespace": key.namespace}).encode()
    where = bed.home(key) if partition is None else partition
    return bed.log.append(Output(topic, where, None, value))


async def _asleep(bed: Bed, *keys: ServiceKey) -> None:
    for key in keys:
        bed.result("observed", key, replicas=0, ready_replicas=0)
    await bed.settle()


async def test_a_request_in_a_namespaces_own_topic_wakes_a_service_of_it() -> None:
    bed = _bed()
    async with bed.running():
        await _asleep(bed, WEB)
        asked = _ask(bed, OF_SHOP, WEB)
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert (command.namespace, command.service) == ("shop", "web")
        assert command.cause.model_dump() == {"topic": OF_SHOP, "partition": 0, "offset": asked.offset}
        await bed.flush()
    assert bed.records(Topic.DEAD_LETTER) == []


async def test_a_request_for_another_namespace_goes_to_the_dead_letters_and_wakes_nobody() -> None:
    bed = _bed()
    async with bed.running() as worker:
        await _asleep(bed, WEB, BANK)
        _ask(bed, OF_SHOP, BANK)
        _ask(bed, OF_SHOP, WEB)
        await bed.until(lambda: bool(bed.commands()))
        await bed.flush()
        assert [(one.namespace, one.service) for one in bed.commands()] == [("shop", "web")]
        assert worker.states()[BANK].last_request_at is None
    (letter,) = bed.records(Topic.DEAD_LETTER)
    said = said_of(letter.headers)
    assert (said["topic"], said["offset"]) == (OF_SHOP, "0")
    assert said["cause"] == 'namespace: is "bank", but this topic carries requests of "shop" only'
    assert letter.value == b'{"svc": "web", "namespace": "bank"}'


async def test_the_topic_of_all_still_carries_requests_for_everybody() -> None:
    bed = _bed()
    async with bed.running():
        await _asleep(bed, WEB, BANK)
        bed.request(WEB)
        bed.request(BANK)
        await bed.until(lambda: len(bed.commands()) == 2)
        await bed.flush()
    assert bed.records(Topic.DEAD_LETTER) == []


async def test_a_request_in_a_wrong_partition_is_forwarded_within_its_namespaces_topic() -> None:
    bed = _bed(partitions=2)
    async with bed.running():
        await _asleep(bed, WEB)
        stray = _ask(bed, OF_SHOP, WEB, 1 - bed.home(WEB))
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert command.cause.model_dump() == {"topic": OF_SHOP, "partition": stray.partition, "offset": 0}
        await bed.flush()
    assert {record.partition for record in bed.log.records(OF_SHOP)} == {0, 1}
    assert bed.records(Topic.REQUEST_COUNTS) == []


async def test_workers_with_other_tenants_are_another_group_and_refuse_to_start_beside() -> None:
    with_shop = replace(SETTINGS, tenants=("shop",))
    groups = {settings.subscription().group for settings in (WorkerSettings(), SETTINGS, with_shop)}
    assert len(groups) == 3
    bed = _bed()
    async with bed.running():
        other = with_shop.subscription()
        ports = replace(bed.ports(), membership=MemoryMembership(bed.log, other))
        with pytest.raises(LogSetupError, match="stop all of them first"):
            await asyncio.wait_for(Worker(ports, with_shop).run(), 5)


def test_without_tenants_the_group_is_called_as_before() -> None:
    assert WorkerSettings().subscription().inputs == (
        "elasti.request-counts",
        "elasti.hosts",
        "elasti.scale-results",
    )
    assert SETTINGS.subscription().inputs[3:] == ("elasti.request-counts.bank", OF_SHOP)


def test_requests_go_where_their_namespace_has_its_own() -> None:
    assert requests_topic("e.", "shop", ("bank", "shop")) == "e.request-counts.shop"
    assert requests_topic("e.", "shop", ("bank",)) == "e.request-counts"


def test_an_installation_has_the_topics_of_its_tenants_kept_as_the_one_of_all() -> None:
    topics = installation("e.", ("shop",))
    assert list(topics) == [*(spec.topic.under("e.") for spec in TOPICS), "e.request-counts.shop"]
    assert topics["e.request-counts.shop"] is topics["e.request-counts"]
