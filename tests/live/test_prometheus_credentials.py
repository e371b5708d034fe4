"""A Prometheus that lets nobody in is asked with what a policy's namespace keeps in Secrets, until that is replaced."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.adapters.kubernetes.secrets import KubernetesSecrets
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import Answer, Unknown, UnknownCause
from consumer.core.policy import Policy
from consumer.elastiservice import policy_from
from consumer.ports import Subject
from consumer.scalers.batcher import Batcher
from consumer.scalers.contract import Defaults
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import Registry
from tests.certificates import Authority
from tests.live.elastiservices import install, namespace, path, resource
from tests.live.prometheus_server import PrometheusServer

WORD = "not-to-be-seen"
_HASHED = "$2b$04$wecpb89/oeqML03kXNY3muWy7rpTO6Ln4MyKCRKYEf5DglixFP59S"
"""What bcrypt makes of the word."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Prometheus that wants a certificate and a password, and who may give certificates."""

    url: str
    authority: Authority


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    authority = Authority.made(tmp_path / "ca")
    server = authority.signs("server")
    web = tmp_path / "web.yml"
    web.write_text(
        f"tls_server_config:\n  cert_file: {server.certificate}\n  key_file: {server.key}\n"
        f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {authority.certificate}\n"
        f"basic_auth_users:\n  elasti: {_HASHED}\n"
    )
    async with PrometheusServer(web=web) as running:
        yield Guarded(running.url.replace("http:", "https:"), authority)


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


def _basic(word: str) -> str:
    return b64encode(f"elasti:{word}".encode()).decode()


async def _policy(api: Api, here: str, guarded: Guarded, registry: Registry) -> Policy:
    secret = {"name": "prometheus"}
    metadata = {
        "serverAddress": guarded.url,
        "query": "vector(0)",
        "threshold": "1",
        "headersFrom": {"Authorization": {"prefix": "Basic ", "secretKeyRef": {**secret, "key": "basic"}}},
        "tls": {
            "caFrom": {"secretKeyRef": {**secret, "key": "ca.crt"}},
            "certFrom": {"secretKeyRef": {**secret, "key": "tls.crt"}},
            "keyFrom": {"secretKeyRef": {**secret, "key": "tls.key"}},
        },
    }
    made = await api.post(path(here), resource(triggers=[{"type": "prometheus", "metadata": metadata}]))
    assert isinstance(made, dict)
    policy = policy_from(made, where="live", check=registry.check)
    assert isinstance(policy, Policy)
    return policy


async def test_what_is_kept_in_secrets_opens_the_door_and_is_read_anew_when_it_is_replaced(
    api: Api, guarded: Guarded
) -> None:
    registry = Registry(Defaults())
    measurements = PrometheusMeasurements(KubernetesSecrets(api, refused=0.0))
    judges = SweepJudges(registry, Batcher(measurements))
    client = guarded.authority.signs("client")
    pems = {
        "ca.crt": guarded.authority.certificate.read_text(),
        "tls.crt": client.certificate.read_text(),
        "tls.key": client.key.read_text(),
    }
    async with namespace(api) as here:
        policy = await _policy(api, here, guarded, registry)

        async def idle() -> Answer:
            answers = await judges.sweep([Subject(policy, None)], datetime.now(UTC))
            return answers[policy.key].triggers[0].to_zero

        missing = await idle()
        assert isinstance(missing, Unknown)
        assert missing.cause is UnknownCause.CREDENTIALS
        assert f"{here}/prometheus" in missing.detail

        secrets = f"/api/v1/namespaces/{here}/secrets"
        await api.post(secrets, {"metadata": {"name": "prometheus"}, "stringData": {"basic": _basic("wrong"), **pems}})
        refused = await idle()
        assert isinstance(refused, Unknown)
        assert (refused.cause, "401" in refused.detail) == (UnknownCause.HTTP_ERROR, True)

        right = {"stringData": {"basic": _basic(WORD)}}
        await api.patch(f"{secrets}/prometheus", right, PatchKind.MERGE)
        allowed = await idle()
        assert not isinstance(allowed, Unknown), allowed
        assert WORD not in repr(policy) + repr(allowed)
    await judges.close()
