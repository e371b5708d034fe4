"""Creates the topics of an installation and says which of them are not as they should be."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumer.adapters.kafka.connection import KafkaConnection, admin
from consumer.ports import Guarded, LogError, LogForbiddenError, LogSetupError, Operation, Permit
from schemas.topics import installation

# Ten seconds in all.
_LOOKS = 200
_LOOK_AGAIN = 0.05
_OK = 0
_FORBIDDEN = 29
"""TOPIC_AUTHORIZATION_FAILED: an ACL hides it, and whether it is there."""
_EXISTS = 36
_BROKERS_DEFAULT = -1


async def create_topics(
    connection: KafkaConnection, prefix: str, *, partitions: int, replication: int, tenants: Collection[str] = ()
) -> Sequence[str]:
    """Create what is missing and return its names; raises LogError for what the broker refuses."""
    wanted = installation(prefix, tenants)
    async with admin(connection) as client:
        known = await partition_counts(connection, client, wanted)
        missing = {name: spec for name, spec in wanted.items() if name not in known}
        if not missing:
            return []
        answer = await client.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=spec.partitions(partitions),
                    replication_factor=replication,
                    # -1, the broker's default, is taken by the client only beside assignments: an empty list of them.
                    replica_assignments={} if replication == _BROKERS_DEFAULT else None,
                    topic_configs=dict(spec.config()),
                )
                for name, spec in missing.items()
            ]
        )
    if forbidden := [name for name, code, _ in answer.topic_errors if code == _FORBIDDEN]:
        raise _forbidden(connection, Operation.CREATE, forbidden)
    refused = [
        f"{name}: {text or f'error {code}'}" for name, code, text in answer.topic_errors if code not in {_OK, _EXISTS}
    ]
    if refused:
        raise LogError(f"Kafka at {connection.bootstrap} did not create {'; '.join(refused)}")
    await shown(connection, list(missing))
    return list(missing)


async def shown(connection: KafkaConnection, topics: Sequence[str]) -> None:
    """Wait until the brokers show them: a topic is acknowledged a moment before everyone knows it."""
    async with admin(connection) as client:
        for _ in range(_LOOKS):
            if len(await partition_counts(connection, client, topics)) == len(topics):
                return
            await asyncio.sleep(_LOOK_AGAIN)
    raise LogError(f"Kafka at {connection.bootstrap} created {', '.join(topics)}, but does not show them; look again")


async def verify_topics(connection: KafkaConnection, prefix: str, tenants: Collection[str] = ()) -> Sequence[str]:
    """Return one sentence for each topic or setting that is not as it should be; empty when all is well."""
    wanted = installation(prefix, tenants)
    async with admin(connection) as client:
        counts = await partition_counts(connection, client, wanted)
        settings = await _settings(connection, client, list(counts))
    problems = [f"topic {name} does not exist; run `elasti topics create`" for name in wanted if name not in counts]
    problems += uneven({name: counts.get(name) for name, spec in wanted.items() if spec.keyed})
    for name, spec in wanted.items():
        if name not in counts:
            continue
        if not spec.keyed and counts[name] != 1:
            problems.append(f"topic {name} has {counts[name]} partitions; it must have one")
        problems += [
            f"topic {name}: {key} is {settings[name].get(key)}, it should be {value}; change it with kafka-configs"
            for key, value in spec.config().items()
            if settings[name].get(key) != value
        ]
    return problems


def uneven(counts: Mapping[str, int | None]) -> list[str]:
    """Say so when topics that must have the same number of partitions have not."""
    known = {name: count for name, count in counts.items() if count is not None}
    if len(set(known.values())) <= 1:
        return []
    said = ", ".join(f"{name} has {count}" for name, count in known.items())
    return [f"keyed topics must have the same number of partitions, but {said}; create them anew with one number"]


async def same_partitions(connection: KafkaConnection, topics: Sequence[str]) -> int:
    """Return the one number of partitions of these topics; raises LogSetupError when there is no such number."""
    async with admin(connection) as client:
        counts = await partition_counts(connection, client, topics)
    problems = [f"topic {name} does not exist; run `elasti topics create`" for name in topics if name not in counts]
    problems += uneven(counts)
    if problems:
        raise LogSetupError(f"Kafka at {connection.bootstrap}: {'; '.join(problems)}")
    return counts[topics[0]]


async def partition_counts(
    connection: KafkaConnection, client: AIOKafkaAdminClient, topics: Iterable[str]
) -> dict[str, int]:
    """Return the number of partitions of those that exist; raises LogForbiddenError for those that are hidden."""
    found: list[dict[str, Any]] = await client.describe_topics(list(topics))
    hidden = sorted(topic["topic"] for topic in found if topic["error_code"] == _FORBIDDEN)
    if hidden:
        raise _forbidden(connection, Operation.DESCRIBE, hidden)
    return {topic["topic"]: len(topic["partitions"]) for topic in found if topic["error_code"] == _OK}


def _forbidden(connection: KafkaConnection, operation: Operation, topics: Sequence[str]) -> LogForbiddenError:
    permits = [Permit(Guarded.TOPIC, name, operation) for name in topics]
    return LogForbiddenError(f"Kafka at {connection.bootstrap}: {connection.may_not(permits)}")


async def _settings(
    connection: KafkaConnection, client: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    resources = [resource for answer in answers for resource in answer.resources]
    hidden = [name for code, _, _, name, _ in resources if code == _FORBIDDEN]
    if hidden:
        raise _forbidden(connection, Operation.DESCRIBE_CONFIGS, hidden)
    return {name: {entry[0]: entry[1] for entry in entries} for _, _, _, name, entries in resources}


async def rival_groups(connection: KafkaConnection, rivals: str, own: str) -> list[str]:
    """Return the groups whose name begins with `rivals`, except our own, that have members."""
    async with admin(connection) as client:
        listed = await client.list_consumer_groups()
        names = [entry[0] for entry in listed if entry[0].startswith(rivals) and entry[0] != own]
        # Of several groups in one answer, aiokafka would misread all but the first.
        described = [answer for name in names for answer in await client.describe_consumer_groups([name])]
    return [group[1] for answer in described for group in answer.groups if group[5]]
