"""The gateway on a real Kafka: what it answered 200 is in the log, and a Kafka that is away is told within the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import aiohttp

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher, KafkaReader, create_topics
from consumer.gateway import GatewayPorts, GatewaySettings, serving
from consumer.ports import Record
from consumer.telemetry import Telemetry
from schemas.partitioning import partition_for

PARTITIONS = 4
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@asynccontextmanager
async def gateway(kafka: EmbeddedKafka, settings: GatewaySettings) -> AsyncIterator[str]:
    """Yield the address of the resolvers' call."""
    publisher = KafkaPublisher(KafkaConnection(kafka.bootstrap))
    ports = GatewayPorts(publisher, Telemetry("test", "1"), lambda: PARTITIONS)
    try:
        async with serving(ports, settings, host="127.0.0.1", port=0) as port:
            yield f"http://127.0.0.1:{port}/informer/incoming-request"
    finally:
        await publisher.close()


async def post(session: aiohttp.ClientSession, address: str, service: str) -> int:
    body = {"count": 1, "svc": service, "namespace": "shop"}
    async with session.post(address, json=body, headers={"traceparent": TRACE}) as response:
        return response.status


async def recorded(kafka: EmbeddedKafka, topic: str) -> list[Record]:
    reader = KafkaReader(KafkaConnection(kafka.bootstrap))
    return [
        record
        for partition in range(PARTITIONS)
        async for batch in reader.read_to_end(topic, partition)
        for record in batch
    ]


async def test_a_hundred_calls_at_once_are_in_the_log_when_they_are_answered(kafka: EmbeddedKafka, prefix: str) -> None:
    await create_topics(KafkaConnection(kafka.bootstrap), prefix, partitions=PARTITIONS, replication=1)
    settings = GatewaySettings(prefix, patience=timedelta(seconds=30))
    services = [f"web-{number}" for number in range(100)]
    async with gateway(kafka, settings) as address, aiohttp.ClientSession() as session:
        statuses = await asyncio.gather(*(post(session, address, service) for service in services))
        records = await recorded(kafka, settings.topic_of("shop"))
    assert set(statuses) == {200}
    assert {record.key for record in records} == {f"shop/{service}".encode() for service in services}
    for record in records:
        namespace, service = (record.key or b"").decode().split("/")
        assert record.partition == partition_for(namespace, service, PARTITIONS)
        assert ("traceparent", TRACE.encode()) in record.headers


async def test_while_kafka_hangs_callers_are_told_and_late_records_still_arrive(
    own_kafka: EmbeddedKafka, prefix: str
) -> None:
    await create_topics(KafkaConnection(own_kafka.bootstrap), prefix, partitions=PARTITIONS, replication=1)
    patient = GatewaySettings(prefix, patience=timedelta(seconds=30))
    async with aiohttp.ClientSession() as session:
        async with gateway(own_kafka, patient) as address:
            assert await post(session, address, "first") == 200
        async with gateway(own_kafka, replace(patient, patience=timedelta(milliseconds=300))) as address:
            own_kafka.pause()
            assert await post(session, address, "late") == 503
            own_kafka.resume()
            async with asyncio.timeout(60):
                while await post(session, address, "again") != 200:
                    pass
            keys = {record.key for record in await recorded(own_kafka, patient.topic_of("shop"))}
    assert keys >= {b"shop/first", b"shop/late", b"shop/again"}
