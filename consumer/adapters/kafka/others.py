"""Who is at work beside what the settings name: workers that read other topics, topics of requests of other tenants."""

from consumer.adapters.kafka.connection import KafkaConnection, admin
from consumer.adapters.kafka.permits import KafkaPermits
from consumer.adapters.kafka.topics import rival_groups
from consumer.ports import Guarded, LogForbiddenError, Operation, Others, Permit, Subscription
from schemas.topics import Topic


async def others(connection: KafkaConnection, subscription: Subscription, prefix: str) -> Others:
    """Look for them; raises LogForbiddenError when groups are hidden from us, since brokers just leave those out."""
    stem = subscription.rivals or subscription.group
    needed = [Permit(Guarded.GROUP, stem, Operation.DESCRIBE, prefixed=True)]
    if await KafkaPermits(connection).missing(needed):
        raise LogForbiddenError(f"Kafka at {connection.bootstrap}: {connection.may_not(needed)}")
    groups = await rival_groups(connection, stem, subscription.group)
    async with admin(connection) as client:
        topics: list[str] = await client.list_topics()
    tenants = f"{Topic.REQUEST_COUNTS.under(prefix)}."
    unnamed = [name for name in topics if name.startswith(tenants) and name not in subscription.inputs]
    return Others(tuple(sorted(groups)), tuple(sorted(unnamed)))
