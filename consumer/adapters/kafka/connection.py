"""How to reach a Kafka, and how its records and errors become ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypedDict

from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from consumer.adapters.kafka.strays import strays_as_failures
from consumer.ports import Guarded, LogError, Permit, Record, grant

_PATIENCE = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Whoever keeps the producers' times in a topic may find any number there: far enough from the ends of the calendar that
# everything we add to a time is one too.
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_LAST_TIMESTAMP = int(_LATEST.timestamp() * 1000)
_GUARDED: Mapping[type[KafkaError], Guarded] = {
    TopicAuthorizationFailedError: Guarded.TOPIC,
    GroupAuthorizationFailedError: Guarded.GROUP,
    TransactionalIdAuthorizationFailed: Guarded.TRANSACTIONAL_ID,
    # An idempotent producer is for whoever may write to any topic at all.
    ClusterAuthorizationFailedError: Guarded.TOPIC,
}
"""What each refusal is about."""


class ClientOptions(TypedDict, total=False):
    """What every aiokafka client is given."""

    bootstrap_servers: str
    client_id: str
    security_protocol: str
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str
    ssl_context: ssl.SSLContext
    request_timeout_ms: int
    metadata_max_age_ms: int


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where Kafka is and who we are there; the password is never shown."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    client_id: str = "elasti"
    session_timeout: timedelta = timedelta(seconds=6)
    """How long a member may be silent before the others take over; the broker's floor is 6 s by default."""
    request_timeout: timedelta = timedelta(seconds=10)
    transaction_timeout: timedelta = timedelta(seconds=10)
    """How long a killed owner's open transaction can hide its partition, unless a successor ends it before."""

    def options(self) -> ClientOptions:
        """Return what every client is given; raises LogError when the TLS files can not be read."""
        options = ClientOptions(
            bootstrap_servers=self.bootstrap,
            client_id=self.client_id,
            security_protocol=self.security_protocol,
            request_timeout_ms=milliseconds(self.request_timeout),
            # A broker that went away is noticed by errors; this is for what is only noticed by asking.
            metadata_max_age_ms=60_000,
        )
        if "SSL" in self.security_protocol:
            options["ssl_context"] = self._tls()
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism or "PLAIN"
            options["sasl_plain_username"] = self.username or ""
            options["sasl_plain_password"] = self.password or ""
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            return _tls(self.ca_file, self.cert_file, self.key_file, self.key_password)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self.ca_file, self.cert_file, self.key_file) if file)
            raise LogError(f"Kafka TLS: can not use {files} ({error}); give PEM files that belong together") from error

    @property
    def principal(self) -> str:
        """Who we are in ACLs, as far as we know it ourselves."""
        if self.security_protocol.startswith("SASL"):
            return f"User:{self.username}"
        return f"'User:<subject of {self.cert_file}>'" if self.cert_file else "User:ANONYMOUS"

    def failed(self, what: str, error: Exception, *needed: Permit) -> LogError:
        """Say what could not be done, why, and what to look at; `needed` are the ACLs that it takes."""
        refused = _refused(error, needed)
        if refused:
            return LogError(f"Kafka at {self.bootstrap}: {what} failed: {self.may_not(refused)}")
        if isinstance(error, ClusterAuthorizationFailedError):
            what += f": {self.principal} may write to no topic, so that it is given no idempotent producer"
            return LogError(f"Kafka at {self.bootstrap}: {what}; docs/howto-kafka-acls.md says what each part needs")
        cause = str(error) or type(error).__name__
        return LogError(f"Kafka at {self.bootstrap}: {what} failed ({cause}); {_cure(error)}")

    def may_not(self, permits: Sequence[Permit]) -> str:
        """Say what ACLs we lack, and how they are given."""
        lacking = ", ".join(str(permit) for permit in permits)
        commands = " && ".join(grant(permits, self.principal, self.bootstrap))
        return f"{self.principal} may not {lacking}; allow it: {commands}"


def _cure(error: Exception) -> str:
    match error:
        case SaslAuthenticationFailed() | UnsupportedSaslMechanismError():
            return "see that the mechanism, the user and the password are right"
        case ssl.SSLError():
            return "see that the CA is that of the brokers' certificates, and that these name the hosts we call"
        case _:
            return "see that it runs and can be reached"


def _refused(error: Exception, needed: Sequence[Permit]) -> Sequence[Permit]:
    """Return those of the needed permits that a refusal can be about; none when it is something else."""
    guarded = _GUARDED.get(type(error)) if isinstance(error, KafkaError) else None
    about = [permit for permit in needed if permit.guarded is guarded]
    # Sometimes the client says which topics; sometimes the name of the error is all there is.
    told = str(error)
    return [permit for permit in about if permit.name in told] or about


@cache
def _tls(ca: Path | None, cert: Path | None, key: Path | None, password: str | None) -> ssl.SSLContext:
    """Make the context once: it takes 50 ms, and every partition's writer needs it."""
    context = ssl.create_default_context(cafile=ca)
    if cert is not None:
        context.load_cert_chain(cert, key, password)
    return context


def milliseconds(length: timedelta) -> int:
    """Return a span in Kafka's unit."""
    return length // timedelta(milliseconds=1)


def moment(timestamp: int) -> datetime:
    """Return an append time; before 1970 (-1 stands for none) it is 1970, beyond 9000 it is 9000."""
    return datetime.fromtimestamp(min(max(timestamp, 0), _LAST_TIMESTAMP) / 1000, UTC)


def records_of(found: Sequence[ConsumerRecord]) -> list[Record]:
    """Turn aiokafka's records into ours; those of one batch were appended at one time, so it is made once."""
    records: list[Record] = []
    last, at = -1, _EPOCH
    for record in found:
        if record.timestamp != last:
            last, at = record.timestamp, moment(record.timestamp)
        records.append(
            Record(record.topic, record.partition, record.offset, record.key, record.value, at, record.headers)
        )
    return records


@asynccontextmanager
async def admin(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client; whatever Kafka says against it becomes a LogError."""
    client = AIOKafkaAdminClient(**connection.options())
    try:
        with strays_as_failures():
            await client.start()
            yield client
    except (KafkaError, OSError) as error:
        shut = await _shut(connection) if isinstance(error, KafkaConnectionError) else None
        raise connection.failed("an administrative request", shut or error) from error
    finally:
        await client.close()


async def _shut(connection: KafkaConnection) -> Exception | None:
    """Try the first door once more: aiokafka keeps to itself why it was let in nowhere."""
    options = connection.options()
    (host, port, _), *_ = collect_hosts(options.pop("bootstrap_servers"), randomize=False)
    options.pop("metadata_max_age_ms")
    try:
        async with asyncio.timeout(_PATIENCE):
            door = await create_conn(host, port, **options)
    except (KafkaError, OSError) as error:
        return error if str(error) else None
    door.close()
    return None
