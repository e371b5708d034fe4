"""How a connection to Kafka is described to its clients, without showing what is secret."""

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from consumer.adapters.kafka.connection import KafkaConnection, moment
from consumer.ports import Guarded, LogError, Operation, Permit

WORD = "open sesame"


def test_a_plain_connection_says_where_and_how_long() -> None:
    options = KafkaConnection("kafka-1:9092,kafka-2:9092", request_timeout=timedelta(seconds=3)).options()
    assert options["bootstrap_servers"] == "kafka-1:9092,kafka-2:9092"
    assert options["request_timeout_ms"] == 3_000
    assert "ssl_context" not in options
    assert "sasl_mechanism" not in options


def test_sasl_passes_user_and_password_on() -> None:
    options = KafkaConnection("k:9093", "SASL_SSL", "SCRAM-SHA-512", "elasti", WORD).options()
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "elasti")
    assert options["sasl_plain_password"] == WORD
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED


def test_no_secret_is_shown() -> None:
    shown = repr(KafkaConnection("k:9093", "SASL_SSL", username="elasti", password=WORD, key_password=WORD))
    assert WORD not in shown


def test_the_tls_context_is_made_once() -> None:
    connection = KafkaConnection("k:9093", "SSL")
    assert connection.options()["ssl_context"] is connection.options()["ssl_context"]


def test_tls_files_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    with pytest.raises(LogError, match=re.escape(str(rubbish))):
        KafkaConnection("k:9093", "SSL", cert_file=rubbish, key_file=rubbish).options()
    with pytest.raises(LogError, match=r"missing\.pem"):
        KafkaConnection("k:9093", "SSL", ca_file=tmp_path / "missing.pem").options()


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_769_860_800_123, 1_769_860_800_999, 4_102_444_800_001])
def test_append_times_keep_their_milliseconds(milliseconds: int) -> None:
    at = moment(milliseconds)
    assert at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert at.microsecond % 1000 == 0


_PERMITS = (
    Permit(Guarded.TOPIC, "e.hosts", Operation.READ),
    Permit(Guarded.TOPIC, "e.state", Operation.READ),
    Permit(Guarded.GROUP, "e.worker-", Operation.READ, prefixed=True),
)


def test_a_refusal_names_the_acl_and_how_to_give_it() -> None:
    connection = KafkaConnection("k:9093", "SASL_SSL", username="wally")
    said = str(connection.failed("fetching", TopicAuthorizationFailedError("e.state"), *_PERMITS))
    assert said == (
        "Kafka at k:9093: fetching failed: User:wally may not Read topic e.state; allow it: "
        "kafka-acls --bootstrap-server k:9093 --add --allow-principal User:wally --operation Read --topic e.state"
    )
    said = str(connection.failed("joining", GroupAuthorizationFailedError("e.worker-1"), *_PERMITS))
    assert "may not Read group e.worker-*; allow it: " in said
    assert said.endswith("--operation Read --group e.worker- --resource-pattern-type prefixed")


def test_a_refusal_that_names_nothing_names_all_that_was_asked_for() -> None:
    said = str(KafkaConnection("k:9092").failed("fetching", TopicAuthorizationFailedError(), *_PERMITS))
    assert "User:ANONYMOUS may not Read topic e.hosts, Read topic e.state; allow it: " in said
    assert said.count("kafka-acls") == 2


def test_who_may_write_nowhere_is_told_why_it_has_no_producer() -> None:
    said = str(KafkaConnection("k:9092").failed("opening the publisher", ClusterAuthorizationFailedError()))
    assert "User:ANONYMOUS may write to no topic" in said
    assert said.endswith("; docs/howto-kafka-acls.md says what each part needs")


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (
            SaslAuthenticationFailed("invalid credentials"),
            "see that the mechanism, the user and the password are right",
        ),
        (ssl.SSLCertVerificationError("self-signed"), "see that the CA is that of the brokers' certificates"),
        (OSError("refused"), "see that it runs and can be reached"),
    ],
)
def test_the_cure_is_that_of_the_error(error: Exception, cure: str) -> None:
    assert f"; {cure}" in str(KafkaConnection("k:9092").failed("it", error, *_PERMITS))


def test_who_has_a_certificate_is_known_to_brokers_by_its_subject() -> None:
    connection = KafkaConnection("k:9093", "SSL", cert_file=Path("client.crt"))
    assert connection.principal == "'User:<subject of client.crt>'"
