"""Who may call: with a token set only those who show it, and over TLS where there is a certificate."""

import json
import ssl
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from consumer.adapters.memory import MemoryLog, MemoryPublisher
from consumer.gateway import RemoteWake, serving
from consumer.ports import TargetForbiddenError
from tests.certificates import Authority
from tests.gateway.bed import BODY, INCOMING, SETTINGS, WEB, Direct, ports, recorded, running

TOKEN = "open-sesame-7"  # noqa: S105 - it opens the doors of this file
GUARDED = replace(SETTINGS, token=TOKEN)
WAKE = "/internal/wake"
CALL = json.dumps({"namespace": "shop", "svc": "web"}).encode()


@pytest.mark.parametrize(
    "shown",
    [None, "", "Bearer", "Bearer ", "Bearer open-sesame", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer \xfc"],
)
@pytest.mark.parametrize("path", [INCOMING, WAKE, "/crd-cache", "/informer/incoming%2Drequest", "/nowhere"])
async def test_who_does_not_show_the_token_is_turned_away(log: MemoryLog, shown: str | None, path: str) -> None:
    handler = Direct()
    async with running(replace(ports(MemoryPublisher(log)), handler=handler), GUARDED) as caller:
        headers = {} if shown is None else {"Authorization": shown}
        status, text, answered = await caller.call(path=path, body=CALL, headers=headers)
    assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
    assert TOKEN not in text
    assert await recorded(log) == []
    assert handler.asked == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_who_shows_it_is_served(log: MemoryLog, scheme: str) -> None:
    async with running(ports(MemoryPublisher(log)), GUARDED) as caller:
        status, _, _ = await caller.call(headers={"Authorization": f"{scheme} {TOKEN}"})
    assert status == 200
    assert [record.value for record in await recorded(log)] == [BODY]


@pytest.mark.parametrize("page", ["/metrics", "/healthz", "/readyz"])
async def test_kubelets_and_prometheus_need_none(log: MemoryLog, page: str) -> None:
    async with running(ports(MemoryPublisher(log)), GUARDED) as caller:
        assert (await caller.call("GET", page))[0] == 200


async def test_a_gateway_with_the_same_token_may_have_a_handler_wake(log: MemoryLog) -> None:
    handler = Direct()
    given = replace(ports(MemoryPublisher(log)), handler=handler)
    async with running(given, GUARDED) as process, RemoteWake(process.base, token=TOKEN) as remote:
        await remote.wake(WEB, None)
    assert handler.asked == [(WEB, None)]


@pytest.mark.parametrize("token", [None, "another-one"])
async def test_a_gateway_with_another_token_is_told_so(log: MemoryLog, token: str | None) -> None:
    handler = Direct()
    given = replace(ports(MemoryPublisher(log)), handler=handler)
    async with running(given, GUARDED) as process, RemoteWake(process.base, token=token) as remote:
        with pytest.raises(TargetForbiddenError, match="does not take our token; give it and this gateway the same"):
            await remote.wake(WEB, None)
    assert handler.asked == []


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(log: MemoryLog, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path / "ca")
    ours = authority.signs("gateway")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(ours.certificate, ours.key)
    trusting = ssl.create_default_context(cafile=authority.certificate)
    settings = replace(SETTINGS, secure=server)
    async with (
        serving(ports(MemoryPublisher(log)), settings, host="127.0.0.1", port=0) as port,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"https://127.0.0.1:{port}{INCOMING}", data=BODY, ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://127.0.0.1:{port}{INCOMING}", data=BODY)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.post(f"https://127.0.0.1:{port}{INCOMING}", data=BODY)
    assert len(await recorded(log)) == 1


def test_settings_do_not_show_the_token() -> None:
    assert TOKEN not in repr(GUARDED)
