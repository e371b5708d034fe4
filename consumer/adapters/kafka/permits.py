"""What the brokers let us do, asked without any effect: they say it beside metadata and groups, if told to."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidProducerIdMapping,
    KafkaError,
    NoError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from consumer.adapters.kafka.connection import KafkaConnection, admin
from consumer.ports import Guarded, Operation, Permit

_BITS: Final[Mapping[Operation, int]] = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.DESCRIBE: 8,
}
"""The places of operations in the brokers' answers."""
_PROBE: Final = "probe"
"""Behind a prefix: nothing has this name, and what the prefix allows is allowed to it."""
_NOBODY: Final = -1
"""A producer id that nobody has: what is asked under it changes nothing."""
_TRANSACTIONS: Final = 1
_FORBIDDEN: Final = TopicAuthorizationFailedError.errno
_NOT_YET: Final = {
    GroupLoadInProgressError.errno,
    GroupCoordinatorNotAvailableError.errno,
    NotCoordinatorForGroupError.errno,
}
_LOOKS: Final = 100
_LOOK_AGAIN: Final = 0.1


class _Metadata(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY, API_VERSION = 3, 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster_id", String()),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String()),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION, RESPONSE_TYPE = 3, 8, _Metadata
    SCHEMA = Schema(
        ("topics", Array(String())),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicsAllowed(Request[_MetadataStruct]):  # type: ignore[misc]  # as above
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(
            topics=self._topics,
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=True,
        )


class _GroupsStruct(RequestStruct):  # type: ignore[misc]  # as above
    """As aiokafka's own, which reads the answer by the form of an older version."""

    API_KEY, API_VERSION, RESPONSE_TYPE = 15, 3, DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String())), ("include_authorized_operations", Boolean))


class GroupsDescribed(Request[_GroupsStruct]):  # type: ignore[misc]  # as above
    """Groups with their members, and what is allowed with them."""

    API_KEY = 15

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_GroupsStruct]) -> _GroupsStruct:
        """Return the one form that it has."""
        return request_struct_class(groups=self._groups, include_authorized_operations=True)


class KafkaPermits:
    """Implements `ports.Permits` for the user of a connection."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def missing(self, permits: Sequence[Permit]) -> Sequence[Permit]:
        """Return those that we do not have; a prefix counts as a whole, whatever single names are allowed."""
        async with admin(self._connection) as client:
            allowed = {
                **await _with_topics(client, [permit for permit in permits if permit.guarded is Guarded.TOPIC]),
                **{permit: await _single(client, permit) for permit in permits if permit.guarded is not Guarded.TOPIC},
            }
        return [permit for permit in permits if not allowed[permit]]


async def _single(client: AIOKafkaAdminClient, permit: Permit) -> bool:
    return await (_with_group if permit.guarded is Guarded.GROUP else _with_transactions)(client, permit)


def _asked(permit: Permit) -> str:
    return permit.name + _PROBE if permit.prefixed else permit.name


async def _with_topics(client: AIOKafkaAdminClient, permits: Sequence[Permit]) -> Mapping[Permit, bool]:
    asked: dict[Operation, set[str]] = {}
    for permit in permits:
        asked.setdefault(permit.operation, set()).add(_asked(permit))
    configurable = await _configurable(client, asked.pop(Operation.DESCRIBE_CONFIGS, set()))
    creatable = await _creatable(client, asked.pop(Operation.CREATE, set()))
    told = await _told(client, set().union(*asked.values()))

    def allowed(permit: Permit) -> bool:
        match permit.operation:
            case Operation.DESCRIBE_CONFIGS:
                return _asked(permit) in configurable
            case Operation.CREATE:
                return _asked(permit) in creatable
            case operation:
                return bool(told[_asked(permit)] >> _BITS[operation] & 1)

    return {permit: allowed(permit) for permit in permits}


async def _told(client: AIOKafkaAdminClient, names: Collection[str]) -> Mapping[str, int]:
    if not names:
        return {}
    answer = await client._send_request(_TopicsAllowed(sorted(names)))  # noqa: SLF001 - aiokafka has no public way to ask
    # With a topic that is hidden from us nothing is allowed of what is asked here.
    return {name: 0 if code == _FORBIDDEN else told for code, name, _, _, told in answer.topics}


async def _configurable(client: AIOKafkaAdminClient, names: Collection[str]) -> Collection[str]:
    """Ask for the settings of topics: who may read them need not be shown the topics themselves."""
    if not names:
        return ()
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {name for answer in answers for code, _, _, name, _ in answer.resources if code != _FORBIDDEN}


async def _creatable(client: AIOKafkaAdminClient, names: Collection[str]) -> Collection[str]:
    """Have the creation checked, and no more than that."""
    if not names:
        return ()
    topics = [NewTopic(name, num_partitions=1, replication_factor=1) for name in names]
    answer = await client.create_topics(topics, validate_only=True)
    return {name for name, code, _ in answer.topic_errors if code != _FORBIDDEN}


async def _with_group(client: AIOKafkaAdminClient, permit: Permit) -> bool:
    name = _asked(permit)

    async def ask() -> tuple[int, int]:
        try:
            node = await client.find_coordinator(name)
        except KafkaError as error:
            return error.errno, 0
        answer = await client._send_request(GroupsDescribed([name]), node)  # noqa: SLF001 - as above
        (code, *_, told), *_ = answer.groups
        return code, told

    code, told = await _settled(ask)
    if code == GroupAuthorizationFailedError.errno:
        return False
    _must_be(code, NoError.errno, name)
    return bool(told >> _BITS[permit.operation] & 1)


async def _with_transactions(client: AIOKafkaAdminClient, permit: Permit) -> bool:
    """Ask for the end of a transaction of a producer that does not exist: who may not is told so before that."""
    name = _asked(permit)

    async def ask() -> tuple[int, None]:
        try:
            node = await client.find_coordinator(name, _TRANSACTIONS)
        except KafkaError as error:
            return error.errno, None
        if permit.operation is Operation.DESCRIBE:
            return InvalidProducerIdMapping.errno, None
        answer = await client._send_request(EndTxnRequest(name, _NOBODY, _NOBODY, False), node)  # noqa: FBT003, SLF001 - as above
        return answer.error_code, None

    code, _ = await _settled(ask)
    if code == TransactionalIdAuthorizationFailed.errno:
        return False
    _must_be(code, InvalidProducerIdMapping.errno, name)
    return True


_More = TypeVar("_More")


async def _settled(ask: Callable[[], Awaitable[tuple[int, _More]]]) -> tuple[int, _More]:
    """Ask until a coordinator answers: the first question after a broker's start has to wait for it."""
    answer = await ask()
    for _ in range(_LOOKS):
        if answer[0] not in _NOT_YET:
            break
        await asyncio.sleep(_LOOK_AGAIN)
        answer = await ask()
    return answer


def _must_be(code: int, wanted: int, name: str) -> None:
    if code != wanted:
        raise for_code(code)(f"asking what is allowed with {name}")
