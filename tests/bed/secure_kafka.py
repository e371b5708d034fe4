"""A broker with its doors shut: TLS, users with passwords, and nothing allowed that no ACL allows."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)
from pydantic import SecretStr

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaPermits
from consumer.adapters.kafka.connection import admin
from consumer.ports import Guarded, LogError, Operation, Permit
from tests.certificates import Authority

PLAIN_USER, PLAIN_PASSWORD = "pauline", "plain-canary-7431"
"""One who is known to the mechanism PLAIN."""
_ADMIN, _ITERATIONS, _SHA512 = "admin", 4096, 2
_LITERAL, _PREFIXED = 3, 4
_ALLOW = 3
_LOGIN = "org.apache.kafka.common.security"
_KINDS: Mapping[Guarded, int] = {Guarded.TOPIC: 2, Guarded.GROUP: 3, Guarded.TRANSACTIONAL_ID: 5}
_OPERATIONS: Mapping[Operation, int] = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.CREATE: 5,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
}
_LOOK_AGAIN = 0.05
_LIMIT = 30


class _CreatedAcls(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY, API_VERSION = 30, 1
    SCHEMA = Schema(("throttle_time_ms", Int32), ("results", Array(("code", Int16), ("text", String()))))


_ENTRY = (
    ("resource_type", Int8),
    ("resource_name", String()),
    ("resource_pattern_type", Int8),
    ("principal", String()),
    ("host", String()),
    ("operation", Int8),
    ("permission_type", Int8),
)


class _CreateAclsStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION, RESPONSE_TYPE = 30, 1, _CreatedAcls
    SCHEMA = Schema(("entries", Array(*_ENTRY)))


class _DeletedAcls(Response):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION = 31, 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("code", Int16), ("text", String()), ("matching", Array(("code", Int16), ("text", String()), *_ENTRY))
            ),
        ),
    )


class _DeleteAclsStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION, RESPONSE_TYPE = 31, 1, _DeletedAcls
    SCHEMA = Schema(("entries", Array(*_ENTRY)))


class _AlteredUsers(Response):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION = 51, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(("user", CompactString()), ("code", Int16), ("text", CompactString()), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class _AlterUsersStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION, RESPONSE_TYPE, FLEXIBLE_VERSION = 51, 0, _AlteredUsers, True
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString()), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString()),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Entries(Request[_CreateAclsStruct | _DeleteAclsStruct | _AlterUsersStruct]):  # type: ignore[misc]  # as above
    """One request of a fixed form."""

    API_KEY = 0

    def __init__(self, struct: RequestStruct) -> None:
        self.struct = struct

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> RequestStruct:
        """Return it, where the broker knows it."""
        assert self.struct.API_KEY in versions
        return self.struct

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        """Return it; it has one form only."""
        assert isinstance(self.struct, request_struct_class)
        return self.struct


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """The running broker, and the CA that signed its certificate."""

    broker: EmbeddedKafka
    ca: Path
    _admin_password: str
    _passwords: dict[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        """Its address."""
        return self.broker.bootstrap

    def as_user(self, name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> KafkaConnection:
        """The way in for one user."""
        return KafkaConnection(
            self.bootstrap,
            security_protocol="SASL_SSL",
            sasl_mechanism=mechanism,
            username=name,
            password=password,
            ca_file=self.ca,
        )

    @property
    def admin(self) -> KafkaConnection:
        """The way in for who may do everything."""
        return self.as_user(_ADMIN, self._admin_password, "PLAIN")

    def settings_of(self, name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> Mapping[str, object]:
        """The settings that make a part of the system this user."""
        return {
            "kafka_bootstrap": (self.bootstrap,),
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": mechanism,
            "kafka_sasl_username": name,
            "kafka_sasl_password": SecretStr(password),
            "kafka_tls_ca": self.ca,
        }

    def settings_of_admin(self) -> Mapping[str, object]:
        """The settings of who may do everything."""
        return self.settings_of(_ADMIN, self._admin_password, "PLAIN")

    def java_settings_of_admin(self) -> Mapping[str, str]:
        """What Kafka's own tools are given to be the administrator."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": (
                f'{_LOGIN}.plain.PlainLoginModule required username="{_ADMIN}" password="{self._admin_password}";'
            ),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
        }

    async def user(self, name: str) -> str:
        """Make a user who may do nothing, and return the password; it is known when this returns."""
        password, salt = secrets.token_hex(16), secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
        await self._ask(_AlterUsersStruct([], [(name, _SHA512, _ITERATIONS, salt, salted, {})], {}))
        self._passwords[name] = password
        # The controller has it, and the broker in a moment.
        await _until(lambda: _knows(self.as_user(name, password)))
        return password

    async def allow(self, user: str, permits: Iterable[Permit]) -> None:
        """Grant permits, as kafka-acls would, and return when they are in force."""
        granted = tuple(permits)
        await self._ask(_CreateAclsStruct([_entry(user, permit) for permit in granted]))

        async def all_there() -> bool:
            return not await self._missing(user, granted)

        await _until(all_there)

    async def forbid(self, user: str, permits: Iterable[Permit]) -> None:
        """Take permits away, and return when that is in force."""
        taken = tuple(permits)
        await self._ask(_DeleteAclsStruct([_entry(user, permit) for permit in taken]))

        async def all_gone() -> bool:
            return len(await self._missing(user, taken)) == len(taken)

        await _until(all_gone)

    async def _missing(self, user: str, permits: Sequence[Permit]) -> Sequence[Permit]:
        connection = (
            self.as_user(PLAIN_USER, PLAIN_PASSWORD, "PLAIN")
            if user == PLAIN_USER
            else self.as_user(user, self._passwords[user])
        )
        return await KafkaPermits(connection).missing(permits)

    async def _ask(self, struct: RequestStruct) -> None:
        async with admin(self.admin) as client:
            answer = await _sent(client, struct)
        wrong = [result for result in answer.results if any(part for part in result if isinstance(part, int))]
        assert not wrong, wrong


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_LIMIT):
        while True:
            if await holds():
                return
            await asyncio.sleep(_LOOK_AGAIN)


async def _knows(connection: KafkaConnection) -> bool:
    try:
        async with admin(connection):
            return True
    except LogError:
        return False


async def _sent(client: AIOKafkaAdminClient, struct: RequestStruct) -> Response:
    return await client._send_request(_Entries(struct))  # noqa: SLF001 - aiokafka has no public way for them


def _entry(user: str, permit: Permit) -> tuple[object, ...]:
    kind, operation = _KINDS[permit.guarded], _OPERATIONS[permit.operation]
    return (kind, permit.name, _PREFIXED if permit.prefixed else _LITERAL, f"User:{user}", "*", operation, _ALLOW)


@asynccontextmanager
async def secure_kafka(folder: Path) -> AsyncIterator[SecureKafka]:
    """Start one; its certificates go into the folder."""
    authority = Authority.made(folder / "ca")
    password = secrets.token_hex(16)
    users = f'user_{_ADMIN}="{password}" user_{PLAIN_USER}="{PLAIN_PASSWORD}"'
    properties = {
        # The listener keeps its name; what is spoken behind it is another thing.
        "listener.security.protocol.map": "PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT",
        # Told by the name of the listener, the broker also speaks so with itself.
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.plaintext.plain.sasl.jaas.config": (
            f'{_LOGIN}.plain.PlainLoginModule required username="{_ADMIN}" password="{password}" {users};'
        ),
        "listener.name.plaintext.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        **_tls(authority, folder),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        # Only the controller's own door has users without a name, and it is on loopback.
        "super.users": f"User:{_ADMIN};User:ANONYMOUS",
    }
    async with EmbeddedKafka(properties=properties) as broker:
        yield SecureKafka(broker, authority.certificate, password)


@dataclass(frozen=True, slots=True)
class CertifiedKafka:
    """A broker that knows its callers by their certificates."""

    bootstrap: str
    authority: Authority


@asynccontextmanager
async def certified_kafka(folder: Path) -> AsyncIterator[CertifiedKafka]:
    """Start one; whoever shows no certificate of its CA is turned away."""
    authority = Authority.made(folder / "ca")
    properties = {
        "listener.security.protocol.map": "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.client.auth": "required",
        **_tls(authority, folder),
    }
    async with EmbeddedKafka(properties=properties) as broker:
        yield CertifiedKafka(broker.bootstrap, authority)


def _tls(authority: Authority, folder: Path) -> Mapping[str, str]:
    server = authority.signs("broker")
    both = folder / "broker.pem"
    both.write_bytes(server.key.read_bytes() + server.certificate.read_bytes())
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
    }


@pytest.fixture(scope="session")
async def secure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    """The broker with shut doors that all live tests share; a test keeps to its own `prefix` and users."""
    async with secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        yield broker
