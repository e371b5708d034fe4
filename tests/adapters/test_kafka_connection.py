"""How a connection to Kafka is described to its clients, without showing what is secret."""

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.adapters.kafka.connection import KafkaConnection, moment
from consumer.ports import LogError

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
