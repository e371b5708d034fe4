"""What a source keeps in Secrets goes to its own server only, is read anew when it is refused, and is never told."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from consumer.adapters.memory_secrets import MemorySecrets
from consumer.adapters.prometheus import PrometheusMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, SecretKey, Source, Tls
from consumer.ports import TargetForbiddenError
from tests.adapters.prometheus_faults import EMPTY, ONE, FaultServer, serving
from tests.certificates import Authority, Signed

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
LIMIT = timedelta(seconds=10)
HIDDEN = "not-to-be-seen"
TOKEN = SecretKey("shop", "prometheus", "token", "Bearer ")
CA = SecretKey("shop", "prometheus", "ca")
CERTIFICATE, KEY = SecretKey("shop", "prometheus", "cert"), SecretKey("shop", "prometheus", "key")


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving() as running:
        yield running


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture
async def measurements(secrets: MemorySecrets) -> AsyncIterator[PrometheusMeasurements]:
    made = PrometheusMeasurements(secrets)
    yield made
    await made.close()


def asked(url: str) -> Question:
    source = Source(url, (("authorization", "Bearer default"), ("X-Tenant", "shop")), (("Authorization", TOKEN),))
    return Question(source, "sum(load)")


async def test_a_header_from_a_secret_replaces_one_of_its_name(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write("shop", "prometheus", {"token": f"{HIDDEN}\n"})
    assert isinstance(await measurements.ask(asked(server.url), T0, LIMIT), Reading)
    sent = server.headers[0]
    assert (sent["Authorization"], sent["X-Tenant"]) == (f"Bearer {HIDDEN}", "shop")


async def test_a_secret_that_is_missing_is_named_and_nothing_is_sent(
    server: FaultServer, measurements: PrometheusMeasurements
) -> None:
    outcome = await measurements.ask(asked(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.blame) == (UnknownCause.CREDENTIALS, Blame.SERVER)
    assert "shop/prometheus" in outcome.detail
    assert '"token"' in outcome.detail
    assert server.forms == []


async def test_a_key_that_is_missing_is_named(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write("shop", "prometheus", {"other": HIDDEN})
    outcome = await measurements.ask(asked(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert '"token"' in outcome.detail
    assert HIDDEN not in outcome.detail


async def test_a_secret_that_we_may_not_read_says_so(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.failure = TargetForbiddenError("Secret shop/prometheus may not be read; grant get on it")
    outcome = await measurements.ask(asked(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert outcome.detail == "Secret shop/prometheus may not be read; grant get on it"


async def test_without_a_cluster_nothing_can_be_read_from_secrets(server: FaultServer) -> None:
    alone = PrometheusMeasurements()
    outcome = await alone.ask(asked(server.url), T0, LIMIT)
    await alone.close()
    assert isinstance(outcome, Failure)
    assert "no cluster" in outcome.detail


async def test_a_value_of_several_lines_is_refused_without_being_shown(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write("shop", "prometheus", {"token": f"{HIDDEN}\nsecond"})
    outcome = await measurements.ask(asked(server.url), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert "line break" in outcome.detail
    assert HIDDEN not in outcome.detail


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_was_replaced_is_read_anew_when_it_is_refused(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements, status: int
) -> None:
    async def only_the_new(request: web.Request) -> web.StreamResponse:
        known = request.headers["Authorization"] == "Bearer new"
        return web.json_response(EMPTY if known else {}, status=200 if known else status)

    server.behaviour = only_the_new
    secrets.write("shop", "prometheus", {"token": "old"})
    assert isinstance(await measurements.ask(asked(server.url), T0, LIMIT), Failure)
    secrets.write("shop", "prometheus", {"token": "new"})
    assert isinstance(await measurements.ask(asked(server.url), T0, LIMIT), Reading)


async def test_a_token_that_is_refused_and_not_replaced_is_sent_once(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    server.say({}, 401)
    secrets.write("shop", "prometheus", {"token": "old"})
    outcome = await measurements.ask(asked(server.url), T0, LIMIT)
    assert outcome == Failure(UnknownCause.HTTP_ERROR, Blame.SERVER, "HTTP 401")
    assert len(server.forms) == 1


async def test_a_secret_is_kept_between_questions(
    server: FaultServer, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write("shop", "prometheus", {"token": "t"})
    for _ in range(3):
        await measurements.ask(asked(server.url), T0, LIMIT)
    assert secrets.read_from == [("shop", "prometheus")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def server_certificate(authority: Authority) -> Signed:
    return authority.signs("server")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Signed:
    return authority.signs("client")


@pytest.fixture
async def guarded(authority: Authority, server_certificate: Signed) -> AsyncIterator[str]:
    """A server that shows its certificate and wants to see one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(server_certificate.certificate, server_certificate.key)
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(ONE)

    app = web.Application()
    app.router.add_post("/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_ca_and_a_client_certificate_from_a_secret_open_the_door(
    guarded: str, authority: Authority, client: Signed, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write(
        "shop",
        "prometheus",
        {
            "ca": authority.certificate.read_text(),
            "cert": client.certificate.read_text(),
            "key": client.key.read_text(),
        },
    )
    tls = Tls(ca=CA, certificate=CERTIFICATE, key=KEY)
    assert isinstance(await measurements.ask(Question(Source(guarded, tls=tls), "1"), T0, LIMIT), Reading)


async def test_a_ca_from_a_file_is_trusted_for_this_server_only(
    guarded: str, authority: Authority, client: Signed, secrets: MemorySecrets, measurements: PrometheusMeasurements
) -> None:
    secrets.write("shop", "prometheus", {"cert": client.certificate.read_text(), "key": client.key.read_text()})
    tls = Tls(ca_file=str(authority.certificate), certificate=CERTIFICATE, key=KEY)
    assert isinstance(await measurements.ask(Question(Source(guarded, tls=tls), "1"), T0, LIMIT), Reading)
    unknown = await measurements.ask(Question(Source(guarded), "1"), T0, LIMIT)
    assert isinstance(unknown, Failure)
    assert unknown.cause is UnknownCause.UNREACHABLE
    assert "not trusted" in unknown.detail
    assert "tls.caFrom" in unknown.detail


async def test_without_the_certificate_that_it_wants_the_server_is_no_help(
    guarded: str, authority: Authority, measurements: PrometheusMeasurements
) -> None:
    tls = Tls(ca_file=str(authority.certificate))
    outcome = await measurements.ask(Question(Source(guarded, tls=tls), "1"), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert outcome.cause is UnknownCause.UNREACHABLE


async def test_a_ca_file_that_is_not_there_is_named(measurements: PrometheusMeasurements, tmp_path: Path) -> None:
    tls = Tls(ca_file=str(tmp_path / "ca.crt"))
    outcome = await measurements.ask(Question(Source("https://127.0.0.1:1", tls=tls), "1"), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert (outcome.cause, str(tmp_path / "ca.crt") in outcome.detail) == (UnknownCause.CREDENTIALS, True)


@pytest.mark.parametrize("text", ["not PEM", "-----BEGIN CERTIFICATE-----\nnot-to-be-seen\n-----END CERTIFICATE-----"])
async def test_a_ca_that_is_no_certificate_is_named_and_not_shown(
    secrets: MemorySecrets, measurements: PrometheusMeasurements, text: str
) -> None:
    secrets.write("shop", "prometheus", {"ca": text})
    outcome = await measurements.ask(Question(Source("https://127.0.0.1:1", tls=Tls(ca=CA)), "1"), T0, LIMIT)
    assert isinstance(outcome, Failure)
    assert outcome.cause is UnknownCause.CREDENTIALS
    assert 'Secret shop/prometheus, key "ca"' in outcome.detail
    assert HIDDEN not in outcome.detail
