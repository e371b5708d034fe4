"""A Secret is read once for all who ask, kept a while, read anew when it is doubted, and never shown."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.secrets import KubernetesSecrets
from consumer.ports import TargetBusyError, TargetForbiddenError, TargetGoneError, TargetInvalidError
from tests.adapters.kubernetes_api import FakeApi, refused, serving

HIDDEN = "not-to-be-seen"


def encoded(value: bytes) -> str:
    return b64encode(value).decode()


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving() as running:
        running.secrets["shop", "prometheus"] = {"token": encoded(HIDDEN.encode()), "user": encoded(b"me")}
        yield running


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Api]:
    made = Api(Access(api.url))
    yield made
    await made.close()


@pytest.fixture
def secrets(client: Api) -> KubernetesSecrets:
    return KubernetesSecrets(client)


async def test_a_value_is_read_and_kept_for_all_keys_and_all_who_ask(api: FakeApi, secrets: KubernetesSecrets) -> None:
    asked = [secrets.read("shop", "prometheus", key) for key in ("token", "user", "token")]
    assert await asyncio.gather(*asked) == [HIDDEN, "me", HIDDEN]
    assert len(api.requests) == 1


async def test_a_secret_that_is_missing_is_named_and_not_asked_for_by_everyone(
    api: FakeApi, secrets: KubernetesSecrets
) -> None:
    for _ in range(3):
        with pytest.raises(TargetGoneError, match="no Secret shop/other"):
            await secrets.read("shop", "other", "token")
    assert len(api.requests) == 1


async def test_a_key_that_is_missing_is_named_beside_those_that_are_there(secrets: KubernetesSecrets) -> None:
    with pytest.raises(TargetGoneError) as caught:
        await secrets.read("shop", "prometheus", "pass")
    assert '"pass" (there are: token, user)' in str(caught.value)
    assert HIDDEN not in str(caught.value)


async def test_a_right_that_is_missing_is_told_with_its_cure(api: FakeApi, secrets: KubernetesSecrets) -> None:
    api.fail(refused(403))
    with pytest.raises(TargetForbiddenError, match=r"resourceNames: \[prometheus\]"):
        await secrets.read("shop", "prometheus", "token")


@pytest.mark.parametrize(("data", "told"), [("%%%", "no base64"), (encoded(b"\xff\xfe"), "no text")])
async def test_what_is_no_text_is_refused(api: FakeApi, secrets: KubernetesSecrets, data: str, told: str) -> None:
    api.secrets["shop", "prometheus"] = {"token": data}
    with pytest.raises(TargetInvalidError, match=told):
        await secrets.read("shop", "prometheus", "token")


async def test_a_secret_without_data_has_no_keys(api: FakeApi, secrets: KubernetesSecrets) -> None:
    api.secrets["shop", "prometheus"] = {}
    with pytest.raises(TargetGoneError, match="there are: none"):
        await secrets.read("shop", "prometheus", "token")


async def test_a_secret_that_was_just_read_is_not_read_at_the_pace_of_its_refusals(
    api: FakeApi, secrets: KubernetesSecrets
) -> None:
    await secrets.read("shop", "prometheus", "token")
    secrets.distrust("shop", "prometheus")
    secrets.distrust("shop", "never-read")
    await secrets.read("shop", "prometheus", "token")
    assert len(api.requests) == 1


async def test_what_was_doubted_or_is_old_is_read_anew(api: FakeApi, client: Api) -> None:
    secrets = KubernetesSecrets(client, kept=0.0, refused=0.0)
    await secrets.read("shop", "prometheus", "token")
    api.secrets["shop", "prometheus"] = {"token": encoded(b"new")}
    assert await secrets.read("shop", "prometheus", "token") == "new"


async def test_while_the_api_is_away_what_it_said_last_is_used(api: FakeApi, client: Api) -> None:
    secrets = KubernetesSecrets(client, kept=0.0, refused=0.0)
    await secrets.read("shop", "prometheus", "token")
    api.fail(refused(503))
    assert await secrets.read("shop", "prometheus", "token") == HIDDEN


async def test_an_api_that_is_away_from_the_start_is_told(api: FakeApi, secrets: KubernetesSecrets) -> None:
    api.fail(refused(503))
    with pytest.raises(TargetBusyError):
        await secrets.read("shop", "prometheus", "token")
