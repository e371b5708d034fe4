"""Kafka as the settings describe it: connections, topics, readers and publishers for the command line and the roles."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager

from consumer.adapters.kafka import (
    KafkaConnection,
    KafkaPermits,
    KafkaPublisher,
    KafkaReader,
    create_topics,
    others,
    verify_topics,
)
from consumer.adapters.kafka.topics import same_partitions
from consumer.insight.acls import Names, Part, permits
from consumer.ports import LogReader, Others, Permit, Publisher, Record
from consumer.settings import Settings
from consumer.worker.settings import WorkerSettings
from schemas.topics import TOPICS, Topic

KEYED = tuple(spec.topic for spec in TOPICS if spec.keyed)


def connection_of(settings: Settings, role: str) -> KafkaConnection:
    """Describe the way to Kafka; `role` is what brokers see of us in their logs."""
    secret = settings.kafka_sasl_password
    return KafkaConnection(
        bootstrap=",".join(settings.kafka_bootstrap),
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_sasl_username,
        password=secret.get_secret_value() if secret else None,
        ca_file=settings.kafka_tls_ca,
        cert_file=settings.kafka_tls_cert,
        key_file=settings.kafka_tls_key,
        client_id=f"elasti-{role}",
        session_timeout=settings.kafka_session_timeout,
        transaction_timeout=settings.kafka_transaction_timeout,
    )


async def create(settings: Settings) -> Sequence[str]:
    """Create the topics that are missing and return their names; raises LogError."""
    return await create_topics(
        connection_of(settings, "cli"),
        settings.topic_prefix,
        partitions=settings.partitions,
        replication=settings.replication_factor,
        tenants=settings.tenants,
    )


async def verify(settings: Settings) -> Sequence[str]:
    """Return a sentence for everything about the topics that is not as it should be; raises LogError."""
    return await verify_topics(connection_of(settings, "cli"), settings.topic_prefix, settings.tenants)


async def partitions_of(settings: Settings, topics: Collection[Topic] = KEYED) -> int:
    """Return the one number of partitions of these keyed topics; raises LogSetupError when there is none."""
    return await same_partitions(
        connection_of(settings, "cli"), [topic.under(settings.topic_prefix) for topic in topics]
    )


def names_of(settings: Settings) -> Names:
    """Return what this installation calls its groups and topics."""
    return Names(settings.topic_prefix, settings.worker_group, settings.handler_group, settings.tenants)


async def forbidden(settings: Settings, parts: Sequence[Part]) -> Sequence[Permit]:
    """Return what these parts need and the user of the settings may not; raises LogError when nobody can say."""
    needed = dict.fromkeys(permit for part in parts for permit in permits(part, names_of(settings)))
    return await KafkaPermits(connection_of(settings, "cli")).missing(list(needed))


async def beside(settings: Settings) -> Others:
    """Return who is at work beside the workers and topics of these settings; raises LogError."""
    ours = WorkerSettings(prefix=settings.topic_prefix, group=settings.worker_group, tenants=settings.tenants)
    return await others(connection_of(settings, "cli"), ours.subscription(), settings.topic_prefix)


def reader(settings: Settings) -> LogReader:
    """Read topics outside of any group."""
    return KafkaReader(connection_of(settings, "cli"))


@asynccontextmanager
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    """Write single records, acknowledged one by one."""
    open_publisher = KafkaPublisher(connection_of(settings, "cli"))
    try:
        yield open_publisher
    finally:
        await open_publisher.close()


async def follow(
    settings: Settings, *topics: Topic, from_beginning: bool = False
) -> AsyncGenerator[Sequence[Record], None]:
    """Yield the records of every partition of these topics, for ever; raises LogError."""
    names = [topic.under(settings.topic_prefix) for topic in topics]
    # A topic that does not exist would be followed in silence.
    for keyed in (True, False):
        alike = [spec.topic for spec in TOPICS if spec.topic in topics and spec.keyed is keyed]
        if alike:
            await same_partitions(connection_of(settings, "cli"), [t.under(settings.topic_prefix) for t in alike])
    following = KafkaReader(connection_of(settings, "cli")).follow_topics(names, from_beginning=from_beginning)
    # Closed here: a consumer that the garbage collector has to find holds its connections until then.
    async with aclosing(following):
        async for records in following:
            yield records
