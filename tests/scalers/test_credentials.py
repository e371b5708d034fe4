"""What a trigger says of Secrets is read into names alone, of its own namespace, and checked word by word."""

import pytest

from consumer.core.policy import Trigger
from consumer.core.readings import SecretKey, Tls
from consumer.elastiservice import policy_from
from consumer.scalers.contract import Defaults
from consumer.scalers.metadata import FaultyTriggerError, read
from tests.scalers.bed import asking

HTTPS = Defaults("https://prometheus:9090")
TOKEN = {"secretKeyRef": {"name": "prometheus", "key": "token"}}


def written(**metadata: object) -> Trigger:
    """The trigger as it is read from a resource."""
    seen: list[Trigger] = []

    def check(trigger: Trigger) -> tuple[tuple[str, str], ...]:
        seen.append(trigger)
        return ()

    resource = {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "service": "web",
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "triggers": [{"type": "prometheus", "metadata": {"query": "load", "threshold": "1", **metadata}}],
        },
    }
    policy_from(resource, where="test", check=check)
    return seen[0]


def faults(**metadata: object) -> dict[str, str]:
    try:
        read(written(**metadata), HTTPS, "shop")
    except FaultyTriggerError as faulty:
        return dict(faulty.faults)
    return {}


def test_headers_from_secrets_are_named_in_the_policy_s_own_namespace() -> None:
    trigger = written(headersFrom={"Authorization": {**TOKEN, "prefix": "Bearer "}, "X-Scope": TOKEN})
    assert read(trigger, HTTPS, "shop").question.source.headers_from == (
        ("Authorization", SecretKey("shop", "prometheus", "token", "Bearer ")),
        ("X-Scope", SecretKey("shop", "prometheus", "token")),
    )


def test_trust_and_certificate_are_named_in_the_policy_s_own_namespace() -> None:
    trigger = written(tls={"caFrom": TOKEN, "certFrom": TOKEN, "keyFrom": TOKEN})
    secret = SecretKey("shop", "prometheus", "token")
    assert read(trigger, HTTPS, "shop").question.source.tls == Tls(ca=secret, certificate=secret, key=secret)
    assert read(written(tls={"caFile": "/ca.crt"}), HTTPS, "shop").question.source.tls == Tls(ca_file="/ca.crt")


def test_without_any_of_it_a_source_names_no_secret() -> None:
    source = read(asking("load"), HTTPS, "shop").question.source
    assert (source.headers_from, source.tls) == ((), None)


@pytest.mark.parametrize(
    ("headers_from", "told"),
    [
        ("token", "must be an object"),
        ({}, "must be an object"),
        ({"Authorization": "token"}, "names no Secret and key"),
        ({"Authorization": {"secretKeyRef": {"name": "prometheus"}}}, "names no Secret and key"),
        ({"Authorization": {"secretKeyRef": {"name": "Prometheus", "key": "token"}}}, "needs the name of a Secret"),
        ({"Authorization": {"secretKeyRef": {"name": "../prometheus", "key": "token"}}}, "needs the name of a Secret"),
        ({"Authorization": {"secretKeyRef": {"name": "prometheus", "key": "a/b"}}}, "a key in it"),
        ({"Authorization": {**TOKEN, "suffix": "x"}}, "only prefix is known"),
        ({"Authorization": {**TOKEN, "prefix": 1}}, "only prefix is known"),
        ({"two words": TOKEN}, "is no header's name"),
    ],
)
def test_headers_from_that_name_nothing_are_refused_with_what_to_write(headers_from: object, told: str) -> None:
    assert told in faults(headersFrom=headers_from)["metadata.headersFrom"]


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ("ca", "must be an object"),
        ({"insecure": True}, "'insecure' is not a field"),
        ({"caFrom": "ca.crt"}, "caFrom: names no Secret and key"),
        ({"caFile": "ca.crt"}, "must be the path of a file"),
        ({"caFile": "/ca.crt", "caFrom": TOKEN}, "names a CA twice"),
        ({"certFrom": TOKEN}, "needs both certFrom and keyFrom"),
        ({"keyFrom": TOKEN}, "needs both certFrom and keyFrom"),
    ],
)
def test_tls_that_can_not_be_used_is_refused_with_what_to_write(tls: object, told: str) -> None:
    assert told in faults(tls=tls)["metadata.tls"]


def test_tls_to_a_server_without_it_is_refused() -> None:
    assert "https://" in faults(tls={"caFrom": TOKEN}, serverAddress="http://prometheus:9090")["metadata.tls"]
