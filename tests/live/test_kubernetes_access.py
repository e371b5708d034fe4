"""The ways into a real cluster: a kubeconfig, its credential plugins, and the pod that we run in."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import yaml

from consumer.adapters.clock import ManualClock
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.access import from_kubeconfig, from_pod
from consumer.adapters.kubernetes.api import Access, Api
from consumer.ports import TargetBusyError, TargetForbiddenError

WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


@asynccontextmanager
async def entered(access: Access) -> AsyncIterator[Api]:
    api = Api(access)
    try:
        yield api
    finally:
        await api.close()


async def name_of(api: Api) -> str:
    match await api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", WHO):
        case {"status": {"userInfo": {"username": str(name)}}}:
            return name
        case other:
            raise AssertionError(other)


def with_plugin(cluster: ControlPlane, folder: Path, said: str) -> Path:
    """A kubeconfig as those of cloud providers: its token is what a program prints."""
    content = yaml.safe_load(cluster.kubeconfig().read_text())
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", said],
        "interactiveMode": "Never",
    }
    for user in content["users"]:
        user["user"] = {"exec": plugin}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


async def test_a_kubeconfig_is_entered_as_its_user(cluster: ControlPlane) -> None:
    user = cluster.user("access")
    async with entered(await from_kubeconfig(ManualClock(), file=cluster.kubeconfig(user))) as api:
        assert await name_of(api) == user.name


async def test_a_credential_plugin_is_asked_again_when_its_token_grows_old(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    first, second = cluster.user("plugin-1"), cluster.user("plugin-2")
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    said = tmp_path / "said.json"

    def say(user_token: str) -> None:
        said.write_bytes(orjson.dumps({**credential, "status": {"token": user_token}}))

    say(first.token)
    clock = ManualClock()
    file = with_plugin(cluster, tmp_path, f"print(open({str(said)!r}).read())")
    async with entered(await from_kubeconfig(clock, file=file)) as api:
        assert await name_of(api) == first.name
        say(second.token)
        assert await name_of(api) == first.name
        clock.advance(timedelta(minutes=5))
        assert await name_of(api) == second.name


async def test_a_token_that_the_server_refuses_is_replaced_at_once_by_a_new_one(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    user, clock = cluster.user("renewed"), ManualClock()
    content = yaml.safe_load(cluster.kubeconfig(user).read_text())
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content).replace(user.token, "revoked"))
    async with entered(await from_kubeconfig(clock, file=file)) as api:
        with pytest.raises(TargetForbiddenError, match="HTTP 401"):
            await name_of(api)
        clock.advance(timedelta(seconds=10))
        file.write_text("")
        with pytest.raises(TargetBusyError, match=r"credentials no more, .* it is empty or incomplete"):
            await name_of(api)
        clock.advance(timedelta(seconds=10))
        file.write_text(yaml.safe_dump(content))
        assert await name_of(api) == user.name


async def test_a_pods_token_is_read_again_when_it_was_rotated(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cluster.user("pod-1"), cluster.user("pod-2")
    token, door, clock = tmp_path / "token", urlsplit(cluster.url), ManualClock()
    token.write_text(first.token)
    (tmp_path / "ca.crt").write_text(cluster.ca.read_text())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(door.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(door.port))
    async with entered(await from_pod(clock, tmp_path)) as api:
        assert await name_of(api) == first.name
        token.write_text(second.token)
        clock.advance(timedelta(minutes=5))
        assert await name_of(api) == second.name


async def test_what_can_not_be_used_is_told_with_what_to_do(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetForbiddenError, match=r"nowhere can not be used: .*; name another"):
        await from_kubeconfig(ManualClock(), file=tmp_path / "nowhere")
    with pytest.raises(TargetForbiddenError, match=r"strange.*a context of it"):
        await from_kubeconfig(ManualClock(), file=cluster.kubeconfig(), context="strange")
    with pytest.raises((TargetForbiddenError, TargetBusyError)):
        await from_kubeconfig(ManualClock(), file=with_plugin(cluster, tmp_path, "raise SystemExit('no login')"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(TargetForbiddenError, match="no pod with a service account"):
        await from_pod(ManualClock())
